"""DFT: the discrete Fourier transform along one axis."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.fourier import Fourier, FourierTables, scratch_size, table_size
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import AxisChoice, around_axis, chosen_axes, fixed_axes, unknown
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import Dim

__all__ = ["DFT"]

LONGEST = 1 << 40


@op("DFT")
class DFT(Anchor):
    """The transform of length ``dft_length`` along ``axis`` of real (..., 1) or complex (..., 2) numbers.

    ``onesided`` gives the first half of the frequencies of real input, or, with ``inverse``, takes such a half and
    gives real numbers.
    """

    sized_by = (1, 2)
    inverse: int = 0
    onesided: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) < 2 or (isinstance(x.shape[-1], int) and x.shape[-1] not in (1, 2)):
            ctx.fail(f"the last dimension must hold one or two numbers, got shape {list(x.shape)}")
        if self.onesided and not self.inverse and x.shape[-1] == 2:
            ctx.fail("a one-sided transform takes real input")
        axis, n = self._axis(ctx), self._length(ctx)
        if axis is None or n is None:
            return (unknown(ctx, x, len(x.shape)),)
        out = self._out(n)
        sizes = [
            out if here == 1 else ctx.define("size", size + here * (out - size))
            for size, here in zip(x.shape[:-1], axis, strict=True)
        ]
        return (TensorInfo(x.dtype, (*sizes, 1 if self.inverse and self.onesided else 2)),)

    def _axis(self, ctx: InferContext) -> AxisChoice | None:
        """Which of the dimensions but the last is transformed."""
        shape = ctx.input(0).shape
        if not shape:
            return None
        rank = len(shape)
        chosen = fixed_axes([rank - 2], rank) if ctx.optional(2) is None else chosen_axes(ctx, 2, rank)
        if chosen is None:
            return None
        if len(chosen) != 1:
            ctx.fail(f"the axis must be one number, got {len(chosen)}")
        message = "the axis must not be the last one, which holds the parts of complex numbers"
        ctx.require_equal(chosen[0][-1], 0, message)
        return chosen[0][:-1]

    def _length(self, ctx: InferContext) -> Dim | None:
        axis, shape = self._axis(ctx), ctx.input(0).shape
        if axis is None or shape is None:
            return None
        if ctx.optional(1) is None:
            _, size, _ = around_axis(ctx, axis, shape[:-1])
            return (size - 1) * 2 if self.inverse and self.onesided else size
        n = scalar_integer(ctx, 1)
        if n is None:
            return None
        message = f"dft_length must lie in [1, {LONGEST}), got {n}"
        ctx.require_least(n, 1, message)
        ctx.require_least(LONGEST - 1, n, message)
        return n

    def _out(self, n: Dim) -> Dim:
        return n // 2 + 1 if self.onesided and not self.inverse else n

    def lowers(self, ctx: InferContext) -> bool:
        x = ctx.input(0)
        if x.dtype is None or not x.shape or self._axis(ctx) is None or self._length(ctx) is None:
            return False
        return computable(x.dtype, "f") and isinstance(x.shape[-1], int)

    def lower(self, ctx: LowerContext) -> None:
        x, y, slots = ctx.contiguous(0), ctx.output(), Slots()
        axis, n = self._axis(ctx.infer), self._length(ctx.infer)
        if axis is None or n is None:
            raise AssertionError("a transform of unknown length was lowered")
        tables = ctx.scratch(dtypes.float64, table_size(n))
        first = ctx.scratch(dtypes.float64, scratch_size(n))
        inner_slots = Slots()
        ctx.call(FourierTables(inner_slots.add(n)), [tables, first], inner_slots.sizes, 1)
        outer, length, inner = around_axis(ctx.infer, axis, x.shape[:-1])
        kernel = Fourier(
            x.dtype,
            2 if x.shape[-1] == 2 else 1,
            bool(self.inverse),
            bool(self.onesided),
            slots.add(n),
            slots.add(outer * inner),
            slots.add(length),
            slots.add(self._out(n)),
            slots.add(inner),
        )
        tasks = Fourier.tasks(outer * inner)
        scratch = ctx.scratch(dtypes.float64, scratch_size(n) * tasks)
        ctx.call(kernel, [x, y, tables, scratch], slots.sizes, tasks, outer * inner * n * 64)
