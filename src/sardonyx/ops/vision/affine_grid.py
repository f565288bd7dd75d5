"""AffineGrid: where the pixels of an image come from under an affine map."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op
from sardonyx.ops.values import sizes_input
from sardonyx.symbols import Dim

__all__ = ["AffineGrid"]


@op("AffineGrid")
class AffineGrid(Reducible):
    """theta (n, r, r + 1) times (x, y ..., 1) for the pixels of images of ``size`` (n, c, d1 ... dr): a grid
    (n, d1 ... dr, r) with the last dimension's coordinate first. Coordinates go from -1 to 1, between the centers of
    the outer pixels with ``align_corners``, else between their edges."""

    sized_by = (1,)
    align_corners: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        theta, sizes = ctx.input(0), sizes_input(ctx, 1, "size")
        if theta.shape is None or len(theta.shape) != 3:
            return (TensorInfo(theta.dtype, None),)
        rank = theta.shape[1]
        if not isinstance(rank, int) or rank not in (2, 3):
            ctx.fail(f"theta must have shape (n, 2, 3) or (n, 3, 4), got {list(theta.shape)}")
        ctx.require_equal(theta.shape[2], rank + 1, f"theta must have {rank + 1} columns, got {theta.shape[2]}")
        if sizes is not None and len(sizes) != rank + 2:
            ctx.fail(f"size must have {rank + 2} elements for theta of shape {list(theta.shape)}, got {len(sizes)}")
        spatial: Sequence[Dim] = [ctx.fresh("size")] * rank if sizes is None else sizes[2:]
        return (TensorInfo(theta.dtype, (theta.shape[0], *spatial, rank)),)

    def expands(self, ctx: InferContext) -> bool:
        shape = ctx.input(0).shape
        return shape is not None and len(shape) == 3 and isinstance(shape[1], int)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        theta, sizes = b.input(0), b.cast(b.input(1), dtypes.int64)
        rank = b.known(b.shape(theta)[1], "theta's rows")
        columns = b.split(theta, 2, *([1] * (rank + 1)))  # each (n, rank, 1)
        shape: list[int | ir.Value] = [b.size(theta, 0), *([1] * rank), rank]
        total = b.reshape(columns[rank], *shape)
        for axis in range(rank):
            place = self._coordinates(b, b.slice(sizes, 0, 2 + axis, 3 + axis), theta)
            along = b.unsqueeze(place, *(k for k in range(rank + 2) if k != 1 + axis))
            total = b.op("Add", total, b.op("Mul", b.reshape(columns[rank - 1 - axis], *shape), along))
        return (total,)

    def _coordinates(self, b: Builder, size: ir.Value, theta: ir.Value) -> ir.Value:
        """The coordinates of the pixels along a dimension whose size is given as a tensor of one element."""
        whole, exact = dtypes.int64, dtypes.float64
        count = b.op("Squeeze", size, b.ints(0))
        places = b.cast(b.op("Range", b.number(0, whole), count, b.number(1, whole)), exact)
        n, one, two = b.cast(count, exact), b.number(1.0, exact), b.number(2.0, exact)
        if not self.align_corners:
            centers = b.op("Div", b.op("Add", b.op("Mul", places, two), one), n)
            return b.cast(b.op("Sub", centers, one), b.dtype(theta))
        steps = b.op("Div", b.op("Mul", places, two), b.op("Max", b.op("Sub", n, one), one))
        start = b.op("Where", b.op("Greater", n, one), one, b.number(0.0, exact))  # a single pixel lies in the middle
        return b.cast(b.op("Sub", steps, start), b.dtype(theta))
