"""RoiAlign and MaxRoiPool: a grid of values for each region of interest."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.regions import Images, RoiPool
from sardonyx.kernels.regions import RoiAlign as AlignKernel
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import per_axis
from sardonyx.symbols import product

__all__ = ["MaxRoiPool", "RoiAlign"]

MOST_BINS = 1 << 20


def _infer(ctx: InferContext, grid: tuple[int, ...], coordinates: int) -> TensorInfo:
    """One image of ``grid`` pixels for each region."""
    x, regions = ctx.input(0), ctx.input(1)
    if not all(0 < size <= MOST_BINS for size in grid):
        ctx.fail(f"the output's height and width must lie in [1, {MOST_BINS}], got {list(grid)}")
    if x.shape is None or regions.shape is None:
        return TensorInfo(x.dtype, None)
    if len(x.shape) != 4 or len(regions.shape) != 2:
        ctx.fail(f"expected images of rank 4 and regions of rank 2, got {list(x.shape)} and {list(regions.shape)}")
    message = f"a region has {coordinates} numbers, got {regions.shape[1]}"
    ctx.require_equal(regions.shape[1], coordinates, message)
    return TensorInfo(x.dtype, (regions.shape[0], x.shape[1], *grid))


def _images(x: Operand, slots: Slots) -> Images:
    return Images(*(slots.add(size) for size in x.shape))


@op("MaxRoiPool")
class MaxRoiPool(Anchor):
    """The largest elements of a grid of bins over each region of interest."""

    pooled_shape: tuple[int, ...]
    spatial_scale: float = 1.0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (_infer(ctx, per_axis(ctx, "pooled_shape", self.pooled_shape, 2, 1, 1), 5),)

    def lowers(self, ctx: InferContext) -> bool:
        return all(i.dtype is not None and computable(i.dtype, "f") and i.shape is not None for i in ctx.inputs if i)

    def lower(self, ctx: LowerContext) -> None:
        x, regions, y, slots = ctx.contiguous(0), ctx.contiguous(1), ctx.output(), Slots()
        rows, columns = self.pooled_shape
        kernel = RoiPool(x.dtype, _images(x, slots), rows, columns, self.spatial_scale)
        ctx.call(kernel, [x, regions, y], slots.sizes, y.shape[0] * product(self.pooled_shape), product(y.shape) * 64)


@op("RoiAlign")
class RoiAlign(Anchor):
    """The mean or maximum of bilinear samples in each bin of a grid over each region of interest."""

    coordinate_transformation_mode: str = "half_pixel"
    mode: str = "avg"
    output_height: int = 1
    output_width: int = 1
    sampling_ratio: int = 0
    spatial_scale: float = 1.0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        regions, batch = ctx.input(1), ctx.input(2)
        if self.mode not in ("avg", "max"):
            ctx.fail(f"mode must be avg or max, got {self.mode!r}")
        if regions.shape and batch.shape is not None:
            if len(batch.shape) != 1:
                ctx.fail(f"batch_indices must have rank 1, got {list(batch.shape)}")
            message = f"{regions.shape[0]} regions but {batch.shape[0]} batch indices"
            ctx.require_equal(regions.shape[0], batch.shape[0], message)
        return (_infer(ctx, (self.output_height, self.output_width), 4),)

    def lowers(self, ctx: InferContext) -> bool:
        x, regions, batch = (ctx.input(k) for k in range(3))
        if x.dtype is None or regions.dtype is None or self.sampling_ratio > MOST_BINS:
            return False
        known = all(info.shape is not None for info in (x, regions, batch))
        return known and computable(x.dtype, "f") and computable(regions.dtype, "f") and batch.dtype == dtypes.int64

    def lower(self, ctx: LowerContext) -> None:
        x, regions, batch, slots = ctx.contiguous(0), ctx.contiguous(1), ctx.contiguous(2), Slots()
        y = ctx.output()
        kernel = AlignKernel(
            x.dtype,
            regions.dtype,
            _images(x, slots),
            self.output_height,
            self.output_width,
            self.sampling_ratio,
            self.spatial_scale,
            self.coordinate_transformation_mode == "half_pixel",
            self.mode == "max",
        )
        bins = self.output_height * self.output_width
        ctx.call(kernel, [x, regions, batch, y], slots.sizes, y.shape[0] * bins, product(y.shape) * 64)
