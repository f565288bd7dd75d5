"""Blocks of pixels as channels and back: DepthToSpace and SpaceToDepth."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.axes import unknown
from sardonyx.ops.base import IndexContext, Indexed, InferContext, Read
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["DepthToSpace", "SpaceToDepth"]


class _Blocks(Indexed):
    """What both have in common: a 4-D input, a block size, and the order of block and channel."""

    blocksize: int
    mode: str = "DCR"

    def _checked(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        if self.blocksize < 1:
            ctx.fail(f"blocksize must be positive, got {self.blocksize}")
        if self.mode not in ("DCR", "CRD"):
            ctx.fail(f"mode {self.mode!r}; expected DCR or CRD")
        shape = ctx.input(0).shape
        if shape is not None and len(shape) != 4:
            ctx.fail(f"the input must have rank 4 (N, C, H, W), got shape {list(shape)}")
        return shape

    def _divided(self, ctx: InferContext, size: Dim, by: int, what: str) -> Dim:
        ctx.require_equal(size % by, 0, f"{what} {size} is no multiple of {by}")
        return size // by

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None


@op("DepthToSpace")
class DepthToSpace(_Blocks):
    """``blocksize`` x ``blocksize`` channels become a block of pixels. The channel is (block row, block column, c) in
    mode DCR and (c, block row, block column) in mode CRD.
    """

    blocksize: int
    mode: str = "DCR"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape, block, data = self._checked(ctx), self.blocksize, ctx.input(0)
        if shape is None:
            return (unknown(ctx, data, 4),)
        channels = self._divided(ctx, shape[1], block * block, "the number of channels")
        return (TensorInfo(data.dtype, (shape[0], channels, shape[2] * block, shape[3] * block)),)

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        n, c, y, x = position
        block, channels = self.blocksize, (ctx.outputs[0].shape or (0, 0))[1]
        place = (y % block) * block + x % block
        depth = place * channels + c if self.mode == "DCR" else c * (block * block) + place
        return Read(0, (n, depth, y // block, x // block))


@op("SpaceToDepth")
class SpaceToDepth(_Blocks):
    """Blocks of ``blocksize`` x ``blocksize`` pixels become channels, ordered as in ``DepthToSpace``."""

    blocksize: int
    mode: str = "DCR"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape, block, data = self._checked(ctx), self.blocksize, ctx.input(0)
        if shape is None:
            return (unknown(ctx, data, 4),)
        rows = self._divided(ctx, shape[2], block, "the height")
        columns = self._divided(ctx, shape[3], block, "the width")
        return (TensorInfo(data.dtype, (shape[0], shape[1] * (block * block), rows, columns)),)

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        n, depth, y, x = position
        block, channels = self.blocksize, (ctx.infer.input(0).shape or (0, 1))[1]
        square = block * block
        if self.mode == "DCR":
            place, c = depth // channels, depth % channels
        else:
            place, c = depth % square, depth // square
        return Read(0, (n, c, y * block + place // block, x * block + place % block))
