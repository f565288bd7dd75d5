"""Windows sliding over channels-last images: the loop nest that depthwise convolution and pooling share.

    for task in tasks:                                      # one output row x a block of channels
        for tile in row:                                    # some neighbouring output pixels, in registers
            for channels in block, step lanes:
                for taps of the outer dimensions that lie inside the image:
                    for columns of the kernel, unrolled:    # only those that lie inside, each input vector loaded once
                        body.step(pixel, input vector, tap)
                body.finish(pixel)

No element is tested: the taps inside the image are a range that each row (and, at the border, each pixel) works out
once. Where the width is a constant, the tiles at the border have their missing taps left out when the code is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Protocol

from sardonyx.kernels.gemm_tile import heights, split_rows
from sardonyx.kernels.map import unravel
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv, product

__all__ = ["Body", "Nest", "Sliding", "Tile", "sliding_tasks"]

UNROLLED = 16
"""Columns of a kernel that are unrolled; a wider one is a loop."""

LONGEST_ROW = 4096
"""Pixels of a row up to which its tiles are planned one by one."""

Range = tuple[Value | int, Value | int]


@dataclass(frozen=True)
class Sliding:
    """The sizes of a nest; ints or expressions of ``s0, s1 ...``, strides in elements.

    ``sizes`` and ``outs`` are the spatial sizes of input and output, ``begin`` the padding before; ``strides`` how far
    the window moves. ``memory`` holds the input's strides: batch and spatial dimensions; ``channels`` counts the
    output's. One task does ``block`` channels of a row in tiles of up to ``pixels`` pixels.
    """

    batch: Dim
    channels: Dim
    sizes: tuple[Dim, ...]
    outs: tuple[Dim, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[Dim, ...]
    memory: tuple[Dim, ...]
    block: int
    pixels: int

    @property
    def extents(self) -> tuple[Dim, ...]:
        """The tasks' loops: batch, blocks of channels, rows; neighbouring rows share inputs that are still in cache."""
        return (self.batch, ceildiv(self.channels, self.block), *self.outs[:-1])


def sliding_tasks(sliding: Sliding) -> Dim:
    """The number of parallel tasks, in the kernel's own slots."""
    return product(sliding.extents)


@dataclass
class Tile:
    """Where a body works: output ``index`` (batch, spatial) of the first pixel, ``count`` pixels along the last one,
    ``lanes`` channels from ``channel`` on, of which ``mask`` are inside.

    ``outer`` are the ranges of taps of the outer dimensions inside the image, ``columns`` those of each pixel.
    """

    index: list[Value]
    count: int
    channel: Value
    lanes: int
    mask: Value | None
    outer: list[Range]
    columns: list[Range]


class Body(Protocol):
    """What a kernel does with the elements under its window."""

    lanes: int

    def begin(self, tile: Tile) -> None:
        """Starts the sums of a tile."""

    def load(self, tile: Tile, offset: Value) -> Any:
        """Reads the input at a pixel (``offset`` in elements, without the channel)."""

    def tap(self, tile: Tile, tap: Value) -> Any:
        """Reads what belongs to a tap, counted row-major over the kernel."""

    def step(self, tile: Tile, pixel: int, loaded: Any, tap: Any, place: Value) -> None:
        """Adds an element to a pixel's sum; ``place`` counts input pixels row-major within one image."""

    def finish(self, tile: Tile) -> None:
        """Stores the tile."""


class Nest:
    """Emits the nest around a body."""

    def __init__(self, b: KernelBuilder, sliding: Sliding, body: Body) -> None:
        self.b = b
        self.spec = sliding
        self.body = body

    def number(self, dim: Dim) -> Value:
        """A size as a value."""
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def emit(self) -> None:
        b, spec = self.b, self.spec
        extents = [self.number(extent) for extent in spec.extents]
        self.memory = [self.number(stride) for stride in spec.memory]
        self.sizes = [self.number(size) for size in spec.sizes]
        self.before = [self.number(pad) for pad in spec.begin]
        with b.tasks() as task:
            image, block, *rows = unravel(b, task, extents)
            self.row = [image, *rows]
            self.first = block * spec.block
            self.last = b.minimum(self.first + spec.block, self.number(spec.channels))
            self.outer = [self.inside(axis, position) for axis, position in enumerate(rows)]
            width, before = spec.outs[-1], spec.begin[-1]
            size = spec.sizes[-1]
            if isinstance(width, int) and isinstance(before, int) and isinstance(size, int) and width <= LONGEST_ROW:
                self.constant_row(width, before, size)
            else:
                self.variable_row(self.number(width))

    def inside(self, axis: int, position: Value) -> Range:
        """The taps of one dimension that lie inside the image at an output position."""
        spec, b = self.spec, self.b
        place = position * spec.strides[axis] - self.before[axis]
        dilation, kernel = spec.dilations[axis], spec.kernel[axis]
        low = b.maximum((dilation - 1) - place, 0) // dilation
        high = b.maximum(self.sizes[axis] - place + (dilation - 1), 0) // dilation
        low = b.minimum(low, kernel)
        return low, b.maximum(b.minimum(high, kernel), low)

    # -- tiles of a row ------------------------------------------------------------------------------------------

    def constant_row(self, width: int, before: int, size: int) -> None:
        """Tiles whose taps inside the image are known; neighbours with equal ones share code in a loop."""
        spec = self.spec
        kernel, stride, dilation = spec.kernel[-1], spec.strides[-1], spec.dilations[-1]

        def columns(pixel: int) -> tuple[int, int]:
            place = pixel * stride - before
            low = min(kernel, max(0, -(place // dilation)) if place < 0 else 0)
            return low, max(low, min(kernel, -(-(size - place) // dilation)))

        starts = [0]
        for height, number in split_rows(width, spec.pixels):
            starts += [starts[-1] + height * (n + 1) for n in range(number)]
        tiles = [(start, tuple(columns(p) for p in range(start, stop))) for start, stop in pairwise(starts)]
        for pattern, group in groupby(tiles, key=lambda tile: tile[1]):
            members = list(group)
            with self.b.loop(len(members)) as step:
                self.channels(step * len(pattern) + members[0][0], list(pattern))

    def variable_row(self, width: Value) -> None:
        """Border pixels one by one with their taps as ranges; between them full tiles, then smaller ones."""
        spec, b = self.spec, self.b
        stride = spec.strides[-1]
        extent = spec.dilations[-1] * (spec.kernel[-1] - 1) + 1
        left = b.minimum((self.before[-1] + (stride - 1)) // stride, width)
        fits = b.maximum(self.sizes[-1] + self.before[-1] - (extent - stride), 0) // stride
        right = b.maximum(b.minimum(fits, width), left)
        with b.loop(left) as pixel:
            self.channels(pixel, [self.inside(len(spec.outs) - 1, pixel)])
        whole: Range = (0, spec.kernel[-1])
        tiles = (right - left) // spec.pixels
        with b.loop(tiles) as tile:
            self.channels(left + tile * spec.pixels, [whole] * spec.pixels)
        place = b.var(left + tiles * spec.pixels)
        for height in heights(spec.pixels)[1:]:
            with b.loop((right - place.get()) // height):
                self.channels(place.get(), [whole] * height)
                place.set(place.get() + height)
        with b.loop(width, right) as pixel:
            self.channels(pixel, [self.inside(len(spec.outs) - 1, pixel)])

    # -- one tile ------------------------------------------------------------------------------------------------

    def channels(self, pixel: Value, columns: Sequence[Range]) -> None:
        """The loop over vectors of channels."""
        body, index = self.body, [*self.row, pixel]

        def vector(offset: Value, mask: Value | None) -> None:
            tile = Tile(index, len(columns), self.first + offset, body.lanes, mask, self.outer, list(columns))
            body.begin(tile)
            origin = index[0] * self.memory[0]
            self.outer_taps(tile, 0, origin, self.b.i64(0), self.b.i64(0))
            body.finish(tile)

        block, channels = self.spec.block, self.spec.channels
        known = None
        if isinstance(channels, int):
            known = block if channels % block == 0 else channels if channels < block else None
        self.b.vector_loop(self.last - self.first if known is None else known, body.lanes, vector)

    def outer_taps(self, tile: Tile, axis: int, origin: Value, tap: Value, place: Value) -> None:
        """The loops over the taps of all dimensions but the last; ``tap`` and ``place`` count row-major."""
        spec, b = self.spec, self.b
        if axis == len(spec.outs) - 1:
            self.columns(tile, origin, tap, place)
            return
        low, high = self.outer[axis]
        start = self.row[axis + 1] * spec.strides[axis] - self.before[axis]
        with b.loop(high, low) as step:
            position = start + step * spec.dilations[axis]
            offset = origin + position * self.memory[axis + 1]
            self.outer_taps(tile, axis + 1, offset, tap * spec.kernel[axis] + step, place * self.sizes[axis] + position)

    def columns(self, tile: Tile, origin: Value, tap: Value, place: Value) -> None:
        """The columns of the kernel over the pixels of a tile."""
        spec, body = self.spec, self.body
        kernel, stride, dilation = spec.kernel[-1], spec.strides[-1], spec.dilations[-1]
        first = tile.index[-1] * stride - self.before[-1]
        along = self.memory[-1]
        tap, place = tap * kernel, place * self.sizes[-1] + first
        ranges = [(low, high) for low, high in tile.columns if isinstance(low, int) and isinstance(high, int)]
        if len(ranges) < tile.count or kernel > UNROLLED:
            self.looped_columns(tile, origin, tap, place)
            return
        loads: dict[int, Any] = {}
        start = origin + first * along
        for column in range(kernel):
            pixels = [p for p, (low, high) in enumerate(ranges) if low <= column < high]
            weight = body.tap(tile, tap + column) if pixels else None
            for pixel in pixels:
                moved = pixel * stride + column * dilation
                if moved not in loads:
                    loads[moved] = body.load(tile, start + along * moved)
                body.step(tile, pixel, loads[moved], weight, place + moved)

    def looped_columns(self, tile: Tile, origin: Value, tap: Value, place: Value) -> None:
        """The columns of a wide kernel, or of a pixel at the border, as loops: those that all pixels have together."""
        spec, b, body = self.spec, self.b, self.body
        stride, dilation, along = spec.strides[-1], spec.dilations[-1], self.memory[-1]
        first = tile.index[-1] * stride - self.before[-1]

        def columns(pixels: Sequence[int], low: Value | int, high: Value | int) -> None:
            with b.loop(high, low) as step:
                weight = body.tap(tile, tap + step)
                for pixel in pixels:
                    moved = step * dilation + pixel * stride
                    loaded = body.load(tile, origin + (first + moved) * along)
                    body.step(tile, pixel, loaded, weight, place + moved)

        ranges = [(low, high) for low, high in tile.columns if isinstance(low, int) and isinstance(high, int)]
        low, high = max((r[0] for r in ranges), default=0), min((r[1] for r in ranges), default=0)
        if len(ranges) == tile.count and low < high:
            columns(range(tile.count), low, high)
            for pixel, (begin, end) in enumerate(ranges):
                for left, right in ((begin, low), (high, end)):
                    if left < right:
                        columns([pixel], left, right)
            return
        for pixel, pixel_range in enumerate(tile.columns):
            columns([pixel], *pixel_range)
