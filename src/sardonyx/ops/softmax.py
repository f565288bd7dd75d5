"""Softmax and LogSoftmax along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import Carried, compute_dtype
from sardonyx.kernels.softmax import Softmax as Kernel
from sardonyx.ops.axes import axis_of, row_major
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.loops import CallPlan, Loops
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["LogSoftmax", "Softmax"]


@dataclass(frozen=True)
class Normalising(Anchor):
    """Base of both: results of the input's type and shape, along ``axis``."""

    axis: int = -1

    logarithm: ClassVar[bool] = False

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
        if data.dtype is None or data.shape is None:
            raise AssertionError("softmax of an unknown type was lowered")
        dtype = compute_dtype(data.dtype)
        loops = Loops.plan(ctx, 0, (axis_of(ctx.infer, self.axis, len(data.shape)),))
        fused = ctx.epilogue(loops.groups)
        output = ctx.output(0, loops.order)
        plan = CallPlan()
        nest = loops.nest(plan)
        store = plan.store(output, loops.steps(output.strides))
        stage = None if self.logarithm else store
        plain = isinstance(fused.program.instructions[fused.program.results[0]], Carried)
        if stage is not None and not (plain and output.dtype == dtype):
            memory = ctx.scratch(dtype, product(loops.extents))
            stage = plan.store(memory, row_major(loops.extents))
        kernel = Kernel(nest, dtype, plan.part(loops.element), plan.part(fused), (store,), stage)
        plan.call(ctx, kernel, nest.tasks(), loops.elements * 24)


@op("Softmax")
class Softmax(Normalising):
    """exp(x) / sum(exp(x))."""


@op("LogSoftmax")
class LogSoftmax(Normalising):
    """x - log(sum(exp(x)))."""

    logarithm = True
