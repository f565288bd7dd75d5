"""GridSample: an image sampled at the places of a grid."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.grid_sample import GridSample as Kernel
from sardonyx.kernels.slots import Slots
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["GridSample"]

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


@op("GridSample")
class GridSample(Anchor):
    """Samples x (n, c, d1 ... dr) at grid (n, o1 ... or, r): coordinates from -1 to 1, the last dimension's first.

    Places outside of the image are zeros, the border, or the image reflected.
    """

    mode: str = "linear"
    padding_mode: str = "zeros"
    align_corners: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, grid = ctx.input(0), ctx.input(1)
        if self.mode not in MODES or self.padding_mode not in PADDINGS:
            ctx.fail(f"mode must be one of {MODES} and padding_mode of {PADDINGS}")
        if x.shape is None or grid.shape is None:
            return (TensorInfo(x.dtype, None),)
        rank = len(x.shape) - 2
        if rank < 1 or len(grid.shape) != rank + 2:
            ctx.fail(f"an image of shape {list(x.shape)} cannot be sampled by a grid of shape {list(grid.shape)}")
        ctx.require_equal(grid.shape[-1], rank, f"the grid must have {rank} coordinates, got {grid.shape[-1]}")
        ctx.require_equal(grid.shape[0], x.shape[0], f"{x.shape[0]} images but grids for {grid.shape[0]}")
        return (TensorInfo(x.dtype, (*x.shape[:2], *grid.shape[1:-1])),)

    def lowers(self, ctx: InferContext) -> bool:
        x, grid = ctx.input(0), ctx.input(1)
        if x.dtype is None or grid.dtype is None or x.shape is None or grid.shape is None:
            return False
        return computable(grid.dtype, "f") and computable(x.dtype, "fiub" if self.mode == "nearest" else "f")

    def lower(self, ctx: LowerContext) -> None:
        x, grid, y, slots = ctx.contiguous(0), ctx.contiguous(1), ctx.output(), Slots()
        places = product(y.shape[2:])
        kernel = Kernel(
            x.dtype,
            grid.dtype,
            self.mode,
            self.padding_mode,
            bool(self.align_corners),
            slots.add(x.shape[1]),
            tuple(slots.add(size) for size in x.shape[2:]),
            slots.add(places),
        )
        ctx.call(kernel, [x, grid, y], slots.sizes, Kernel.tasks(x.shape[0], places), product(y.shape) * 32)
