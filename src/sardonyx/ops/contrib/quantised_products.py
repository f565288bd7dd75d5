"""Products of quantised matrices and quantised convolutions of ONNX Runtime, as the integer operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.contrib.attention import self_attention
from sardonyx.ops.contrib.attention_parts import check_heads, split_heads
from sardonyx.ops.contrib.quantised import as_given, channels_first, requantised
from sardonyx.ops.registry import op

__all__ = ["integer_product"]


def integer_product(
    b: Builder,
    x: ir.Value,
    w: ir.Value,
    scale: ir.Value,
    x_zero: ir.Value | None,
    w_zero: ir.Value | None,
    bias: ir.Value | None,
) -> ir.Value:
    """(x - x_zero) (w - w_zero) * scale + bias, in the scale's type."""
    total = b.op("MatMulInteger", x, w, x_zero, w_zero)
    result = b.op("Mul", b.cast(total, b.dtype(scale)), scale)
    return result if bias is None else b.op("Add", result, bias)


@op("MatMulIntegerToFloat", MICROSOFT)
class MatMulIntegerToFloat(Composite):
    """MatMulInteger as floats, times the product of scales, plus a bias.

    Inputs: A, B, their scales, their zero points, the bias. Numbers for B may be one for each column.
    """

    inputs = (4, 7)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        scale = b.op("Mul", b.input(2), b.input(3))
        zeros = b.optional(4), b.optional(5)
        return (integer_product(b, b.input(0), b.input(1), scale, *zeros, b.optional(6)),)


@op("DynamicQuantizeMatMul", MICROSOFT)
class DynamicQuantizeMatMul(Composite):
    """MatMulIntegerToFloat of floats that are quantised now, by DynamicQuantizeLinear."""

    inputs = (3, 5)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, x_scale, x_zero = b.ops("DynamicQuantizeLinear", [b.input(0)], 3)
        scale = b.op("Mul", x_scale, b.input(2))
        return (integer_product(b, x, b.input(1), scale, x_zero, b.optional(3), b.optional(4)),)


@op("QGemm", MICROSOFT)
class QGemm(Composite):
    """((A' - a_zero) (B' - b_zero) + C) * alpha * a_scale * b_scale, quantised where a scale of the output is given.

    Inputs: A, its scale and zero point, B, its two, C (int32), the output's two.
    """

    inputs = (6, 9)
    alpha: float = 1.0
    transA: int = 0
    transB: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        left, right = b.of_rank(0, 2), b.of_rank(3, 2)
        left = b.transpose(left, 1, 0) if self.transA else left
        right = b.transpose(right, 1, 0) if self.transB else right
        total = b.op("MatMulInteger", left, right, b.input(2), b.input(5))
        bias = b.optional(6)
        total = total if bias is None else b.op("Add", total, bias)
        scale = b.op("Mul", b.input(1), b.input(4))
        if self.alpha != 1:
            scale = b.op("Mul", scale, b.number(self.alpha, scale))
        result = b.op("Mul", b.cast(total, dtypes.float32), scale)
        return (result if b.optional(7) is None else requantised(b, result, 7, b.input(0)),)


@op("QLinearConv", MICROSOFT)
class QLinearConv(Composite):
    """ONNX's QLinearConv; with ``channels_last`` of (batch, spatial ..., channels)."""

    inputs = (8, 9)
    auto_pad: str = "NOTSET"
    channels_last: int = 0
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        shapes = {"kernel_shape": self.kernel_shape, "pads": self.pads}
        lists = {**shapes, "dilations": self.dilations, "strides": self.strides}
        attributes: dict[str, Any] = {name: list(numbers) for name, numbers in lists.items() if numbers}
        attributes |= {"auto_pad": self.auto_pad, "group": self.group}
        x = channels_first(b, b.input(0), self.channels_last)
        others = [b.input(index) for index in range(1, 8)]
        (result,) = b.ops("QLinearConv", [x, *others, b.optional(8)], attributes=attributes)
        return (as_given(b, result, self.channels_last),)


@op("QAttention", MICROSOFT)
class QAttention(Composite):
    """Self-attention of x, whose queries, keys and values are one product of integers.

    Inputs: x (batch, rows, hidden), W, a float bias, the scales of x and of W, a mask, the zero points of x and of W,
    the past. The rest is as in Attention, in the bias's type.
    """

    inputs = (5, 9)
    num_heads: int
    do_rotary: int = 0
    mask_filter_value: float = -10000.0
    past_present_share_buffer: int = 0
    scale: float | None = None
    unidirectional: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        if self.do_rotary or self.past_present_share_buffer:
            b.unsupported("the attributes do_rotary and past_present_share_buffer")
        check_heads(b, self.num_heads)
        columns = b.known(b.shape(b.of_rank(1, 2))[1], "the number of columns of the weights")
        if columns % 3:
            b.fail(f"weights of {columns} columns do not make queries, keys and values")
        scale = b.op("Mul", b.input(3), b.input(4))
        zeros = b.optional(6), b.optional(7)
        made = integer_product(b, b.of_rank(0, 3), b.input(1), scale, *zeros, b.of_rank(2, 1))
        heads = [split_heads(b, part, self.num_heads) for part in b.split(made, 2, *(columns // 3,) * 3)]
        return self_attention(
            b, heads, past=8, mask=5, added=9, filler=self.mask_filter_value, scale=self.scale,
            causal=int(self.unidirectional != 0),
        )  # fmt: skip
