"""Running sums and products: CumSum and CumProd."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.cumulative import Cumulative
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import around_axis, chosen_axes
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["CumProd", "CumSum"]


def _infer(ctx: InferContext) -> Sequence[TensorInfo]:
    data = ctx.input(0)
    _parts(ctx)
    return (TensorInfo(data.dtype, data.shape),)


def _parts(ctx: InferContext) -> tuple[Dim, Dim, Dim] | None:
    """The numbers of elements before, along and after the axis; None where nothing is known of it."""
    shape = ctx.input(0).shape
    axes = chosen_axes(ctx, 1, len(shape)) if shape else None
    if shape is None or axes is None:
        return None
    if len(axes) != 1:
        ctx.fail(f"the axis must be one number, got {len(axes)}")
    return around_axis(ctx, axes[0], shape)


def _lowers(ctx: InferContext) -> bool:
    data = ctx.input(0)
    computable = data.dtype is not None and data.dtype.kind in "fiu"
    return computable and _parts(ctx) is not None


def _lower(ctx: LowerContext, *, multiply: bool, exclusive: bool, reverse: bool) -> None:
    source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
    outer, count, inner = _parts(ctx.infer) or (1, 1, 1)
    kernel = Cumulative(source.dtype, multiply, exclusive, reverse, slots.add(count), slots.add(inner))
    ctx.call(kernel, [source, target], slots.sizes, Cumulative.tasks(outer, inner))


@op("CumSum")
class CumSum(Anchor):
    """The sums of the elements up to each place along the axis of input 1."""

    sized_by = (1,)
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

    sized_by = (1,)
    exclusive: int = 0
    reverse: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return _infer(ctx)

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx)

    def lower(self, ctx: LowerContext) -> None:
        _lower(ctx, multiply=True, exclusive=bool(self.exclusive), reverse=bool(self.reverse))
