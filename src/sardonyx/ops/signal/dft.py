"""DFT: the discrete Fourier transform along one axis."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.fourier import Fourier, FourierTables, scratch_size, table_size
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import Dim, product

__all__ = ["DFT"]

LONGEST = 1 << 40


@op("DFT")
class DFT(Anchor):
    """The transform of length ``dft_length`` along ``axis`` of real (..., 1) or complex (..., 2) numbers.

    ``onesided`` gives the first half of the frequencies of real input, or, with ``inverse``, takes such a half and
    gives real numbers.
    """

    inverse: int = 0
    onesided: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        axis, n = self._axis(ctx), self._length(ctx)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) < 2 or (isinstance(x.shape[-1], int) and x.shape[-1] not in (1, 2)):
            ctx.fail(f"the last dimension must hold one or two numbers, got shape {list(x.shape)}")
        if self.onesided and not self.inverse and x.shape[-1] == 2:
            ctx.fail("a one-sided transform takes real input")
        if axis is None or n is None:
            return (TensorInfo(x.dtype, tuple(ctx.fresh("frequencies") for _ in x.shape)),)
        parts = 1 if self.inverse and self.onesided else 2
        return (TensorInfo(x.dtype, (*x.shape[:axis], self._out(n), *x.shape[axis + 1 : -1], parts)),)

    def _axis(self, ctx: InferContext) -> int | None:
        x = ctx.input(0)
        given = -2 if ctx.optional(2) is None else scalar_integer(ctx, 2)
        if x.shape is None or not isinstance(given, int):
            return None
        axis = axis_of(ctx, given, len(x.shape))
        if axis == len(x.shape) - 1:
            ctx.fail("the axis must not be the last one, which holds the parts of complex numbers")
        return axis

    def _length(self, ctx: InferContext) -> Dim | None:
        x, axis = ctx.input(0), self._axis(ctx)
        if ctx.optional(1) is None:
            size = None if axis is None or x.shape is None else x.shape[axis]
            return (size - 1) * 2 if size is not None and self.inverse and self.onesided else size
        n = scalar_integer(ctx, 1)
        if isinstance(n, int) and not 0 < n < LONGEST:
            ctx.fail(f"dft_length must lie in [1, {LONGEST}), got {n}")
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
        inner = product(x.shape[axis + 1 : -1])
        lines = product(x.shape[:axis]) * inner
        kernel = Fourier(
            x.dtype,
            2 if x.shape[-1] == 2 else 1,
            bool(self.inverse),
            bool(self.onesided),
            slots.add(n),
            slots.add(lines),
            slots.add(x.shape[axis]),
            slots.add(y.shape[axis]),
            slots.add(inner),
        )
        tasks = Fourier.tasks(lines)
        scratch = ctx.scratch(dtypes.float64, scratch_size(n) * tasks)
        ctx.call(kernel, [x, y, tables, scratch], slots.sizes, tasks, lines * n * 64)
