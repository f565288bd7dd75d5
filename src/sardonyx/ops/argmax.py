"""ArgMax, ArgMin and Hardmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.select import Select, compare_dtype
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.loops import CallPlan, Loops
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["ArgMax", "ArgMin", "Hardmax"]


@dataclass(frozen=True)
class Selection(Anchor):
    """Base of ArgMax and ArgMin: int64 positions along ``axis``; of equals the first, or the last; NaN wins."""

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0

    largest: ClassVar[bool] = True

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape = ctx.input(0).shape
        if shape is None:
            return (TensorInfo(dtypes.int64),)
        axis = axis_of(ctx, self.axis, len(shape))
        if shape[axis] == 0 and 0 not in (*shape[:axis], *shape[axis + 1 :]):
            ctx.fail(f"axis {self.axis} has no elements, so that none of them is the most extreme")
        middle: tuple[Dim, ...] = (1,) if self.keepdims else ()
        return (TensorInfo(dtypes.int64, (*shape[:axis], *middle, *shape[axis + 1 :])),)

    def lowers(self, ctx: InferContext) -> bool:
        data = ctx.input(0)
        return data.dtype is not None and computable(data.dtype, "fiu") and data.shape is not None

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        rank = outputs[0].rank
        return None if rank is None else [list(range(rank))]

    def prologue(self, ctx: InferContext) -> int | None:
        return 0

    def lower(self, ctx: LowerContext) -> None:
        data = ctx.infer.input(0)
        axes = (axis_of(ctx.infer, self.axis, len(data.shape or ())),)
        keepdims = bool(self.keepdims)
        loops = Loops.plan(ctx, 0, axes)
        groups, index = loops.result_loops(axes, keepdims)
        fused = ctx.epilogue(groups)
        output = ctx.output(0, loops.order_of(axes, keepdims))
        plan = CallPlan()
        nest = loops.nest(plan)
        store = plan.store(output, loops.steps(loops.result_strides(output, axes, keepdims)))
        kernel = Select(
            nest=nest,
            dtype=compare_dtype(data.dtype or dtypes.float32),
            largest=self.largest,
            last=bool(self.select_last_index),
            element=plan.part(loops.element),
            epilogue=plan.part(fused, index),
            stores=(store,),
        )
        plan.call(ctx, kernel, nest.tasks(), loops.elements)


@op("ArgMax")
class ArgMax(Selection):
    """The position of the largest element."""


@op("ArgMin")
class ArgMin(Selection):
    """The position of the smallest element."""

    largest = False


@op("Hardmax")
class Hardmax(Anchor):
    """1 at the first largest element along ``axis``, 0 elsewhere."""

    axis: int = -1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is not None:
            axis_of(ctx, self.axis, len(data.shape))
        return (TensorInfo(data.dtype, data.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        data = ctx.input(0)
        return data.dtype is not None and computable(data.dtype, "f") and data.shape is not None

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        rank = outputs[0].rank
        return None if rank is None else [list(range(rank))]

    def prologue(self, ctx: InferContext) -> int | None:
        return 0

    def lower(self, ctx: LowerContext) -> None:
        data = ctx.infer.input(0)
        dtype = data.dtype or dtypes.float32
        loops = Loops.plan(ctx, 0, (axis_of(ctx.infer, self.axis, len(data.shape or ())),))
        fused = ctx.epilogue(loops.groups)
        output = ctx.output(0, loops.order)
        plan = CallPlan()
        nest = loops.nest(plan)
        store = plan.store(output, loops.steps(output.strides))
        kernel = Select(
            nest=nest,
            dtype=compare_dtype(dtype),
            largest=True,
            last=False,
            element=plan.part(loops.element),
            epilogue=plan.part(fused),
            stores=(store,),
            one_hot=dtype,
        )
        plan.call(ctx, kernel, nest.tasks(), loops.elements)
