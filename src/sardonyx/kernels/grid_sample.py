"""Sampling of images at places that a grid names.

    for task in [begin, end):                       # a block of output places of one image
        for places in the block, step lanes:
            taps of each spatial dimension = source indices and weights, from the grid's coordinates
            for channel: y[channel, place] = sum over products of taps of weight * x[channel, indices]

Indices are brought into the image before anything is read there, whatever the coordinates are (infinite, not a number).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import STATUS_INDEX, compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["GridSample"]

BLOCK = 1024
"""Output places of one task."""
FAR = float(1 << 30)
"""Coordinates beyond this are as good as this."""
KEYS = -0.75
"""The coefficient of the cubic convolution kernel."""


@dataclass(frozen=True)
class _Tap:
    """One neighbour along one dimension: its index, its weight (None: 1), whether it exists (None: always)."""

    index: Value
    weight: Value | None
    inside: Value | None


@dataclass(frozen=True)
class GridSample:
    """``y[n, c, p] = x[n, c] at grid[n, p]``; all row-major, sizes are ints or ``s0, s1 ...``.

    ``mode`` is nearest, linear or cubic, ``padding`` zeros, border or reflection; ``spatial`` has the sizes of the
    image's dimensions, ``places`` is the number of output places of one image. Buffers: 0 x, 1 grid, 2 y.
    """

    dtype: DType
    grid: DType
    mode: str
    padding: str
    align_corners: bool
    channels: Dim
    spatial: tuple[Dim, ...]
    places: Dim

    @property
    def name(self) -> str:
        return "grid_sample"

    @staticmethod
    def tasks(images: Dim, places: Dim) -> Dim:
        """The number of parallel tasks for given sizes."""
        return images * ceildiv(places, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        x, grid, y = b.buffer(0, self.dtype), b.buffer(1, self.grid), b.buffer(2, self.dtype)
        channels, places, *sizes = (self._dim(b, dim) for dim in (self.channels, self.places, *self.spatial))
        rank, lanes = len(sizes), b.target.lanes(8)
        compute = compute_dtype(self.dtype)
        image = sizes[0]
        for size in sizes[1:]:
            image = image * size
        blocks = (places + (BLOCK - 1)) // BLOCK
        with b.tasks() as task:
            b.return_if(image <= 0, STATUS_INDEX)
            n, start = task // blocks, (task % blocks) * BLOCK

            def body(i: Value, mask: Value | None) -> None:
                place = start + i
                across = b.splat((n * places + place) * rank, lanes) + b.iota(Type(dtypes.int64, lanes)) * rank
                taps = []
                for axis, size in enumerate(sizes):
                    coordinate = grid.gather(across + (rank - 1 - axis), mask).to(self._place_dtype)
                    taps.append(self._taps(b, coordinate, b.splat(size, lanes)))
                corners = list(self._corners(b, taps, sizes, compute))
                with b.loop(channels) as channel:
                    plane = (n * channels + channel) * image
                    total = b.zero(Type(compute, lanes))
                    for offset, weight, inside in corners:
                        value = x.gather(offset + b.splat(plane, lanes), mask).to(compute)
                        if inside is not None:
                            value = b.select(inside, value, b.zero(Type(compute, lanes)))
                        total = total + (value if weight is None else value * weight)
                    y.store(total.to(self.dtype), (n * channels + channel) * places + place, mask)

            b.vector_loop(b.minimum(places - start, BLOCK), lanes, body)

    @staticmethod
    def _dim(b: KernelBuilder, dim: Dim) -> Value:
        return emit_dim(b, dim, lambda name: b.size(int(name[1:])))

    @property
    def _place_dtype(self) -> DType:
        exact = dtypes.float64 if dtypes.float64 in (self.dtype, self.grid) else dtypes.float32
        return exact

    @staticmethod
    def _corners(
        b: KernelBuilder, taps: list[list[_Tap]], sizes: list[Value], compute: DType
    ) -> Iterator[tuple[Value, Value | None, Value | None]]:
        """Offset, weight and existence of every neighbour: the products of the taps of all dimensions."""
        for corner in itertools.product(*taps):
            offset, weight, inside = corner[0].index, corner[0].weight, corner[0].inside
            for tap, size in zip(corner[1:], sizes[1:], strict=True):
                offset = offset * b.splat(size, offset.lanes) + tap.index
                weight = tap.weight if weight is None or tap.weight is None else weight * tap.weight
                inside = tap.inside if inside is None or tap.inside is None else inside & tap.inside
            yield offset, None if weight is None else weight.to(compute), inside

    def _taps(self, b: KernelBuilder, coordinate: Value, size: Value) -> list[_Tap]:
        """The neighbours along one dimension of a coordinate in [-1, 1]."""
        n = size.to(coordinate.dtype)
        place = (coordinate + 1.0) * 0.5 * (n - 1.0) if self.align_corners else ((coordinate + 1.0) * n - 1.0) * 0.5
        if self.mode == "nearest":
            place = b.round_even(place)
        if self.padding == "border" and self.mode != "cubic":  # a cubic's neighbours reach back into the image
            place = b.minimum(b.maximum(place, 0.0), n - 1.0)
        elif self.padding == "reflection":
            place = self._reflected(b, place, n)
        place = b.minimum(b.maximum(b.select(b.is_nan(place), b.zero(place.type), place), -FAR), FAR)
        if self.mode == "nearest":
            return [self._tap(b, place.to(dtypes.int64), None, size)]
        floor = b.floor(place)
        first, t = floor.to(dtypes.int64), place - floor
        if self.mode == "linear":
            return [self._tap(b, first, 1.0 - t, size), self._tap(b, first + 1, t, size)]
        near, far = self._cubic_near, self._cubic_far
        weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
        return [self._tap(b, first + (k - 1), weight, size) for k, weight in enumerate(weights)]

    @staticmethod
    def _cubic_near(t: Value) -> Value:
        return ((KEYS + 2.0) * t - (KEYS + 3.0)) * t * t + 1.0

    @staticmethod
    def _cubic_far(t: Value) -> Value:
        return ((KEYS * t - 5.0 * KEYS) * t + 8.0 * KEYS) * t - 4.0 * KEYS

    def _tap(self, b: KernelBuilder, index: Value, weight: Value | None, size: Value) -> _Tap:
        inside = (index >= 0) & (index < size) if self.padding == "zeros" else None
        if self.padding == "reflection":
            exact = Type(dtypes.float64, index.lanes)
            index = self._reflected(b, index.to(exact), size.to(exact)).to(dtypes.int64)
        return _Tap(b.maximum(b.minimum(index, size - 1), 0), weight, inside)

    def _reflected(self, b: KernelBuilder, place: Value, n: Value) -> Value:
        """A place thrown back at the borders until it lies between them."""
        low = b.zero(place.type) if self.align_corners else b.zero(place.type) - 0.5
        high = n - 1.0 if self.align_corners else n - 0.5
        span = high - low
        below, above = place < low, place > high
        beyond = b.select(below, low - place, b.select(above, place - high, b.zero(place.type)))
        times = b.trunc(beyond / b.select(span == 0.0, b.zero(span.type) + 1.0, span))
        rest = beyond - times * span
        forth = times - b.floor(times * 0.5) * 2.0 == 0.0
        from_low, from_high = low + rest, high - rest
        reflected = b.select(below, b.select(forth, from_low, from_high), b.select(forth, from_high, from_low))
        return b.select(span == 0.0, low, b.select(below | above, reflected, place))
