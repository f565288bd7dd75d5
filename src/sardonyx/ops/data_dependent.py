"""Operators whose output sizes only the data can tell: Compress, NonZero, Unique. They run on the reference."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.registry import op

__all__ = ["Compress", "NonZero", "Unique"]


@op("Compress")
class Compress(Op):
    """The slices of ``axis`` (of the flattened input without one) where the condition (input 1) is true."""

    axis: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if self.axis is None:
            return (TensorInfo(data.dtype, (ctx.fresh("selected"),)),)
        if data.shape is None:
            return (TensorInfo(data.dtype),)
        axis = axis_of(ctx, self.axis, len(data.shape))
        return (TensorInfo(data.dtype, (*data.shape[:axis], ctx.fresh("selected"), *data.shape[axis + 1 :])),)


@op("NonZero")
class NonZero(Op):
    """The coordinates of the elements that are not 0, one column each."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        rank = ctx.input(0).rank
        return (TensorInfo(dtypes.int64, (ctx.fresh("rank") if rank is None else rank, ctx.fresh("nonzero"))),)


@op("Unique")
class Unique(Op):
    """The different elements, or slices of ``axis``; then where each comes first, which each is, and how often."""

    axis: int | None = None
    sorted: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, count = ctx.input(0), ctx.fresh("unique")
        first = TensorInfo(data.dtype, (count,) if self.axis is None else None)
        total = ctx.fresh("elements")
        if data.shape is not None and self.axis is not None:
            axis = axis_of(ctx, self.axis, len(data.shape))
            first = TensorInfo(data.dtype, (*data.shape[:axis], count, *data.shape[axis + 1 :]))
        numbers = [TensorInfo(dtypes.int64, (size,)) for size in (count, total, count)]
        return (first, *numbers)[: ctx.outputs]
