"""Operators that ONNX took over later under other signatures: Trilu, Pad, ExpandDims, Range, GatherND, Unique ..."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__: list[str] = []


def _scalar(b: Builder, index: int) -> ir.Value:
    """A required input of one element, as a scalar."""
    value = b.input(index)
    if b.rank(value) == 0:
        return value
    if b.rank(value) != 1:
        b.fail(f"input {index} must have one element, got shape {[*map(str, b.shape(value))]}")
    return b.op("Squeeze", value, b.ints(0))


@op("Trilu", MICROSOFT)
class Trilu(Composite):
    """The upper or lower triangle of matrices."""

    inputs = (1, 2)
    upper: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("Trilu", b.input(0), b.optional(1), upper=self.upper),)


@op("Pad", MICROSOFT)
class Pad(Composite):
    """Pad, whose pads may have shape (1, 2 * rank) and whose value shape (1)."""

    inputs = (2, 3)
    mode: str = "constant"

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        pads = b.of_rank(1, 1, 2)
        if b.rank(pads) == 2:
            pads = b.op("Squeeze", pads, b.ints(0))
        value = None if b.optional(2) is None else _scalar(b, 2)
        return (b.op("Pad", b.input(0), pads, value, mode=self.mode),)


@op("ExpandDims", MICROSOFT)
class ExpandDims(Composite):
    """A dimension of 1 inserted at an axis."""

    inputs = (2, 2)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        axis = b.cast(_scalar(b, 1), dtypes.int64)
        return (b.op("Unsqueeze", b.input(0), b.unsqueeze(axis, 0)),)


@op("Range", MICROSOFT)
class Range(Composite):
    """start, start + delta ... before limit; each may have shape (1)."""

    inputs = (2, 3)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        start, limit = _scalar(b, 0), _scalar(b, 1)
        delta = b.number(1, start) if b.optional(2) is None else _scalar(b, 2)
        return (b.op("Range", start, limit, delta),)


@op("GatherND", MICROSOFT)
class GatherND(Composite):
    """The slices at index tuples."""

    inputs = (2, 2)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("GatherND", b.input(0), b.cast(b.input(1), dtypes.int64)),)


@op("Unique", MICROSOFT)
class Unique(Composite):
    """The different elements of a vector in the order they come; then which each element is, and how often each is."""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        made = b.ops("Unique", [b.of_rank(0, 1)], 4, attributes={"sorted": 0})
        return made[0], made[2], made[3]


@op("GridSample", MICROSOFT)
class GridSample(Composite):
    """GridSample under the old names of its modes."""

    inputs = (2, 2)
    align_corners: int = 0
    mode: str = "bilinear"
    padding_mode: str = "zeros"

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        modes = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
        if self.mode not in modes:
            b.fail(f"attribute 'mode' must be one of {', '.join(modes)}, got {self.mode!r}")
        attributes = {"align_corners": self.align_corners, "padding_mode": self.padding_mode}
        inputs = [b.of_rank(0, 4), b.of_rank(1, 4)]
        return b.ops("GridSample", inputs, attributes={**attributes, "mode": modes[self.mode]})


@op("UnfoldTensor", MICROSOFT)
class UnfoldTensor(Composite):
    """Windows of ``size`` elements along a dimension, ``step`` apart; a window becomes the last dimension."""

    size: int
    dim: int = -1
    step: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, rank = b.input(0), b.rank(b.input(0))
        if not -rank <= self.dim < rank or self.size < 1 or self.step < 1:
            b.fail(f"windows of {self.size} elements {self.step} apart along dimension {self.dim} of {rank}")
        axis = self.dim % rank
        last = b.op("Squeeze", b.op("Sub", b.size(x, axis), b.ints(self.size - 1)), b.ints(0))
        starts = b.op("Range", b.constant(np.array(0)), last, b.constant(np.array(self.step)))
        places = b.op("Add", b.unsqueeze(starts, 1), b.ints(*range(self.size)))
        windows = b.op("Gather", x, places, axis=axis)
        order = [place for place in range(rank + 1) if place != axis + 1]
        return (b.transpose(windows, *order, axis + 1),)


@op("SampleOp", MICROSOFT)
class SampleOp(Composite):
    """The input itself."""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("Identity", b.input(0)),)


@op("ReduceSumInteger", MICROSOFT)
class ReduceSumInteger(Composite):
    """The sums of 8-bit integers over axes, as 32-bit ones."""

    axes: tuple[int, ...]
    keepdims: int

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        wide = dtypes.int32 if b.dtype(b.input(0)).is_signed else dtypes.uint32
        return (b.op("ReduceSum", b.cast(b.input(0), wide), b.ints(*self.axes), keepdims=self.keepdims),)


class _ComplexProduct(Composite):
    """The product of complex numbers, whose parts lie along the last dimension."""

    inputs = (2, 2)

    def product(self, b: Builder, *, conjugate: bool) -> Sequence[ir.Value]:
        parts: list[ir.Value] = []
        for index in (0, 1):
            value = b.input(index)
            if b.rank(value) < 1 or b.shape(value)[-1] != 2:
                b.fail(f"input {index} must have a last dimension of 2, got shape {[*map(str, b.shape(value))]}")
            parts += b.split(value, b.rank(value) - 1, 1, 1)
        first, second = ("Add", "Sub") if conjugate else ("Sub", "Add")
        real = b.op(first, b.op("Mul", parts[0], parts[2]), b.op("Mul", parts[1], parts[3]))
        imaginary = b.op(second, b.op("Mul", parts[1], parts[2]), b.op("Mul", parts[0], parts[3]))
        return (b.op("Concat", real, imaginary, axis=-1),)


@op("ComplexMul", MICROSOFT)
class ComplexMul(_ComplexProduct):
    """a * b of complex numbers"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return self.product(b, conjugate=False)


@op("ComplexMulConj", MICROSOFT)
class ComplexMulConj(_ComplexProduct):
    """a * conjugate(b) of complex numbers"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return self.product(b, conjugate=True)
