"""Convolution as a batch-reduce matrix product, without im2col.

    for task in tasks:                                      # a block of panels x a block of output rows
        for panel in block of panels:                       # panel: vectors * lanes output channels of one group
            for unit in block of units:                     # unit: some output rows, or a part of a row
                for tile in unit:                           # up to tile.rows output pixels
                    sums = bias
                    for tap: for k in depth:                # depth: kernel columns merged with the input channels
                        sums[pixel][:] += a[pixel * step + tap + k] * packed[panel][tap][k][:]
                    store(epilogue(sums))

The input lies channels last with its padding (kernels/conv_pad.py), so that the elements under one row of the
kernel are adjacent and no element is tested. A 1 x 1 convolution is the case of one tap; with all pixels in one loop it
is a plain matrix product. A transposed convolution is one such convolution for each phase of its stride.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.gemm import epilogue_cost
from sardonyx.kernels.gemm_tile import AHEAD_STEPS, Level, TileShape, emit_tile, heights, split_rows
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import PointProgram, Position, emit_point, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim, ceildiv, product, symbol

__all__ = ["Conv", "Loop", "Tap"]

REGISTER_EPILOGUE = 6
"""Most pointwise operations that are applied while all sums are in registers."""
CACHE_LINE = 64


@dataclass(frozen=True)
class Loop:
    """One loop over output positions: how many, and how far one step moves in the input and in the output.

    The position that the epilogue sees is ``start + scale * i`` (phases of a transposed convolution).
    """

    size: Dim
    a: Dim
    out: Dim
    start: int = 0
    scale: int = 1


@dataclass(frozen=True)
class Tap:
    """One reduction loop outside of the merged depth: its count and its step in the input."""

    count: int
    a: Dim


@dataclass(frozen=True)
class Conv:
    """One convolution; sizes and strides are in elements, ints or expressions of ``s0, s1 ...``.

    Buffers: 0 output, 1 input, 2 packed weights, 3 bias (with ``bias``), then the epilogue's. ``loops`` are batch and
    spatial loops, the innermost last; ``results`` and ``channels`` count per group. A unit is ``unit_rows`` steps of
    the loop before the last (which then must have a constant size) times up to ``unit_pixels`` steps of the last.
    ``program`` gets the sum as its first carried value at the position of (loops ..., channel).
    """

    dtype: DType
    out_dtype: DType
    groups: int
    channels: int
    results: int
    loops: tuple[Loop, ...]
    taps: tuple[Tap, ...]
    depth: int
    tile: TileShape
    unit_rows: int
    unit_pixels: int
    units_per_task: int
    panels_per_task: int
    bias: DType | None
    program: PointProgram
    sizes: int

    @property
    def name(self) -> str:
        return "conv"

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return -(-self.results // self.tile.columns)

    @property
    def units(self) -> Dim:
        """The number of units, in the kernel's own slots."""
        return product(self._unit_extents())

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        return ceildiv(self.groups * self.panels, self.panels_per_task) * ceildiv(self.units, self.units_per_task)

    def _unit_extents(self) -> list[Dim]:
        outer: list[Dim] = [loop.size for loop in self.loops[:-1]]
        if self.unit_rows > 1:
            outer[-1] = ceildiv(outer[-1], self.unit_rows)
        return [*outer, ceildiv(self.loops[-1].size, self.unit_pixels)]

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Conv, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.out = b.buffer(0, spec.out_dtype)
        self.source = b.buffer(1, spec.dtype)
        self.weights = b.buffer(2, spec.dtype)
        self.bias = b.buffer(3, spec.bias) if spec.bias is not None else None
        self.first_buffer = 4 if spec.bias is not None else 3
        self.panel_size = math.prod(tap.count for tap in spec.taps) * spec.depth * spec.tile.columns
        offset: Dim = symbol(f"i{len(spec.loops)}")
        for place, loop in enumerate(spec.loops):
            offset = offset + symbol(f"i{place}") * loop.out
        self.store_offset = offset
        self.ahead_lines = self.prefetched_lines()
        self.ahead = b.var(b.i64(0))
        self.expensive = epilogue_cost(spec.program) > REGISTER_EPILOGUE
        if self.expensive:
            self.block = b.local(spec.dtype, spec.tile.rows * spec.tile.columns)

    def prefetched_lines(self) -> int:
        """Cache lines of the next panel to ask for at each of a tile's prefetches, so that all of it is there in time.

        None for weights that stay in the second cache, and where the number of tiles is not known.
        """
        spec = self.spec
        pixels = spec.loops[-1].size
        bytes_ = self.panel_size * spec.groups * spec.panels * spec.dtype.itemsize
        if not isinstance(pixels, int) or bytes_ < self.b.target.caches.l2 // 2 or spec.depth < 2 * AHEAD_STEPS:
            return 0
        tiles = spec.units_per_task
        if spec.unit_rows == 1:
            tiles *= max(1, -(-min(pixels, spec.unit_pixels) // spec.tile.rows))
        return -(-AHEAD_STEPS * spec.tile.columns * spec.dtype.itemsize // (CACHE_LINE * tiles))

    def number(self, dim: Dim) -> Value:
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def emit(self) -> None:
        b, spec = self.b, self.spec
        extents = [self.number(extent) for extent in spec._unit_extents()]
        units = self.number(spec.units)
        unit_blocks = self.number(ceildiv(spec.units, spec.units_per_task))
        all_panels = spec.groups * spec.panels
        with b.tasks() as task:
            first_panel = task // unit_blocks * spec.panels_per_task
            last_panel = b.minimum(first_panel + spec.panels_per_task, all_panels)
            first_unit = task % unit_blocks * spec.units_per_task
            last_unit = b.minimum(first_unit + spec.units_per_task, units)
            with b.loop(last_panel, first_panel) as panel:
                self.ahead.set(0)

                def body(vectors: int, tail: bool, panel: Value = panel) -> None:
                    with b.loop(last_unit, first_unit) as unit:
                        self.unit(_Panel(self, panel, vectors, tail), unravel(b, unit, extents))

                self.panel(panel, body)

    def panel(self, panel: Value, body: Callable[[int, bool], None]) -> None:
        """The body for full panels and for the last one of a group, which may be narrower."""
        spec, b = self.spec, self.b
        rest = spec.results % spec.tile.columns
        if not rest:
            body(spec.tile.vectors, False)
            return
        vectors = -(-rest // spec.tile.lanes)
        if spec.panels == 1:
            body(vectors, True)
            return
        with b.if_else(panel % spec.panels == spec.panels - 1) as (last, full):
            with last:
                body(vectors, True)
            with full:
                body(spec.tile.vectors, False)

    def unit(self, panel: _Panel, index: list[Value]) -> None:
        """One unit: its tiles, whose number is known where sizes are."""
        spec, b = self.spec, self.b
        inner = spec.loops[-1].size
        start = index[-1] * spec.unit_pixels
        outer = index[:-1]
        if spec.unit_rows > 1:
            self.row_tiles(panel, outer)
        elif isinstance(inner, int) and inner % spec.unit_pixels == 0:
            self.constant_tiles(panel, outer, start, spec.unit_pixels)
        elif isinstance(inner, int) and inner < spec.unit_pixels:
            self.constant_tiles(panel, outer, start, inner)
        else:
            self.variable_tiles(panel, outer, start, b.minimum(self.number(inner) - start, spec.unit_pixels))

    def row_tiles(self, panel: _Panel, outer: list[Value]) -> None:
        """One tile over several short rows."""
        spec, b = self.spec, self.b
        rows, width = spec.loops[-2].size, spec.loops[-1].size
        assert isinstance(rows, int)
        assert isinstance(width, int)
        first = outer[-1] * spec.unit_rows
        outer = [*outer[:-1], first]
        rest = rows % spec.unit_rows
        if not rest:
            panel.tile(outer, b.i64(0), spec.unit_rows, width)
            return
        if rows < spec.unit_rows:
            panel.tile(outer, b.i64(0), rest, width)
            return
        with b.if_else(first + spec.unit_rows > rows) as (last, full):
            with last:
                panel.tile(outer, b.i64(0), rest, width)
            with full:
                panel.tile(outer, b.i64(0), spec.unit_rows, width)

    def constant_tiles(self, panel: _Panel, outer: list[Value], start: Value, count: int) -> None:
        """A known number of pixels, in tiles of nearly equal height."""
        done = 0
        for height, number in split_rows(count, self.spec.tile.rows):
            with self.b.loop(number) as tile:
                panel.tile(outer, start + tile * height + done, 1, height)
            done += height * number

    def variable_tiles(self, panel: _Panel, outer: list[Value], start: Value, count: Value) -> None:
        """Full tiles, then smaller ones whose heights halve."""
        b, rows = self.b, self.spec.tile.rows
        full = count // rows
        with b.loop(full) as tile:
            panel.tile(outer, start + tile * rows, 1, rows)
        place = b.var(start + full * rows)
        end = start + count
        for height in heights(rows)[1:]:
            with b.if_(place.get() + height <= end):
                panel.tile(outer, place.get(), 1, height)
                place.set(place.get() + height)


class _Panel:
    """One panel of weights and the tiles that use it."""

    def __init__(self, emitter: _Emitter, panel: Value, vectors: int, tail: bool) -> None:
        spec = emitter.spec
        self.emitter = emitter
        self.vectors = vectors
        self.tail = tail
        group = panel // spec.panels
        self.weights = emitter.weights.at(panel * emitter.panel_size)
        self.source = emitter.source.at(group * spec.channels)
        in_group = panel % spec.panels * spec.tile.columns
        self.channel = group * spec.results + in_group
        self.left = emitter.b.i64(spec.results) - in_group

    def tile(self, outer: list[Value], pixel: Value, rows: int, width: int) -> None:
        """``rows`` x ``width`` output pixels from (outer ..., pixel) on, in registers."""
        emitter, spec, b = self.emitter, self.emitter.spec, self.emitter.b
        a: Pointer = self.source
        for place, loop in zip([*outer, pixel], spec.loops, strict=True):
            a = a.at(place * emitter.number(loop.a))
        steps = [self.step(loop) for loop in (spec.loops[-2:] if rows > 1 else spec.loops[-1:])]
        pixels = [(row, column) for row in range(rows) for column in range(width)]
        offsets = [steps[-1] * column + (steps[0] * row if rows > 1 else 0) for row, column in pixels]
        sums = emit_tile(
            b,
            offsets,
            self.vectors,
            a,
            self.weights,
            self.levels(),
            start=self.start(len(pixels)),
            lanes=spec.tile.lanes,
            ahead=self.prefetch if emitter.ahead_lines else None,
            whole=spec.tile.vectors,
        )
        if emitter.expensive:
            self.store_from_memory(outer, pixel, rows, width, sums)
            return
        for (row, column), vectors in zip(pixels, sums, strict=True):
            index = [*outer, pixel + column]
            if rows > 1:
                index[-2] = index[-2] + row
            self.store(index, vectors)

    def prefetch(self, k: Value) -> None:
        """Asks for a share of the next panel."""
        emitter, line = self.emitter, CACHE_LINE // self.emitter.spec.dtype.itemsize
        place = emitter.ahead.get()
        following = self.weights.at(place + emitter.panel_size)
        for share in range(emitter.ahead_lines):
            emitter.b.prefetch(following.at(share * line), locality=2)
        emitter.ahead.set(place + emitter.ahead_lines * line)

    def store_from_memory(
        self, outer: list[Value], pixel: Value, rows: int, width: int, sums: list[list[Value]]
    ) -> None:
        """The epilogue in a loop over pixels: unrolled, a long one would push sums out of registers one by one."""
        block, b, lanes = self.emitter.block, self.emitter.b, self.emitter.spec.tile.lanes
        step = self.vectors * lanes
        for row, vectors in enumerate(sums):
            for vector, value in enumerate(vectors):
                block.store(value, row * step + vector * lanes)
        with b.loop(rows * width) as place:
            index = [*outer, pixel + (place % width if rows > 1 else place)]
            if rows > 1:
                index[-2] = index[-2] + place // width
            self.store(index, [block.load(place * step + v * lanes, lanes) for v in range(self.vectors)])

    def step(self, loop: Loop) -> Value | int:
        return loop.a if isinstance(loop.a, int) else self.emitter.number(loop.a)

    def levels(self) -> list[Level]:
        spec = self.emitter.spec
        levels = [Level(spec.depth, 1, spec.tile.columns)]
        b_step = spec.depth * spec.tile.columns
        for tap in reversed(spec.taps):
            a = tap.a if isinstance(tap.a, int) else self.emitter.number(tap.a)
            levels.insert(0, Level(tap.count, a, b_step))
            b_step *= tap.count
        return levels

    def mask(self, vector: int) -> Value | None:
        lanes = self.emitter.spec.tile.lanes
        if not self.tail or vector < self.vectors - 1 or self.emitter.spec.results % lanes == 0:
            return None
        return self.emitter.b.tail_mask(self.left - vector * lanes, lanes)

    def start(self, rows: int) -> list[list[Value]] | None:
        """The bias as the first value of every sum."""
        emitter, spec = self.emitter, self.emitter.spec
        if emitter.bias is None:
            return None
        lanes = spec.tile.lanes
        loaded = [
            emitter.bias.load(self.channel + vector * lanes, lanes, self.mask(vector)).to(spec.dtype)
            for vector in range(self.vectors)
        ]
        return [loaded] * rows

    def store(self, index: list[Value], vectors: list[Value]) -> None:
        emitter, spec, b = self.emitter, self.emitter.spec, self.emitter.b
        position = [
            value if (loop.start, loop.scale) == (0, 1) else value * loop.scale + loop.start
            for value, loop in zip(index, spec.loops, strict=True)
        ]
        for vector, value in enumerate(vectors):
            channel = self.channel + vector * spec.tile.lanes
            place = Position([*position, channel], spec.tile.lanes, len(position), self.mask(vector))
            (result,) = emit_point(b, spec.program, place, [value], emitter.first_buffer, spec.sizes)
            emit_store(b, 0, spec.out_dtype, emitter.store_offset, result, place)
