"""TopK."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.nest import Nest
from sardonyx.kernels.topk import TopK as Kernel
from sardonyx.ops.axes import axis_of, row_major
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.loops import CallPlan, Loops
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer, size_from
from sardonyx.symbols import Dim, product

__all__ = ["TopK"]


@op("TopK")
class TopK(Anchor):
    """The k (input 1) largest or smallest elements along ``axis``, best first, and their positions.

    Of equal elements the one with the lower position comes first; a NaN is larger than any number. Without ``sorted``
    any order will do, so that one is kept too.
    """

    sized_by = (1,)
    axis: int = -1
    largest: int = 1
    sorted: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        ctx.input(1)
        k = self._count(ctx)
        if data.shape is None:
            return TensorInfo(data.dtype), TensorInfo(dtypes.int64)
        axis = axis_of(ctx, self.axis, len(data.shape))
        if k is None:
            k = ctx.fresh("k")
        else:
            ctx.require_least(
                data.shape[axis], k, f"k is {k}, but axis {self.axis} has only {data.shape[axis]} elements"
            )
        shape: tuple[Dim, ...] = (*data.shape[:axis], k, *data.shape[axis + 1 :])
        return TensorInfo(data.dtype, shape), TensorInfo(dtypes.int64, shape)

    def _count(self, ctx: InferContext) -> Dim | None:
        k = scalar_integer(ctx, 1)
        return None if k is None else size_from(ctx, k, f"k must not be negative, got {k}")

    def lowers(self, ctx: InferContext) -> bool:
        data = ctx.input(0)
        known = data.shape is not None and self._count(ctx) is not None
        return known and data.dtype is not None and computable(data.dtype, "fiu")

    def lower(self, ctx: LowerContext) -> None:
        data = ctx.infer.input(0)
        k = self._count(ctx.infer)
        if data.dtype is None or k is None:
            raise AssertionError("TopK of unknown type or size was lowered")
        axis = axis_of(ctx.infer, self.axis, len(data.shape or ()))
        loops = Loops.plan(ctx, 0, (axis,), alone=(axis,))
        along = loops.groups.index((axis,))
        plan = CallPlan()
        nest = Nest(tuple(plan.slot(extent) for extent in loops.extents), (along,), along)
        count = plan.slot(k)
        words = k * Kernel.words(data.dtype)
        kept = [extent for loop, extent in enumerate(loops.extents) if loop != along]
        row_steps = [step * words for step in row_major(kept)]
        row_steps.insert(along, 0)
        heap = plan.store(ctx.scratch(dtypes.uint64, product(kept) * words), row_steps)
        values, indices = (ctx.output(index, loops.order) for index in (0, 1))
        kernel = Kernel(
            nest=nest,
            dtype=data.dtype,
            k=count,
            largest=bool(self.largest),
            heap=heap,
            values=plan.store(values, loops.steps(values.strides)),
            indices=plan.store(indices, loops.steps(indices.strides)),
            element=plan.part(loops.element),
        )
        plan.call(ctx, kernel, nest.tasks(), loops.elements * 2)
