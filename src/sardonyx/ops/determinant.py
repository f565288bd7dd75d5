"""Det: determinants of the matrices in the last two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.determinant import Determinant
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.slots import Slots
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["Det"]


@op("Det")
class Det(Anchor):
    """The determinant of each square matrix, by elimination with the largest pivot."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) < 2:
            ctx.fail(f"the input must have at least two dimensions, got {list(x.shape)}")
        ctx.require_equal(x.shape[-1], x.shape[-2], f"the matrices are not square: {list(x.shape)}")
        return (TensorInfo(x.dtype, x.shape[:-2]),)

    def lowers(self, ctx: InferContext) -> bool:
        x = ctx.input(0)
        return x.dtype is not None and computable(x.dtype, "f") and x.shape is not None

    def lower(self, ctx: LowerContext) -> None:
        x, y, slots = ctx.contiguous(0), ctx.output(), Slots()
        kernel = Determinant(x.dtype, slots.add(x.shape[-1]))
        scratch = ctx.scratch(compute_dtype(x.dtype), product(x.shape))
        ctx.call(kernel, [x, y, scratch], slots.sizes, product(y.shape), product(x.shape) * x.shape[-1])
