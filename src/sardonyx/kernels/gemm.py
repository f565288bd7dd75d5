"""Matrix products: C = epilogue(A B), A read where it lies, B packed in panels (kernels/pack.py).

for task in [begin, end):                         # a block of rows x a group of panels of one batch element
    for depth block:                              # k in stretches that suit the caches
        for tile of the block:                    # rows of A, copied to the stack where that pays
            for panel of the group:
                sums = micro-kernel(tile, panel)  # kernels/gemm_tile.py
                one depth block, cheap epilogue:  C = epilogue(sums), in registers
                else:                             block[tile, panel] += sums
    else: C = epilogue(block)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.blocks import STRETCH, Unpack
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.kernels.gemm_grid import BLOCK_TILES, GROUP_PANELS, plan_depth, plan_grid
from sardonyx.kernels.gemm_tile import AHEAD_STEPS, Level, emit_rest, emit_tile, row_offsets, split_rows
from sardonyx.kernels.point import Apply, PointProgram, Position, emit_programs, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, align_up, ceildiv, maximum

__all__ = ["Gemm", "epilogue_cost"]

REGISTER_EPILOGUE = 6
"""Most pointwise operations that are applied while all sums are in registers; more would push sums out of them."""

WIDE_PANELS = 8
"""Panels from which on the last, narrower one is no longer worth code of its own."""

PAGE = 4096


def epilogue_cost(program: PointProgram) -> int:
    """Roughly the number of instructions the epilogue spends on one vector."""
    return sum(getattr(i.op, "cost", 1) for i in program.instructions if isinstance(i, Apply))


@dataclass(frozen=True)
class Gemm:
    """A product of (m, k) by (k, n), once or for each of ``batch`` elements.

    ``dtype`` is that of the packed B and of the sums; A (``a_dtype``) is converted to it. Row r of A begins at
    ``a_batch + r * a_row``, its elements are adjacent. ``a_batch`` and ``b_batch`` are offsets in elements, expressions
    of ``i0``, the batch element. With ``b_row``, B is not packed: its rows are so many elements apart, theirs adjacent
    (n must be constant). ``scale`` (alpha, beta, C of Gemm) and then ``epilogue`` run over the loops (batch,) m, n; the
    result goes to ``c_offset``, an expression of the same positions. Buffers: A, B, C, then those of ``scale`` and
    ``epilogue``; i64 arguments: ``sizes`` of its own, then those two's. ``atom`` is the multiply-accumulate (None: of
    one element of ``dtype``); with a deeper one, B is packed for it. With ``unpack``, B is small integers, packed by
    bytes, and further buffers follow C's.
    """

    m: Dim
    n: Dim
    k: Dim
    a_dtype: DType
    dtype: DType
    a_row: Dim
    c_dtype: DType
    c_offset: Dim
    epilogue: PointProgram
    sizes: int = 0
    batch: Dim | None = None
    a_batch: Dim = 0
    b_batch: Dim = 0
    b_row: Dim | None = None
    scale: PointProgram | None = None
    atom: Atom | None = None
    unpack: Unpack | None = None

    @property
    def name(self) -> str:
        return "gemm"

    @property
    def cost(self) -> int:
        """Roughly the instructions spent on one vector of results."""
        return sum(epilogue_cost(program) for program in (self.scale, self.epilogue) if program is not None)

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Gemm, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.atom = spec.atom or plain_atom(spec.dtype)
        self.steps = ceildiv(spec.k, self.atom.depth)
        self.grid = plan_grid(b.target, spec.dtype, spec.m, spec.n, self.steps)
        self.shape = self.grid.shape
        self.type = Type(spec.dtype, self.shape.lanes)
        longest = plan_depth(b.target, self.shape, spec.dtype) if spec.unpack is None else STRETCH
        self.depth_blocks: Dim = maximum(ceildiv(self.steps, longest), 1)
        self.depth: Dim = align_up(ceildiv(self.steps, self.depth_blocks), AHEAD_STEPS)
        if spec.unpack is not None:
            self.depth = STRETCH
            self.unpacked = b.local(spec.dtype, GROUP_PANELS * STRETCH * self.shape.columns)
        self.depth_unit = AHEAD_STEPS if isinstance(self.steps, int) and self.steps % AHEAD_STEPS == 0 else 1
        one_pass = isinstance(self.depth_blocks, int) and self.depth_blocks <= 1
        cheap = spec.cost <= REGISTER_EPILOGUE
        self.in_registers = one_pass and cheap and isinstance(spec.n, int) and spec.unpack is None
        if isinstance(spec.n, int) and spec.n % self.shape.columns and spec.n > WIDE_PANELS * self.shape.columns:
            self.in_registers = False  # one code for all panels: nothing is masked before the block is stored
        self.copies_a = self.needs_copy()
        self.row_step = GROUP_PANELS * self.shape.columns
        if not self.in_registers:
            self.block = b.local(spec.dtype, BLOCK_TILES * self.shape.rows * self.row_step)
        if self.copies_a:
            self.copy_lanes = b.target.lanes(max(self.atom.a.itemsize, spec.a_dtype.itemsize))
            steps = self.depth if isinstance(self.depth, int) else longest
            self.copy_step = steps * self.atom.depth + self.copy_lanes  # rows that are not a power of two apart
            self.copy = b.local(self.atom.a, self.shape.rows * self.copy_step)

    def needs_copy(self) -> bool:
        """Whether a tile's rows of A are first copied: to convert them, to fill up the last step, or as far more of
        them than the first-level cache has ways would lie in the same set."""
        spec, ways = self.spec, self.b.target.caches.l1 // PAGE
        whole_steps = self.atom.depth == 1 or (isinstance(spec.k, int) and spec.k % self.atom.depth == 0)
        if spec.a_dtype != self.atom.a or not whole_steps:
            return True
        same_set = isinstance(spec.a_row, int) and spec.a_row * spec.a_dtype.itemsize % (PAGE // 4) == 0
        return same_set and spec.m != 1 and 2 * self.shape.rows > 3 * ways

    def dim(self, value: Dim) -> Value:
        return emit_dim(self.b, value, lambda name: self.symbol(name))

    def symbol(self, name: str) -> Value:
        return self.batch if name[0] == "i" else self.b.size(int(name[1:]))

    def emit(self) -> None:
        b, spec, grid = self.b, self.spec, self.grid
        tiles, panels, blocks, groups = (self.dim(x) for x in (grid.tiles, grid.panels, grid.blocks, grid.groups))
        with b.tasks() as task:
            block, rest = b.index_rem(task, blocks), b.index_div(task, blocks)
            group, self.batch = b.index_rem(rest, groups), b.index_div(rest, groups)
            self.a = b.buffer(0, spec.a_dtype).at(self.dim(spec.a_batch))
            self.panels = b.buffer(1, spec.dtype).at(self.dim(spec.b_batch))
            self.first_tile, self.last_tile = tiles * block // blocks, tiles * (block + 1) // blocks
            self.first_panel, self.last_panel = panels * group // groups, panels * (group + 1) // groups
            self.task()

    def task(self) -> None:
        """One task: every depth block over all its tiles and panels."""
        b, spec, steps = self.b, self.spec, self.steps
        if self.in_registers:
            self.tiles(b.i64(0), steps if isinstance(steps, int) else self.dim(steps))
            return
        with b.loop(self.dim(self.depth_blocks)) as part:
            start = part * self.dim(self.depth)
            if spec.unpack is not None:
                self.unpack(spec.unpack, start)
            self.tiles(start, b.minimum(self.dim(self.depth), self.dim(steps) - start))
        self.finish_block()

    def unpack(self, unpack: Unpack, start: Value) -> None:
        """Makes floats of the group's panels for one stretch of k."""
        b, columns = self.b, self.shape.columns
        depth = b.minimum(self.dim(self.steps) - start, STRETCH)
        with b.loop(self.last_panel, self.first_panel) as panel:
            target = self.unpacked.at((panel - self.first_panel) * (STRETCH * columns))
            unpack.emit(b, panel, columns, self.shape.lanes, start, depth, target)

    # -- rows ----------------------------------------------------------------------------------------------------

    def row(self, tile: Value) -> Value:
        """The first row of a tile."""
        rows = self.shape.rows
        if not isinstance(self.spec.m, int):
            return tile * rows
        parts = split_rows(self.spec.m, rows)
        (height, number) = parts[0] if parts else (rows, 0)
        return tile * height if len(parts) < 2 else tile * (height - 1) + self.b.minimum(tile, number)

    def tiles(self, start: Value, depth: Value | int) -> None:
        """All tiles of the task for one stretch of k."""
        b, spec, rows = self.b, self.spec, self.shape.rows
        if isinstance(spec.m, int):
            begin = 0
            for height, number in split_rows(spec.m, rows):
                first, last = b.maximum(self.first_tile, begin), b.minimum(self.last_tile, begin + number)
                with b.loop(last, first) as tile:
                    self.tile(self.row(tile), height, start, depth)
                begin += number
            return
        m = self.dim(spec.m)
        full = m // rows
        with b.loop(b.minimum(self.last_tile, full), self.first_tile) as tile:
            self.tile(tile * rows, rows, start, depth)
        with b.if_(self.last_tile > full):
            first = full * rows
            emit_rest(b, m - first, rows, lambda at, height: self.tile(first + at, height, start, depth))

    def tile(self, row: Value, height: int, start: Value, depth: Value | int) -> None:
        """One tile of rows against the task's panels."""
        b, spec, columns = self.b, self.spec, self.shape.columns
        a = self.a.at(row * self.dim(spec.a_row) + start * self.atom.depth)
        step = self.dim(spec.a_row) if not isinstance(spec.a_row, int) else spec.a_row
        origin, apart = a, row_offsets(step, height)
        if self.copies_a:
            self.copy_rows(a, height, start, depth)
            a, step = self.copy, self.copy_step
        offsets = row_offsets(step, height)

        narrow = self.in_registers or spec.b_row is not None or (isinstance(spec.n, int) and spec.n < columns)
        rest = spec.n % columns if isinstance(spec.n, int) and narrow else 0

        def panel(place: Value, vectors: int, last_columns: int = 0) -> None:
            weights, level, mask = self.weights(place, start, depth, vectors, last_columns)
            initial = None if self.in_registers else self.load_block(row, place, height, vectors, start)
            ahead = self.prefetcher(origin, apart, height)
            sums = emit_tile(
                b,
                offsets,
                vectors,
                a,
                weights,
                [level],
                start=initial,
                mask=mask,
                ahead=ahead,
                whole=self.shape.vectors,
                atom=self.atom,
            )
            if self.in_registers:
                self.finish_tile(sums, row, place * columns, last_columns)
            else:
                self.store_block(sums, row, place)

        if not rest:
            with b.loop(self.last_panel, self.first_panel) as place:
                panel(place, self.shape.vectors)
            return
        assert isinstance(spec.n, int)
        full = spec.n // columns
        if full:
            with b.loop(b.minimum(self.last_panel, full), self.first_panel) as place:
                panel(place, self.shape.vectors)
        with b.if_(self.last_panel > full):
            panel(b.i64(full), -(-rest // self.shape.lanes), rest)

    def prefetcher(self, rows: Pointer, apart: Sequence[Value | int], height: int) -> Callable[[Value], None] | None:
        """Asks for the rows of the next tile while a tile is summed."""
        b, spec = self.b, self.spec
        if height < self.shape.rows // 2 or (isinstance(self.steps, int) and self.steps < 2 * AHEAD_STEPS):
            return None

        def ahead(k: Value) -> None:
            following = rows.at(k * self.atom.depth + height * self.dim(spec.a_row))
            for offset in apart:
                b.prefetch(following.at(offset), locality=2)

        return ahead

    def weights(
        self, place: Value, start: Value, depth: Value | int, vectors: int, columns: int
    ) -> tuple[Pointer, Level, Value | None]:
        """Where a panel's stretch of k begins, how k walks it, and which lanes of its last vector exist."""
        spec, width, lanes = self.spec, self.shape.columns, self.shape.lanes
        if spec.unpack is not None:
            made = self.unpacked.at((place - self.first_panel) * (STRETCH * width))
            return made, Level(depth, 1, width, self.depth_unit), None
        if spec.b_row is None:
            return (
                self.panels.at((place * self.dim(self.steps) + start) * width),
                Level(depth, self.atom.depth, width, self.depth_unit),
                None,
            )
        step = spec.b_row if isinstance(spec.b_row, int) else self.dim(spec.b_row)
        mask = self.b.tail_mask(columns % lanes, lanes) if columns % lanes else None
        return self.panels.at(start * step + place * width), Level(depth, 1, step, self.depth_unit), mask

    def copy_rows(self, a: Pointer, height: int, start: Value, depth: Value | int) -> None:
        """The tile's rows for one stretch of k, as the micro-kernel reads them; a last step is filled up with zeros."""
        b, lanes = self.b, self.copy_lanes
        step = self.dim(self.spec.a_row)
        count: Value | int = depth
        if self.atom.depth > 1:
            count = b.minimum(self.dim(self.spec.k) - start * self.atom.depth, depth * self.atom.depth)
        with b.loop(height) as row:
            source, target = a.at(row * step), self.copy.at(row * self.copy_step)

            def body(k: Value, mask: Value | None, source: Pointer = source, target: Pointer = target) -> None:
                target.store(source.load(k, lanes, mask).to(self.atom.a), k)

            b.vector_loop(count, lanes, body)

    # -- results -------------------------------------------------------------------------------------------------

    def block_at(self, row: Value, panel: Value) -> Pointer:
        local_row = row - self.row(self.first_tile)
        return self.block.at(local_row * self.row_step + (panel - self.first_panel) * self.shape.columns)

    def load_block(self, row: Value, panel: Value, height: int, vectors: int, start: Value) -> list[list[Value]]:
        """The sums so far: zero in the first stretch of k."""
        b, lanes = self.b, self.shape.lanes
        source = self.block_at(row, panel)
        sums = [[b.var(b.zero(self.type)) for _ in range(vectors)] for _ in range(height)]
        with b.if_(start > 0):
            for r, values in enumerate(sums):
                for v, value in enumerate(values):
                    value.set(source.load(r * self.row_step + v * lanes, lanes))
        return [[value.get() for value in values] for values in sums]

    def store_block(self, sums: list[list[Value]], row: Value, panel: Value) -> None:
        target = self.block_at(row, panel)
        for r, values in enumerate(sums):
            for v, value in enumerate(values):
                target.store(value, r * self.row_step + v * self.shape.lanes)

    def finish_tile(self, sums: list[list[Value]], row: Value, column: Value, columns: int) -> None:
        """The epilogue on a tile in registers; ``columns`` is how many the last panel has, 0 in all others."""
        b, lanes = self.b, self.shape.lanes
        for r, values in enumerate(sums):
            for v, value in enumerate(values):
                partial = columns and (v + 1) * lanes > columns
                mask = b.tail_mask(columns - v * lanes, lanes) if partial else None
                self.store(row + r, column + v * lanes, value, mask)

    def finish_block(self) -> None:
        """The epilogue on all sums of the task."""
        b, spec, lanes = self.b, self.spec, self.shape.lanes
        first, last = self.row(self.first_tile), b.minimum(self.row(self.last_tile), self.dim(spec.m))
        column = self.first_panel * self.shape.columns
        count = b.minimum(self.last_panel * self.shape.columns, self.dim(spec.n)) - column
        with b.loop(last, first) as row:
            source = self.block.at((row - first) * self.row_step)

            def body(at: Value, mask: Value | None) -> None:
                self.store(row, column + at, source.load(at, lanes), mask)

            b.vector_loop(count, lanes, body)

    def store(self, row: Value, column: Value, value: Value, mask: Value | None) -> None:
        spec = self.spec
        index = [row, column] if spec.batch is None else [self.batch, row, column]
        position = Position(index, self.shape.lanes, len(index) - 1, mask)
        first = 3 + (0 if spec.unpack is None else spec.unpack.buffers)
        (result,) = emit_programs(self.b, (spec.scale, spec.epilogue), position, [value], first, spec.sizes)
        emit_store(self.b, 2, spec.c_dtype, spec.c_offset, result, position)
