"""Between images and columns of windows: deformed windows out of images, and columns added up into images."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, product

__all__ = ["AddColumns", "DeformedColumns"]


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


@dataclass(frozen=True)
class AddColumns:
    """``y[n, place]`` = the sum of ``x[n, tap, block]`` over the taps and blocks that lie at that place.

        for task in [begin, end):              # one image of one channel
            y[task] = 0
            for tap in the window, block in its positions: y[task, tap and block] += x[task, tap, block]

    ``image``, ``window`` and ``blocks`` are the sizes per dimension (ints or ``s0, s1 ...``). Sums are in float32 or
    wider, in the order of taps. Buffers: 0 x, 1 y, 2 sums of the compute dtype, as large as y.
    """

    dtype: DType
    image: tuple[Dim, ...]
    window: tuple[Dim, ...]
    blocks: tuple[Dim, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]

    @property
    def name(self) -> str:
        return "add_columns"

    def emit(self, b: KernelBuilder) -> None:
        compute = compute_dtype(self.dtype)
        x, y, sums = b.buffer(0, self.dtype), b.buffer(1, self.dtype), b.buffer(2, compute)
        image, window, blocks = ([_dim(b, d) for d in row] for row in (self.image, self.window, self.blocks))
        size, taps, count = (_dim(b, product(row)) for row in (self.image, self.window, self.blocks))
        with b.tasks() as task:
            total = sums.at(task * size)
            with b.loop(size) as place:
                total.store(b.zero(Type(compute)), place)
            with b.loop(taps) as tap, b.loop(count) as block:
                place, inside = b.i64(0), None
                coordinates = zip(unravel(b, tap, window), unravel(b, block, blocks), image, strict=True)
                for axis, (k, position, limit) in enumerate(coordinates):
                    at = position * self.strides[axis] + k * self.dilations[axis] - self.begin[axis]
                    within = (at >= 0) & (at < limit)
                    inside = within if inside is None else inside & within
                    place = place * limit + at
                if inside is None:
                    raise AssertionError("an image without dimensions")
                with b.if_(inside):
                    value = x.load((task * taps + tap) * count + block).to(compute)
                    total.store(total.load(place) + value, place)
            with b.loop(size) as place:
                y.store(total.load(place).to(self.dtype), task * size + place)


@dataclass(frozen=True)
class DeformedColumns:
    """``y[n, c, tap, place]`` = x[n, c] sampled where the tap of the window at the place lies, moved by the offsets.

        for task in [begin, end):              # one channel of one image, one tap
            for place: sample x bilinearly (zeros outside of the image), times the mask where there is one

    All row-major; ``output`` are the window's positions along height and width. Buffers: 0 x [n, c, height, width],
    1 offsets [n, groups, taps, 2, places], 2 y, 3 mask [n, groups, taps, places].
    """

    dtype: DType
    channels: Dim
    groups: int
    height: Dim
    width: Dim
    output: tuple[Dim, Dim]
    window: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    begin: tuple[int, int]
    masked: bool

    @property
    def name(self) -> str:
        return "deformed_columns"

    def emit(self, b: KernelBuilder) -> None:
        x, offsets, y = (b.buffer(slot, self.dtype) for slot in range(3))
        compute = compute_dtype(self.dtype)
        channels, height, width, columns = (
            _dim(b, d) for d in (self.channels, self.height, self.width, self.output[1])
        )
        places, taps = _dim(b, self.output[0] * self.output[1]), self.window[0] * self.window[1]
        with b.tasks() as task:
            tap, plane = task % taps, task // taps
            n, channel = plane // channels, plane % channels
            group = (n * self.groups + channel // (channels // self.groups)) * taps + tap
            image = x.at(plane * height * width)
            moved = [offsets.at((group * 2 + k) * places) for k in range(2)]
            taps_at = (tap // self.window[1], tap % self.window[1])
            with b.loop(places) as place:
                position = (place // columns, place % columns)
                at = []
                for k in range(2):
                    whole = position[k] * self.strides[k] + taps_at[k] * self.dilations[k] - self.begin[k]
                    at.append(whole.to(compute) + moved[k].load(place).to(compute))
                value = self._sample(b, image, at, height, width)
                if self.masked:
                    value = value * b.buffer(3, self.dtype).load(group * places + place).to(compute)
                y.store(value.to(self.dtype), task * places + place)

    def _sample(self, b: KernelBuilder, image: Pointer, at: list[Value], height: Value, width: Value) -> Value:
        """The bilinear mean of four pixels; those outside of the image count as zeros."""
        compute = at[0].type
        rows, columns = (self._neighbours(b, place, size) for place, size in zip(at, (height, width), strict=True))
        total = b.var(b.zero(compute))
        for row, row_weight, row_inside in rows:
            for column, column_weight, column_inside in columns:
                with b.if_(row_inside & column_inside):
                    value = image.load(row * width + column).to(compute)
                    total.set(total.get() + value * row_weight * column_weight)
        return total.get()

    @staticmethod
    def _neighbours(b: KernelBuilder, place: Value, size: Value) -> list[tuple[Value, Value, Value]]:
        """The pixels before and after a place: index, weight, whether it exists."""
        limit = size.to(place.dtype) + 1.0
        place = b.minimum(b.maximum(b.select(b.is_nan(place), b.zero(place.type) - 2.0, place), -2.0), limit)
        floor = b.floor(place)
        low, part = floor.to(I64), place - floor
        return [
            (index, weight, (index >= 0) & (index < size)) for index, weight in ((low, 1.0 - part), (low + 1, part))
        ]
