"""Convolution as a batch-reduce matrix product, without im2col.

    for task in tasks:                                      # a block of panels x a block of output rows
        for panel in block of panels:                       # panel: vectors * lanes output channels of one group
            for unit in block of units:                     # unit: some output rows, or a part of a row
                for tile in unit:                           # up to tile.rows output pixels
                    sums = bias
                    for tap: for k in depth:                # depth: kernel columns merged with the input channels
                        sums[pixel][:] += a[pixel * step + tap + k] * packed[panel][tap][k][:]
                    store(epilogue(sums))

Where a panel is too large to stay in the second cache, the first taps are the loop around the units, with the sums in
memory on the stack meanwhile.

The input lies channels last with its padding (kernels/conv_pad.py), so that the elements under one row of the
kernel are adjacent and no element is tested. A 1 x 1 convolution is the case of one tap; with all pixels in one loop it
is a plain matrix product. A transposed convolution is one such convolution for each phase of its stride.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.conv_plan import CACHE_LINE, Cut, Loop, Tap
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.kernels.gemm import epilogue_cost
from sardonyx.kernels.gemm_tile import AHEAD_STEPS, Level, emit_rest, emit_tile, split_rows
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import PointProgram, Position, emit_programs, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv, product, symbol

__all__ = ["Conv"]

REGISTER_EPILOGUE = 6
"""Most pointwise operations that are applied while all sums are in registers."""


@dataclass(frozen=True)
class Conv:
    """One convolution; sizes and strides are in elements, ints or expressions of ``s0, s1 ...``.

    Buffers: 0 output, 1 input, 2 packed weights, 3 bias (with ``bias``), then the epilogue's. ``loops`` are batch and
    spatial loops, the innermost last; ``results`` and ``channels`` count per group. ``program`` gets the sum as its
    first carried value at the position of (loops ..., channel), after ``scale`` where there is one. ``atom`` is the
    multiply-accumulate (None: of one element of ``dtype``), ``depth`` counts its steps.
    """

    dtype: DType
    out_dtype: DType
    groups: int
    channels: int
    results: int
    loops: tuple[Loop, ...]
    taps: tuple[Tap, ...]
    depth: int
    cut: Cut
    bias: DType | None
    program: PointProgram
    sizes: int
    scale: PointProgram | None = None
    atom: Atom | None = None

    @property
    def name(self) -> str:
        return "conv"

    @property
    def cost(self) -> int:
        """Roughly the instructions spent on one vector of results."""
        return sum(epilogue_cost(program) for program in (self.scale, self.program) if program is not None)

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return -(-self.results // self.cut.tile.columns)

    @property
    def units(self) -> Dim:
        """The number of units, in the kernel's own slots."""
        return product(self._unit_extents())

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        return ceildiv(self.groups * self.panels, self.cut.panels_per_task) * ceildiv(
            self.units, self.cut.units_per_task
        )

    def _unit_extents(self) -> list[Dim]:
        outer: list[Dim] = [loop.size for loop in self.loops[:-1]]
        if self.cut.unit_rows > 1:
            outer[-1] = ceildiv(outer[-1], self.cut.unit_rows)
        return [*outer, ceildiv(self.loops[-1].size, self.cut.unit_pixels)]

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Conv, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.out = b.buffer(0, spec.out_dtype)
        self.atom = spec.atom or plain_atom(spec.dtype)
        self.source = b.buffer(1, self.atom.a)
        self.weights = b.buffer(2, spec.dtype)
        self.bias = b.buffer(3, spec.bias) if spec.bias is not None else None
        self.first_buffer = 4 if spec.bias is not None else 3
        self.panel_size = math.prod(tap.count for tap in spec.taps) * spec.depth * spec.cut.tile.columns
        offset: Dim = symbol(f"i{len(spec.loops)}")
        for place, loop in enumerate(spec.loops):
            offset = offset + symbol(f"i{place}") * loop.out
        self.store_offset = offset
        self.blocks = spec.taps[0].count if spec.cut.blocked else 1
        self.block_size = self.panel_size // self.blocks
        pixels = spec.loops[-1].size
        self.unit_capacity = spec.cut.unit_rows * (
            min(spec.cut.unit_pixels, pixels) if isinstance(pixels, int) else spec.cut.unit_pixels
        )
        self.ahead_lines = self.prefetched_lines()
        self.ahead = b.var(b.i64(0))
        self.in_memory = spec.cut.blocked or spec.cost > REGISTER_EPILOGUE
        if self.in_memory:
            capacity = spec.cut.units_per_task * self.unit_capacity if spec.cut.blocked else spec.cut.tile.rows
            self.sums = b.local(spec.dtype, capacity * spec.cut.tile.columns)

    def prefetched_lines(self) -> int:
        """Cache lines of the weights after this block to ask for at each of a tile's prefetches.

        None for weights that stay in the second cache, and where the number of tiles is not known.
        """
        spec = self.spec
        bytes_ = self.panel_size * spec.groups * spec.panels * spec.dtype.itemsize
        known = isinstance(spec.loops[-1].size, int)
        if not known or bytes_ < self.b.target.caches.l2 // 2 or spec.depth < 2 * AHEAD_STEPS:
            return 0
        image = math.prod(extent for extent in spec._unit_extents() if isinstance(extent, int))  # a batch may be 1
        tiles = max(1, min(spec.cut.units_per_task, image))
        if spec.cut.unit_rows == 1:
            tiles *= max(1, -(-self.unit_capacity // spec.cut.tile.rows))
        return -(-AHEAD_STEPS * spec.cut.tile.columns * spec.dtype.itemsize // (CACHE_LINE * tiles))

    def number(self, dim: Dim) -> Value:
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def emit(self) -> None:
        b, spec = self.b, self.spec
        extents = [self.number(extent) for extent in spec._unit_extents()]
        units = self.number(spec.units)
        unit_blocks = self.number(ceildiv(spec.units, spec.cut.units_per_task))
        all_panels = spec.groups * spec.panels
        with b.tasks() as task:
            first_panel = task // unit_blocks * spec.cut.panels_per_task
            last_panel = b.minimum(first_panel + spec.cut.panels_per_task, all_panels)
            first_unit = task % unit_blocks * spec.cut.units_per_task
            last_unit = b.minimum(first_unit + spec.cut.units_per_task, units)
            with b.loop(last_panel, first_panel) as panel:

                def units_of(tiles: _Tiles) -> None:
                    with b.loop(last_unit, first_unit) as unit:
                        tiles.first_sum = (unit - first_unit) * self.unit_capacity if spec.cut.blocked else b.i64(0)
                        self.unit(tiles, unravel(b, unit, extents))

                def body(vectors: int, tail: bool, panel: Value = panel) -> None:
                    if not spec.cut.blocked:
                        self.ahead.set(0)
                        units_of(_Tiles(self, panel, vectors, tail))
                        return
                    _Tiles(self, panel, vectors, tail).clear((last_unit - first_unit) * self.unit_capacity)
                    with b.loop(self.blocks) as block:
                        self.ahead.set(0)
                        units_of(_Tiles(self, panel, vectors, tail, block=block))
                    units_of(_Tiles(self, panel, vectors, tail, finish=True))

                self.panel(panel, body)

    def panel(self, panel: Value, body: Callable[[int, bool], None]) -> None:
        """The body for full panels and for the last one of a group, which may be narrower."""
        spec, b = self.spec, self.b
        rest = spec.results % spec.cut.tile.columns
        if not rest:
            body(spec.cut.tile.vectors, False)
            return
        vectors = -(-rest // spec.cut.tile.lanes)
        if spec.panels == 1:
            body(vectors, True)
            return
        with b.if_else(panel % spec.panels == spec.panels - 1) as (last, full):
            with last:
                body(vectors, True)
            with full:
                body(spec.cut.tile.vectors, False)

    def unit(self, tiles: _Tiles, index: list[Value]) -> None:
        """One unit: its tiles, whose number is known where sizes are."""
        spec, b = self.spec, self.b
        inner = spec.loops[-1].size
        start = index[-1] * spec.cut.unit_pixels
        outer = index[:-1]
        if spec.cut.unit_rows > 1:
            self.row_tiles(tiles, outer)
        elif isinstance(inner, int) and inner % spec.cut.unit_pixels == 0:
            self.constant_tiles(tiles, outer, start, spec.cut.unit_pixels)
        elif isinstance(inner, int) and inner < spec.cut.unit_pixels:
            self.constant_tiles(tiles, outer, start, inner)
        else:
            self.variable_tiles(tiles, outer, start, b.minimum(self.number(inner) - start, spec.cut.unit_pixels))

    def row_tiles(self, tiles: _Tiles, outer: list[Value]) -> None:
        """One tile over several short rows."""
        spec, b = self.spec, self.b
        rows, width = spec.loops[-2].size, spec.loops[-1].size
        assert isinstance(rows, int)
        assert isinstance(width, int)
        first = outer[-1] * spec.cut.unit_rows
        outer = [*outer[:-1], first]
        rest = rows % spec.cut.unit_rows
        if not rest:
            tiles.tile(outer, b.i64(0), 0, spec.cut.unit_rows, width)
            return
        if rows < spec.cut.unit_rows:
            tiles.tile(outer, b.i64(0), 0, rest, width)
            return
        with b.if_else(first + spec.cut.unit_rows > rows) as (last, full):
            with last:
                tiles.tile(outer, b.i64(0), 0, rest, width)
            with full:
                tiles.tile(outer, b.i64(0), 0, spec.cut.unit_rows, width)

    def constant_tiles(self, tiles: _Tiles, outer: list[Value], start: Value, count: int) -> None:
        """A known number of pixels, in tiles of nearly equal height."""
        done = 0
        for height, number in split_rows(count, self.spec.cut.tile.rows):
            with self.b.loop(number) as tile:
                tiles.tile(outer, start, tile * height + done, 1, height)
            done += height * number

    def variable_tiles(self, tiles: _Tiles, outer: list[Value], start: Value, count: Value) -> None:
        """Full tiles, then smaller ones."""
        b, rows = self.b, self.spec.cut.tile.rows
        full = count // rows
        with b.loop(full) as tile:
            tiles.tile(outer, start, tile * rows, 1, rows)
        with b.if_(full * rows < count):
            done = full * rows
            emit_rest(b, count - done, rows, lambda at, height: tiles.tile(outer, start, done + at, 1, height))


class _Tiles:
    """The tiles that use one panel of weights: all of its taps, or with ``block`` one of its first taps, or with
    ``finish`` none: then the epilogue is applied to the sums in memory."""

    first_sum: Value

    def __init__(
        self,
        emitter: _Emitter,
        panel: Value,
        vectors: int,
        tail: bool,
        *,
        block: Value | None = None,
        finish: bool = False,
    ) -> None:
        spec = emitter.spec
        self.emitter = emitter
        self.vectors = vectors
        self.tail = tail
        self.block = block
        self.finish = finish
        group = panel // spec.panels
        self.weights = emitter.weights.at(panel * emitter.panel_size)
        self.source = emitter.source.at(group * spec.channels)
        if block is not None:
            self.weights = self.weights.at(block * emitter.block_size)
            self.source = self.source.at(block * emitter.number(spec.taps[0].a))
        in_group = panel % spec.panels * spec.cut.tile.columns
        self.channel = group * spec.results + in_group
        self.left = emitter.b.i64(spec.results) - in_group

    def tile(self, outer: list[Value], start: Value, pixel: Value | int, rows: int, width: int) -> None:
        """``rows`` x ``width`` output pixels from (outer ..., start + pixel) on, in registers."""
        emitter, first = self.emitter, start + pixel
        place = self.first_sum + pixel if emitter.spec.cut.blocked else self.first_sum
        if self.finish:
            self.store_from_memory(outer, first, rows, width, place)
            return
        sums = self.sum(outer, first, rows, width, place)
        if emitter.in_memory:
            self.keep(sums, place)
            if self.block is None:
                self.store_from_memory(outer, first, rows, width, place)
            return
        for number, vectors in enumerate(sums):
            index = [*outer, first + number % width]
            if rows > 1:
                index[-2] = index[-2] + number // width
            self.store(index, vectors)

    def sum(self, outer: list[Value], first: Value, rows: int, width: int, place: Value) -> list[list[Value]]:
        """The sums of a tile."""
        emitter, spec = self.emitter, self.emitter.spec
        a: Pointer = self.source
        for position, loop in zip([*outer, first], spec.loops, strict=True):
            a = a.at(position * emitter.number(loop.a))
        steps = [self.step(loop) for loop in (spec.loops[-2:] if rows > 1 else spec.loops[-1:])]
        pixels = [(row, column) for row in range(rows) for column in range(width)]
        return emit_tile(
            emitter.b,
            [steps[-1] * column + (steps[0] * row if rows > 1 else 0) for row, column in pixels],
            self.vectors,
            a,
            self.weights,
            self.levels(),
            start=self.start(len(pixels)) if self.block is None else self.kept(place, len(pixels)),
            lanes=spec.cut.tile.lanes,
            ahead=self.prefetch if emitter.ahead_lines else None,
            whole=spec.cut.tile.vectors,
            atom=emitter.atom,
        )

    # -- sums in memory ------------------------------------------------------------------------------------------

    def _sum_at(self, place: Value, vector: int) -> Value:
        tile = self.emitter.spec.cut.tile
        return place * tile.columns + vector * tile.lanes

    def clear(self, count: Value) -> None:
        """Puts the bias into the first ``count`` pixels' sums."""
        zero = self.emitter.b.zero(Type(self.emitter.spec.dtype, self.emitter.spec.cut.tile.lanes))
        (first,) = self.start(1) or [[zero] * self.vectors]
        with self.emitter.b.loop(count) as place:
            self.keep([first], place)

    def keep(self, sums: list[list[Value]], place: Value) -> None:
        """Writes the sums of pixels from ``place`` on."""
        for number, vectors in enumerate(sums):
            for vector, value in enumerate(vectors):
                self.emitter.sums.store(value, self._sum_at(place + number, vector))

    def kept(self, place: Value, count: int) -> list[list[Value]]:
        """Reads the sums of ``count`` pixels."""
        lanes = self.emitter.spec.cut.tile.lanes
        return [
            [self.emitter.sums.load(self._sum_at(place + number, vector), lanes) for vector in range(self.vectors)]
            for number in range(count)
        ]

    def store_from_memory(self, outer: list[Value], first: Value, rows: int, width: int, place: Value) -> None:
        """The epilogue in a loop over pixels: unrolled, a long one would push sums out of registers one by one."""
        with self.emitter.b.loop(rows * width) as number:
            index = [*outer, first + (number % width if rows > 1 else number)]
            if rows > 1:
                index[-2] = index[-2] + number // width
            (vectors,) = self.kept(place + number, 1)
            self.store(index, vectors)

    # -- operands ------------------------------------------------------------------------------------------------

    def prefetch(self, k: Value) -> None:
        """Asks for a share of the weights after this block."""
        emitter, line = self.emitter, CACHE_LINE // self.emitter.spec.dtype.itemsize
        place = emitter.ahead.get()
        following = self.weights.at(place + emitter.block_size)
        for share in range(emitter.ahead_lines):
            emitter.b.prefetch(following.at(share * line), locality=2)
        emitter.ahead.set(place + emitter.ahead_lines * line)

    def step(self, loop: Loop) -> Value | int:
        return loop.a if isinstance(loop.a, int) else self.emitter.number(loop.a)

    def levels(self) -> list[Level]:
        spec = self.emitter.spec
        levels = [Level(spec.depth, self.emitter.atom.depth, spec.cut.tile.columns)]
        b_step = spec.depth * spec.cut.tile.columns
        for tap in reversed(spec.taps[1:] if spec.cut.blocked else spec.taps):
            a = tap.a if isinstance(tap.a, int) else self.emitter.number(tap.a)
            levels.insert(0, Level(tap.count, a, b_step))
            b_step *= tap.count
        return levels

    def mask(self, vector: int) -> Value | None:
        lanes = self.emitter.spec.cut.tile.lanes
        if not self.tail or vector < self.vectors - 1 or self.emitter.spec.results % lanes == 0:
            return None
        return self.emitter.b.tail_mask(self.left - vector * lanes, lanes)

    def start(self, rows: int) -> list[list[Value]] | None:
        """The bias as the first value of every sum."""
        emitter, spec = self.emitter, self.emitter.spec
        if emitter.bias is None:
            return None
        lanes = spec.cut.tile.lanes
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
            channel = self.channel + vector * spec.cut.tile.lanes
            place = Position([*position, channel], spec.cut.tile.lanes, len(position), self.mask(vector))
            programs = spec.scale, spec.program
            (result,) = emit_programs(b, programs, place, [value], emitter.first_buffer, spec.sizes)
            emit_store(b, 0, spec.out_dtype, emitter.store_offset, result, place)
