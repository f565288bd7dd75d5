"""Regions of interest of images: average or maximum of bilinear samples, and of whole pixels.

for task in [begin, end):                  # one bin of one region
    for channels, step lanes:
        y[region, channel, bin] = mean or maximum over the samples (or pixels) of the bin
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import STATUS_INDEX, compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim

__all__ = ["Images", "RoiAlign", "RoiPool"]

MOST_SAMPLES = 1 << 12
"""Samples of a bin along one side: a region for which a model asks for more is no region of an image."""


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


@dataclass(frozen=True)
class Images:
    """The images x [n, channels, height, width] as kernels see them; sizes are ints or ``s0, s1 ...``."""

    images: Dim
    channels: Dim
    height: Dim
    width: Dim

    def emit(self, b: KernelBuilder) -> tuple[Value, Value, Value, Value]:
        return _dim(b, self.images), _dim(b, self.channels), _dim(b, self.height), _dim(b, self.width)


@dataclass(frozen=True)
class RoiAlign:
    """``y[r, c, i, j]`` of regions [r, 4] (x1, y1, x2, y2) of the images ``batch[r]``.

    ``samples`` above 0 is the number of samples of a bin along each side, else it follows from the region's size.
    Without ``half_pixel`` coordinates are those of pixels' corners and regions are at least one pixel. Buffers: 0 x,
    1 regions, 2 batch (int64), 3 y.
    """

    dtype: DType
    regions: DType
    images: Images
    rows: int
    columns: int
    samples: int
    scale: float
    half_pixel: bool
    maximum: bool

    @property
    def name(self) -> str:
        return "roi_align"

    def emit(self, b: KernelBuilder) -> None:
        x, y = b.buffer(0, self.dtype), b.buffer(3, self.dtype)
        regions, batch = b.buffer(1, self.regions), b.buffer(2, dtypes.int64)
        images, channels, height, width = self.images.emit(b)
        bins = self.rows * self.columns
        lanes = b.target.lanes(8)
        compute = compute_dtype(self.dtype)
        with b.tasks() as task:
            region, place = task // bins, task % bins
            image = batch.load(region)
            b.return_if((image < 0) | (image >= images) | (height <= 0) | (width <= 0), STATUS_INDEX)
            low = [self._corner(b, regions.load(region * 4 + k)) for k in range(2)]
            high = [self._corner(b, regions.load(region * 4 + k)) for k in range(2, 4)]
            (left, step_x, count_x), (top, step_y, count_y) = (
                self._axis(b, low[k], high[k], cells) for k, cells in ((0, self.columns), (1, self.rows))
            )
            left = left + step_x * (place % self.columns).to(step_x.dtype)
            top = top + step_y * (place // self.columns).to(step_y.dtype)

            def body(channel: Value, mask: Value | None) -> None:
                across = (b.splat(channel, lanes) + b.iota(Type(dtypes.int64, lanes))) * (height * width)
                base = across + b.splat(image * channels * height * width, lanes)
                zero = b.zero(Type(compute, lanes))
                total, first = b.var(zero), b.var(b.i64(1))
                with b.loop(count_y) as i, b.loop(count_x) as j:
                    at_y = top + (i.to(step_y.dtype) + 0.5) * step_y / count_y.to(step_y.dtype)
                    at_x = left + (j.to(step_x.dtype) + 0.5) * step_x / count_x.to(step_x.dtype)
                    values = self._sample(b, x, base, mask, at_y, at_x, height, width, compute)
                    if self.maximum:
                        value = b.maximum(b.maximum(values[0], values[1]), b.maximum(values[2], values[3]))
                        fresh = b.splat(first.get() == 1, lanes)
                        total.set(b.select(fresh, value, b.maximum(total.get(), value)))
                        first.set(b.i64(0))
                    else:
                        total.set(total.get() + values[0] + values[1] + values[2] + values[3])
                result = total.get()
                if not self.maximum:
                    result = result / b.splat(b.maximum(count_y * count_x, 1).to(compute), lanes)
                offset = ((region * channels + channel) * bins) + place
                places = b.splat(offset, lanes) + b.iota(Type(dtypes.int64, lanes)) * bins
                y.scatter(result.to(self.dtype), places, mask)

            b.vector_loop(channels, lanes, body)

    def _corner(self, b: KernelBuilder, coordinate: Value) -> Value:
        wide = coordinate.to(compute_dtype(self.regions))
        return wide * self.scale - 0.5 if self.half_pixel else wide * self.scale

    def _axis(self, b: KernelBuilder, low: Value, high: Value, cells: int) -> tuple[Value, Value, Value]:
        """Where the region begins, the size of a bin, and the number of samples in it."""
        size = high - low
        if not self.half_pixel:
            size = b.maximum(size, 1.0)
        step = size / float(cells)
        if self.samples > 0:
            return low, step, b.i64(self.samples)
        count = b.ceil(step)
        b.return_if(b.not_(count <= float(MOST_SAMPLES)), STATUS_INDEX)
        return low, step, b.maximum(count.to(dtypes.int64), 0)

    def _sample(
        self,
        b: KernelBuilder,
        x: Pointer,
        base: Value,
        mask: Value | None,
        at_y: Value,
        at_x: Value,
        height: Value,
        width: Value,
        compute: DType,
    ) -> list[Value]:
        """The four weighted neighbours of a place; zeros where it lies outside of the image."""
        inside = (at_y >= -1.0) & (at_y <= height.to(at_y.dtype)) & (at_x >= -1.0) & (at_x <= width.to(at_x.dtype))
        rows, columns = self._neighbours(b, at_y, height), self._neighbours(b, at_x, width)
        values = []
        for row, row_weight in rows:
            for column, column_weight in columns:
                weight = b.select(inside, row_weight * column_weight, b.zero(row_weight.type)).to(compute)
                value = x.gather(base + b.splat(row * width + column, base.lanes), mask).to(compute)
                values.append(value * b.splat(weight, base.lanes))
        return values

    @staticmethod
    def _neighbours(b: KernelBuilder, place: Value, size: Value) -> list[tuple[Value, Value]]:
        """The pixels around a place along one side, with their weights; always pixels that exist."""
        limit = size.to(place.dtype)
        place = b.minimum(b.maximum(b.select(b.is_nan(place), b.zero(place.type), place), 0.0), limit)
        low = b.floor(place).to(dtypes.int64)
        last = low >= size - 1
        low = b.select(last, size - 1, low)
        high = b.select(last, size - 1, low + 1)
        part = b.select(last, b.zero(place.type), place - low.to(place.dtype))
        return [(low, 1.0 - part), (high, part)]


@dataclass(frozen=True)
class RoiPool:
    """The largest pixel of each bin of regions [r, 5] (image, x1, y1, x2, y2), 0 for an empty bin.

    Buffers: 0 x, 1 regions, 2 y; all of ``dtype``.
    """

    dtype: DType
    images: Images
    rows: int
    columns: int
    scale: float

    @property
    def name(self) -> str:
        return "roi_pool"

    def emit(self, b: KernelBuilder) -> None:
        x, regions, y = (b.buffer(slot, self.dtype) for slot in range(3))
        images, channels, height, width = self.images.emit(b)
        bins = self.rows * self.columns
        compute = compute_dtype(self.dtype)

        def number(region: Value, k: int) -> Value:
            return regions.load(region * 5 + k).to(compute)

        with b.tasks() as task:
            region, place = task // bins, task % bins
            image = number(region, 0).to(dtypes.int64)
            b.return_if((image < 0) | (image >= images), STATUS_INDEX)
            columns = self._bin(b, number(region, 1), number(region, 3), place % self.columns, self.columns, width)
            rows = self._bin(b, number(region, 2), number(region, 4), place // self.columns, self.rows, height)
            empty = (columns[0] >= columns[1]) | (rows[0] >= rows[1])
            with b.loop(channels) as channel:
                plane = x.at((image * channels + channel) * height * width)
                best = b.var(b.const(float("-inf"), Type(compute)))
                with b.loop(rows[1], rows[0]) as i, b.loop(columns[1], columns[0]) as j:
                    best.set(b.maximum(best.get(), plane.load(i * width + j).to(compute)))
                value = b.select(empty, b.zero(Type(compute)), best.get())
                y.store(value.to(self.dtype), (region * channels + channel) * bins + place)

    def _bin(
        self, b: KernelBuilder, low: Value, high: Value, cell: Value, cells: int, size: Value
    ) -> tuple[Value, Value]:
        """The pixels from which and before which a bin reaches along one side."""
        rounded = self._rounded
        start, end = rounded(b, low * self.scale), rounded(b, high * self.scale)
        step = b.maximum(end - start + 1.0, 1.0) / float(cells)
        first = b.floor(cell.to(step.dtype) * step) + start
        last = b.ceil((cell + 1).to(step.dtype) * step) + start
        limit = size.to(step.dtype)
        first, last = (b.minimum(b.maximum(place, 0.0), limit).to(dtypes.int64) for place in (first, last))
        return first, last

    @staticmethod
    def _rounded(b: KernelBuilder, value: Value) -> Value:
        """To the nearest, halves away from zero."""
        return b.copysign(b.floor(b.abs(value) + 0.5), value)
