"""Operators of ONNX Runtime on quantised tensors, each the float operator between Dequantize and Quantize.

They are fused into one kernel where the float operator is pointwise. ONNX Runtime computes some of them by tables or in
another order; results differ from its by one step of the quantisation at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__ = ["dequantised", "requantised"]


def dequantised(b: Builder, first: int) -> ir.Value:
    """The numbers of a quantised input, which its scale and its zero point follow."""
    return b.op("DequantizeLinear", b.input(first), b.input(first + 1), b.optional(first + 2))


def requantised(b: Builder, x: ir.Value, scale: int, like: ir.Value) -> ir.Value:
    """Numbers quantised with an input's scale and the zero point that follows it, or none; ``like`` tells the type."""
    zero = b.optional(scale + 1)
    if zero is not None:
        return b.op("QuantizeLinear", x, b.input(scale), zero)
    return b.op("QuantizeLinear", x, b.input(scale), output_dtype=b.dtype(like).onnx)


def channels_first(b: Builder, x: ir.Value, channels_last: int) -> ir.Value:
    """Channels as dimension 1."""
    rank = b.rank(x)
    return b.transpose(x, 0, rank - 1, *range(1, rank - 1)) if channels_last else x


def as_given(b: Builder, x: ir.Value, channels_last: int) -> ir.Value:
    """Channels back where they were."""
    return b.transpose(x, 0, *range(2, b.rank(x)), 1) if channels_last else x


@op("QuantizeLinear", MICROSOFT)
class QuantizeLinear(Composite):
    """ONNX's QuantizeLinear."""

    inputs = (2, 3)
    axis: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("QuantizeLinear", b.input(0), b.input(1), b.optional(2), axis=self.axis),)


@op("DequantizeLinear", MICROSOFT)
class DequantizeLinear(Composite):
    """ONNX's DequantizeLinear."""

    inputs = (2, 3)
    axis: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("DequantizeLinear", b.input(0), b.input(1), b.optional(2), axis=self.axis),)


class _Pair(Composite):
    """An operator of two quantised operands; each input is followed by its scale and zero point."""

    inputs = (2, 8)

    def pair(self, b: Builder, op_type: str) -> Sequence[ir.Value]:
        result = b.op(op_type, dequantised(b, 0), dequantised(b, 3))
        return (requantised(b, result, 6, b.input(0)),)


@op("QLinearAdd", MICROSOFT)
class QLinearAdd(_Pair):
    """a + b"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return self.pair(b, "Add")


@op("QLinearMul", MICROSOFT)
class QLinearMul(_Pair):
    """a * b"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return self.pair(b, "Mul")


@op("QLinearWhere", MICROSOFT)
class QLinearWhere(Composite):
    """Where(condition, x, y)"""

    inputs = (9, 9)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        result = b.op("Where", b.input(0), dequantised(b, 1), dequantised(b, 4))
        return (requantised(b, result, 7, b.input(1)),)


@op("QLinearSigmoid", MICROSOFT)
class QLinearSigmoid(Composite):
    """1 / (1 + exp(-x))"""

    inputs = (2, 5)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (requantised(b, b.op("Sigmoid", dequantised(b, 0)), 3, b.input(0)),)


@op("QLinearLeakyRelu", MICROSOFT)
class QLinearLeakyRelu(Composite):
    """x, or alpha * x where that is negative"""

    inputs = (2, 5)
    alpha: float = 0.01

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (requantised(b, b.op("LeakyRelu", dequantised(b, 0), alpha=self.alpha), 3, b.input(0)),)


@op("QLinearSoftmax", MICROSOFT)
class QLinearSoftmax(Composite):
    """Softmax along ``axis``; as before ``opset`` 13 over all dimensions from there on."""

    inputs = (2, 5)
    opset: int
    axis: int = -1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x = dequantised(b, 0)
        rank = b.rank(x)
        if self.opset >= 13 or self.axis in (-1, rank - 1):
            result = b.op("Softmax", x, axis=self.axis)
        else:
            flat = b.op("Softmax", b.op("Flatten", x, axis=self.axis), axis=1)
            result = b.op("Reshape", flat, b.op("Shape", x))
        return (requantised(b, result, 3, b.input(0)),)


@op("QLinearAveragePool", MICROSOFT)
class QLinearAveragePool(Composite):
    """AveragePool; with ``channels_last`` of (batch, spatial ..., channels)."""

    inputs = (2, 5)
    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    channels_last: int = 0
    count_include_pad: int = 0
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        lists = {"kernel_shape": self.kernel_shape, "pads": self.pads, "strides": self.strides}
        attributes: dict[str, Any] = {name: list(numbers) for name, numbers in lists.items() if numbers}
        attributes |= {"ceil_mode": self.ceil_mode, "count_include_pad": self.count_include_pad}
        attributes["auto_pad"] = self.auto_pad
        x = channels_first(b, dequantised(b, 0), self.channels_last)
        (result,) = b.ops("AveragePool", [x], attributes=attributes)
        return (requantised(b, as_given(b, result, self.channels_last), 3, b.input(0)),)


@op("QLinearGlobalAveragePool", MICROSOFT)
class QLinearGlobalAveragePool(Composite):
    """GlobalAveragePool; with ``channels_last`` of (batch, spatial ..., channels)."""

    inputs = (5, 5)
    channels_last: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x = dequantised(b, 0)
        first = 1 if self.channels_last else 2
        spatial = b.ints(*range(first, first + b.rank(x) - 2))
        return (requantised(b, b.op("ReduceMean", x, spatial), 3, b.input(0)),)


@op("QLinearReduceMean", MICROSOFT)
class QLinearReduceMean(Composite):
    """ReduceMean over ``axes``, or over all."""

    inputs = (2, 5)
    keepdims: int
    axes: tuple[int, ...] = ()

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        axes = b.ints(*self.axes) if self.axes else None
        result = b.op("ReduceMean", dequantised(b, 0), axes, keepdims=self.keepdims)
        return (requantised(b, result, 3, b.input(0)),)


@op("QLinearConcat", MICROSOFT)
class QLinearConcat(Composite):
    """Concat; after the output's scale and zero point each input is followed by its own two."""

    inputs = (5, None)
    axis: int

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        count = len(b.node.inputs)
        if count % 3 != 2:
            b.fail(f"each of its inputs needs a scale and a zero point; it has {count} inputs")
        parts = [dequantised(b, place) for place in range(2, count, 3)]
        return (requantised(b, b.op("Concat", *parts, axis=self.axis), 0, b.input(2)),)
