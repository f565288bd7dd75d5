"""Running sums and products: CumSum and CumProd."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.cumulative import Cumulative
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import product

__all__ = ["CumProd", "CumSum"]


def _infer(ctx: InferContext) -> Sequence[TensorInfo]:
    data = ctx.input(0)
    axis = scalar_integer(ctx, 1)
    if data.shape is not None and isinstance(axis, int):
        axis_of(ctx, axis, len(data.shape))
    return (TensorInfo(data.dtype, data.shape),)


def _lowers(ctx: InferContext) -> bool:
    data = ctx.input(0)
    computable = data.dtype is not None and data.dtype.kind in "fiu"
    return computable and bool(data.shape) and isinstance(scalar_integer(ctx, 1), int)


def _lower(ctx: LowerContext, *, multiply: bool, exclusive: bool, reverse: bool) -> None:
    source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
    given = scalar_integer(ctx.infer, 1)
    axis = axis_of(ctx.infer, given if isinstance(given, int) else 0, source.rank)
    outer, count, inner = product(source.shape[:axis]), source.shape[axis], product(source.shape[axis + 1 :])
    kernel = Cumulative(source.dtype, multiply, exclusive, reverse, slots.add(count), slots.add(inner))
    ctx.call(kernel, [source, target], slots.sizes, Cumulative.tasks(outer, inner))


@op("CumSum")
class CumSum(Anchor):
    """The sums of the elements up to each place along the axis of input 1."""

    exclusive: int = 0
    reverse: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return _infer(ctx)

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx)

    def lower(self, ctx: LowerContext) -> None:
        _lower(ctx, multiply=False, exclusive=bool(self.exclusive), reverse=bool(self.reverse))


@op("CumProd")
class CumProd(Anchor):
    """The products of the elements up to each place along the axis of input 1."""

    exclusive: int = 0
    reverse: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return _infer(ctx)

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx)

    def lower(self, ctx: LowerContext) -> None:
        _lower(ctx, multiply=True, exclusive=bool(self.exclusive), reverse=bool(self.reverse))
