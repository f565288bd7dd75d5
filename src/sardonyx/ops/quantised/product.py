"""Lowering of products of 8-bit integers with zero points.

The kernel sums s = sum over k of a' b', a' = a + a_shift and b' = b + b_shift being what the atom multiplies
(kernels/dot.py). With a's zero point p and b's q, and p' = p + a_shift and q' = q + b_shift,

    sum over k of (a - p) (b - q) = s - p' (sum of b - K q) - q' (sum of a + K a_shift)

so that zero points cost one addition for each result where B and all zero points are constant. All of it is computed
in int32, exact modulo 2**32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.dot import choose_atom
from sardonyx.kernels.spec import Operand
from sardonyx.ops.arithmetic import Add, Div, Mul, Sub
from sardonyx.ops.base import Fused, InferContext, LowerContext
from sardonyx.ops.product import Matrix, lower_product, require_broadcast, walk
from sardonyx.ops.quantised.sums import SumProgram, sums_of
from sardonyx.symbols import Dim, known_equal, minimum, symbol

__all__ = ["IntegerProduct", "aligned_axes", "require_aligned"]


def aligned_axes(info: TensorInfo | None, rank: int, axis: int | None) -> tuple[int, ...] | None:
    """The dimensions of a result of ``rank`` along which a zero point's or scale's numbers lie; None: it does not fit.

    One of one dimension lies along ``axis``; others along the trailing dimensions.
    """
    if info is None or info.shape is None:
        return () if info is None else None
    own = len(info.shape)
    if own == 1:
        return (0 if axis is None else axis,)
    return tuple(range(rank - own, rank)) if own <= rank else None


def require_aligned(ctx: InferContext, index: int, shape: Sequence[Dim], axis: int | None) -> None:
    """An input's numbers must be one, or one for each place along the dimensions that they lie on."""
    info = ctx.optional(index)
    axes = aligned_axes(info, len(shape), axis)
    if info is None or info.shape is None or axes is None:
        return
    for size, place in zip(info.shape, axes, strict=True):
        wanted = 1 if axis is None and len(axes) == 1 else shape[place]
        require_broadcast(ctx, size, wanted, f"input {index} of shape {list(info.shape)} does not fit {list(shape)}")


@dataclass
class IntegerProduct:
    """The product of one node: ``c[axis ...] = a b`` with the program that its sums go through.

    ``right`` is the input that B comes from. ``row_axis`` and ``column_axis`` are the dimensions of the output that
    vectors of A's and of B's numbers lie along.
    """

    ctx: LowerContext
    a: Matrix
    b: Matrix
    c: Matrix
    batch: Sequence[Dim]
    right: int
    row_axis: int | None
    column_axis: int | None

    def __post_init__(self) -> None:
        self.program = SumProgram(self.ctx)
        self.atom = choose_atom(self.ctx.target, self.a.operand.dtype, self.b.operand.dtype)

    # -- numbers beside the sums ---------------------------------------------------------------------------------

    def offset(self, strides: Sequence[Dim]) -> Dim:
        """The offset at the kernel's position, given the stride along each dimension of the output."""
        places: list[Dim] = (
            [symbol("i0"), symbol("i1"), symbol("i2")] if self.batch else [0, symbol("i0"), symbol("i1")]
        )
        result: Dim = 0
        for place, axes in zip(places, (self.c.batch, self.c.row, self.c.column), strict=True):
            steps = [strides[axis] for axis in axes]
            if any(step != 0 for step in steps):
                result = result + walk(self.program.slots, place, self.c.sizes(axes), steps)
        return result

    def strides(self, operand: Operand, axes: Sequence[int]) -> list[Dim]:
        """An operand's strides along the dimensions of the output; ``axes`` says where its own lie."""
        result: list[Dim] = [0] * self.c.operand.rank
        for axis, size, stride in zip(axes, operand.shape, operand.strides, strict=True):
            if size != 1 and result:
                certain = isinstance(size, int) or known_equal(size, self.c.operand.shape[axis])
                result[axis] = stride if certain else stride * minimum(size - 1, 1)
        return result

    def input(self, index: int, axis: int | None, dtype: DType = dtypes.int32) -> int:
        """The number of an input (zero point, scale, bias) that belongs to the sum."""
        axes = aligned_axes(self.ctx.infer.optional(index), self.c.operand.rank, axis)
        if axes is None:
            raise AssertionError("a zero point or scale that does not fit the product")
        return self.program.input(index, lambda operand: self.offset(self.strides(operand, axes)), dtype)

    def scale(self, a: int, b: int, y: int | None = None) -> int:
        """The place of the float32 scale a b / y of these inputs; a and y for rows, b for columns."""
        program, f32 = self.program, dtypes.float32
        known = [None if index is None else self.ctx.const(index) for index in (a, b, y)]
        numbers = [np.ones((), np.float32) if c is None else c.astype(np.float32) for c in known]
        others = numbers[0].size == numbers[2].size == 1
        if others and known[0] is not None and known[1] is not None and (y is None or known[2] is not None):
            array = numbers[0].reshape(()) * numbers[1] / numbers[2].reshape(())
            if array.size == 1:
                return program.number(float(array.reshape(-1)[0]), f32)
            axes = aligned_axes(self.ctx.infer.optional(b), self.c.operand.rank, self.column_axis) or ()
            operand = self.ctx.constant(np.ascontiguousarray(array))
            return program.load(operand, self.offset(self.strides(operand, axes)), f32)
        place = program.apply(Mul(), self.input(a, self.row_axis, f32), self.input(b, self.column_axis, f32), dtype=f32)
        return place if y is None else program.apply(Div(), place, self.input(y, self.row_axis, f32), dtype=f32)

    # -- zero points ---------------------------------------------------------------------------------------------

    def corrected(self, a_zero: int | None, b_zero: int | None) -> int:
        """The place of the sum with zero points, which are these inputs, taken into account."""
        program, total = self.program, 0
        a_shift, b_shift = self.atom.a_shift, self.atom.b_shift(self.b.operand.dtype)
        p, q = self._known(a_zero), self._known(b_zero)
        factor = int(p.reshape(-1)[0]) + a_shift if p is not None and p.size == 1 else None
        known = None if q is None else self.ctx.const(self.right)
        if factor is not None and known is not None and q is not None:
            if factor:
                columns = self._known_columns(known, q)
                total = program.apply(Add(), total, self._column(self.ctx.constant(int32(-factor * columns))))
        elif factor != 0:
            if known is None or q is None:
                place = self._summed_columns(b_zero)
            else:
                place = self._column(self.ctx.constant(int32(self._known_columns(known, q))))
            zero = self._shifted(a_zero, self.row_axis, a_shift)
            total = program.apply(Sub(), total, program.apply(Mul(), zero, place))
        if q is None or np.any(q.astype(np.int64) + b_shift != 0):
            zero = self._shifted(b_zero, self.column_axis, b_shift)
            total = program.apply(Sub(), total, program.apply(Mul(), zero, self._summed_rows(a_shift)))
        return total

    def _known(self, index: int | None) -> npt.NDArray[Any] | None:
        """A zero point that is a constant; an omitted one is zero."""
        return np.zeros((1,), np.int32) if index is None else self.ctx.const(index)

    def _shifted(self, index: int | None, axis: int | None, shift: int) -> int:
        """The place of a zero point, shifted as its operand is."""
        program = self.program
        if index is None:
            return program.number(shift)
        zero = self.input(index, axis)
        return program.apply(Add(), zero, program.number(shift)) if shift else zero

    def _known_columns(self, weights: npt.NDArray[Any], zeros: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """sum of b - K q, where both are constants: one number for each column of each batch element."""
        inner = self.b.operand.rank - 1 - self.b.row[0]  # counted from the last: leading dimensions may be left out
        axis = weights.ndim - 1 - inner
        sums = weights.sum(axis=axis, dtype=np.int64)
        wide = zeros.astype(np.int64)
        numbers = wide.reshape(-1) if wide.ndim <= 1 else np.squeeze(wide, -2)
        columns = np.asarray(sums - weights.shape[axis] * numbers)
        while columns.ndim and columns.shape[0] == 1:
            columns = columns[0]
        return columns

    def _column(self, operand: Operand) -> int:
        """The place of a number for each column (of each batch element) that lies in an operand of trailing sizes."""
        column = self.c.column
        batch = self.c.batch[len(self.c.batch) - (operand.rank - len(column)) :] if operand.rank > len(column) else ()
        axes = (*batch, *column)[-operand.rank :] if operand.rank else ()
        return self.program.load(operand, self.offset(self.strides(operand, axes)), dtypes.int32)

    def _summed_columns(self, b_zero: int | None) -> int:
        """sum of b - K q, computed before each run."""
        program = self.program
        sums = self._column(sums_of(self.ctx, self.b.operand, self.b.row[0]))
        if b_zero is None:
            return sums
        whole = program.apply(Mul(), program.size(self.b.rows), self.input(b_zero, self.column_axis))
        return program.apply(Sub(), sums, whole)

    def _summed_rows(self, a_shift: int) -> int:
        """sum of a + K a_shift, computed before each run."""
        program = self.program
        rows = sums_of(self.ctx, self.a.operand, self.a.column[0])
        last = self.c.operand.rank - len(self.c.column)
        axes = range(last - rows.rank, last)
        sums = program.load(rows, self.offset(self.strides(rows, axes)), dtypes.int32)
        if not a_shift:
            return sums
        return program.apply(Add(), sums, program.apply(Mul(), program.size(self.a.columns), program.number(a_shift)))

    # -- the call ------------------------------------------------------------------------------------------------

    def lower(self, result: int, epilogue: Fused) -> None:
        """Emits the product; the program's result is what the epilogue gets."""
        lower_product(
            self.ctx,
            self.a,
            self.b,
            self.batch,
            self.c,
            self.a.operand.dtype,
            epilogue,
            constant_b=self.ctx.const(self.right) is not None,
            scale=self.program.fused(result),
            atom=self.atom,
        )


def int32(array: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The low 32 bits."""
    return np.asarray(array).astype(np.int32)
