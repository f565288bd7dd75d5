"""DynamicQuantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.extent import PIECE, DynamicScale, Extent
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import Apply, Load, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.quantised.sums import Quantise
from sardonyx.ops.registry import op
from sardonyx.symbols import ceildiv, product, symbol

__all__: list[str] = []


@op("DynamicQuantizeLinear")
class DynamicQuantizeLinear(Anchor):
    """y = saturate(round(x / scale) + zero point) and these two, such that 0 to 255 just hold all elements and zero."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape = ctx.input(0).shape
        return TensorInfo(dtypes.uint8, shape), TensorInfo(dtypes.float32, ()), TensorInfo(dtypes.uint8, ())

    def lowers(self, ctx: InferContext) -> bool:
        x = ctx.input(0)
        return x.dtype is dtypes.float32 and x.shape is not None

    def lower(self, ctx: LowerContext) -> None:
        order = ctx.order(0)
        x = ctx.contiguous(0, order)
        y, scale, zero = ctx.output(0, order), ctx.output(1), ctx.output(2)
        count = product(x.shape)
        pieces = ceildiv(count, PIECE)
        extents = ctx.scratch(dtypes.float32, pieces * 2)
        ctx.call(Extent(), [x, extents], [count, pieces], pieces, count * 2)
        ctx.call(DynamicScale(), [extents, scale, zero], [pieces], 1)
        loads = (
            Load(0, dtypes.float32, symbol("i0")),
            Load(1, dtypes.float32, 0),
            Load(2, dtypes.uint8, 0),
            Apply(Quantise(dtypes.uint8), (0, 1, 2), dtypes.uint8),
        )
        slots = Slots()
        size = (slots.add(count),)
        kernel = Map(size, PointProgram(loads, (3,), 3), (Store(3, dtypes.uint8, symbol("i0")),))
        ctx.call(kernel, [x, scale, zero, y], slots.sizes, Map.tasks((count,)), count * 10)
