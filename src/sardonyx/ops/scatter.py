"""Scattered writes: ScatterElements and ScatterND."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.scatter import REDUCTIONS, ScatterElements, ScatterSlices
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.symbols import known_positive, product

__all__ = ["ScatterElementsOp", "ScatterND"]


def _check_reduction(ctx: InferContext, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        ctx.fail(f"reduction {reduction!r}; expected one of {', '.join(REDUCTIONS)}")


def _is_computable(ctx: InferContext) -> bool:
    infos = [ctx.input(index) for index in range(3)]
    return all(info.shape is not None and info.dtype is not None and info.dtype.kind in "fiub" for info in infos)


@op("ScatterElements")
class ScatterElementsOp(Anchor):
    """The data with element p of the updates (input 2) put at p, with the index at p (input 1) in the place of
    ``axis``; ``reduction`` says how it meets what is there.
    """

    axis: int = 0
    reduction: str = "none"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices, updates = ctx.input(0), ctx.input(1), ctx.input(2)
        _check_reduction(ctx, self.reduction)
        ranks = {info.rank for info in (data, indices, updates) if info.rank is not None}
        if len(ranks) > 1:
            ctx.fail(f"data, indices and updates must have one rank, got {sorted(ranks)}")
        if data.shape is None or indices.shape is None:
            return (TensorInfo(data.dtype, data.shape),)
        axis = axis_of(ctx, self.axis, len(data.shape))
        for place, (size, limit) in enumerate(zip(indices.shape, data.shape, strict=True)):
            if place != axis and known_positive(size - limit):
                ctx.fail(f"the indices have size {size} along axis {place}, the data only {limit}")
            if updates.shape is not None:
                message = f"axis {place} has size {size} in the indices and {updates.shape[place]} in the updates"
                ctx.require_equal(updates.shape[place], size, message)
        return (TensorInfo(data.dtype, data.shape),)

    def carries(self, ctx: InferContext) -> bool:
        return self.reduction == "none"

    def lowers(self, ctx: InferContext) -> bool:
        return _is_computable(ctx) and bool(ctx.input(0).shape)

    def lower(self, ctx: LowerContext) -> None:
        target = ctx.output()
        ctx.copy(ctx.input(0), target)
        indices, updates, slots = ctx.input(1), ctx.input(2), Slots()
        axis = axis_of(ctx.infer, self.axis, target.rank)
        rows = [target.shape, target.strides, indices.strides, updates.strides]
        limits, *strides = [tuple(slots.add(d) for d in row) for row in rows]
        extents = tuple(slots.add(d) for d in indices.shape)
        kernel = ScatterElements(target.dtype, indices.dtype, axis, self.reduction, extents, limits, *strides)
        ctx.call(kernel, [target, indices, updates], slots.sizes, ScatterElements.tasks(indices.shape, axis))


@op("ScatterND")
class ScatterND(Anchor):
    """The data with the slices of the updates (input 2) put at the index tuples of the indices (input 1)."""

    length_of = (1,)
    reduction: str = "none"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices, updates = ctx.input(0), ctx.input(1), ctx.input(2)
        _check_reduction(ctx, self.reduction)
        if data.shape is not None and indices.shape is not None:
            if not indices.shape:
                ctx.fail("the indices are a scalar; expected rank 1 or more")
            depth = indices.shape[-1]
            if isinstance(depth, int):
                if depth > len(data.shape):
                    ctx.fail(f"index tuples of {depth} for data of rank {len(data.shape)}")
                expected = indices.shape[:-1] + data.shape[depth:]
                if updates.shape is not None:
                    message = f"updates of shape {list(updates.shape)}; expected {list(expected)}"
                    if len(updates.shape) != len(expected):
                        ctx.fail(message)
                    for have, want in zip(updates.shape, expected, strict=True):
                        ctx.require_equal(have, want, message)
        return (TensorInfo(data.dtype, data.shape),)

    def carries(self, ctx: InferContext) -> bool:
        return self.reduction == "none"

    def lowers(self, ctx: InferContext) -> bool:
        indices = ctx.input(1)
        known = bool(indices.shape) and indices.shape is not None and isinstance(indices.shape[-1], int)
        return _is_computable(ctx) and known and indices.dtype is dtypes.int64

    def lower(self, ctx: LowerContext) -> None:
        target = ctx.output()
        ctx.copy(ctx.input(0), target)
        indices, updates, slots = ctx.contiguous(1), ctx.contiguous(2), Slots()
        depth = indices.shape[-1]
        if not isinstance(depth, int):
            raise TypeError("ScatterND was lowered without a constant index depth")
        limits = tuple(slots.add(d) for d in target.shape[:depth])
        size, count = product(target.shape[depth:]), product(indices.shape[:-1])
        kernel = ScatterSlices(target.dtype, self.reduction, limits, slots.add(count), slots.add(size))
        ctx.call(kernel, [target, indices, updates], slots.sizes, ScatterSlices.tasks(size))
