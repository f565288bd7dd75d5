"""Inverse: inverses of the matrices in the last two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.inverse import Inverse as InverseKernel
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.slots import Slots
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["Inverse"]


@op("Inverse", MICROSOFT)
class Inverse(Anchor):
    """The inverse of each square matrix, by elimination with the largest pivot; a singular one gives infinities."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        if x.dtype is not None and x.dtype.kind != "f":
            ctx.fail(f"matrices of {x.dtype} have no inverse")
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) < 2:
            ctx.fail(f"the input must have at least two dimensions, got {list(x.shape)}")
        ctx.require_equal(x.shape[-1], x.shape[-2], f"the matrices are not square: {list(x.shape)}")
        return (TensorInfo(x.dtype, x.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        x = ctx.input(0)
        return x.dtype is not None and computable(x.dtype, "f") and x.shape is not None

    def lower(self, ctx: LowerContext) -> None:
        x, y, slots = ctx.contiguous(0), ctx.output(), Slots()
        kernel = InverseKernel(x.dtype, slots.add(x.shape[-1]))
        scratch = ctx.scratch(compute_dtype(x.dtype), product(x.shape) * 2)
        ctx.call(kernel, [x, y, scratch], slots.sizes, product(x.shape[:-2]), product(x.shape) * x.shape[-1] * 4)
