"""Recurrent layers: all steps of a sequence in one call, the products of each step fused with the cell's update.

    for task in [begin, end):                             # one direction of a block of rows (samples)
        h, c = initial state
        for step < longest sequence of the block:
            for phase of the cell:
                for group of panels:                      # back and forth: what was read last is read first
                    sums = micro-kernel(h of the block, panel)      # kernels/gemm_tile.py: every gate of the units
                    for row: for panel of the group:
                        h', c' = cell(x W of row at its time + sums + biases, h, c);  y[time] = h'
        final state = h, c

The products of the inputs (x W) are made beforehand by one matrix product, or, for a single row, beside the recurrent
ones (kernels/recurrent_inputs.py). A row's time counts backwards from the end of its own sequence in the reverse
direction. State stays in float32 or float64; rows are cut into blocks by their number alone, so that results do not
depend on the threads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import Level, RunningTile, emit_tile, row_offsets
from sardonyx.kernels.recurrent_cell import Cell
from sardonyx.kernels.recurrent_inputs import Access, InputProducts, InputStream
from sardonyx.kernels.recurrent_pack import Panels
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv
from sardonyx.targets import Target

__all__ = ["GROUP", "Recurrence", "block_rows"]

GROUP = 2
"""Panels whose units are updated together, so that the two do not wait for each other."""

MOST_ROWS = 8
"""Rows of one block beyond which no more weights are saved than code is added."""

STATUS_LENGTH = 4
"""Status of a kernel that met a sequence length out of range."""


def block_rows(target: Target, panels: Panels) -> int:
    """Most rows of one block: their sums for one vector of units and its gates fit the registers."""
    gates = max(len(phase.gates) for phase in panels.phases)
    return max(1, min(MOST_ROWS, (target.vector_registers - gates - 1) // gates))


@dataclass(frozen=True)
class Recurrence:
    """One recurrent layer of ``steps`` steps of ``batch`` rows; ``cells`` and ``reverse`` have an entry per direction.

    All cells have the same phases. ``dtype`` is that of state, sums and packed weights. ``projection`` has the inputs'
    products, gate after gate in its last dimension, or says how they are made here, for a batch of 1; ``bias`` those of
    the inputs, gate after gate, and then those of the recurrent products; ``lengths`` is the buffer of the rows'
    sequence lengths (int32, dense). ``scratch`` is the buffer of ``scratch_size`` elements. Returns STATUS_LENGTH for
    a length outside [0, steps].
    """

    cells: tuple[Cell, ...]
    reverse: tuple[bool, ...]
    panels: Panels
    steps: Dim
    batch: Dim
    dtype: DType
    projection: Access | InputProducts
    weights: int
    scratch: int
    bias: Access | None = None
    peepholes: Access | None = None
    lengths: int | None = None
    initial_h: Access | None = None
    initial_c: Access | None = None
    y: Access | None = None
    y_h: Access | None = None
    y_c: Access | None = None

    @property
    def name(self) -> str:
        return "recurrence"

    @property
    def width(self) -> int:
        """Elements of one row of the state."""
        return self.panels.vectors * self.panels.lanes

    @property
    def memory(self) -> int:
        """Rows of scratch memory for each row: two of h, c, and what phases keep."""
        return 2 + self.cells[0].has_c + self.cells[0].kept

    def blocks(self, target: Target, batch: Dim) -> Dim:
        """The blocks that a batch is cut into."""
        return ceildiv(batch, block_rows(target, self.panels))

    def task_memory(self, target: Target) -> int:
        """Elements of scratch memory of one task: the state, and what the products of inputs need."""
        state = self.memory * block_rows(target, self.panels) * self.width
        return state + (self.projection.memory if isinstance(self.projection, InputProducts) else 0)

    def scratch_size(self, target: Target, batch: Dim) -> Dim:
        """Elements of scratch memory."""
        return self.tasks(target, batch) * self.task_memory(target)

    def tasks(self, target: Target, batch: Dim) -> Dim:
        """The number of parallel tasks."""
        return self.blocks(target, batch) * len(self.cells)

    def emit(self, b: KernelBuilder) -> None:
        blocks = emit_dim(b, self.blocks(b.target, self.batch), lambda name: b.size(int(name[1:])))
        with b.tasks() as task:
            direction, block = b.index_div(task, blocks), b.index_rem(task, blocks)
            alike = len(set(self.cells)) == 1
            for place, cell in enumerate(self.cells[: 1 if alike else None]):
                with nullcontext() if alike else b.if_(direction == place):
                    _Task(self, b, cell, task, direction, block, blocks).emit()


class _Task:
    """One direction of one block of rows."""

    def __init__(
        self, spec: Recurrence, b: KernelBuilder, cell: Cell, task: Value, direction: Value, block: Value, blocks: Value
    ) -> None:
        self.spec = spec
        self.b = b
        self.cell = cell
        self.direction = direction
        self.panels = spec.panels
        self.type = Type(spec.dtype, spec.panels.lanes)
        self.steps, batch = self.size(spec.steps), self.size(spec.batch)
        self.first = batch * block // blocks
        self.rows = batch * (block + 1) // blocks - self.first
        self.most = block_rows(b.target, spec.panels)
        widest = max(spec.panels.columns(place) for place in range(len(cell.phases)))
        self.sums = b.local(spec.dtype, self.most * GROUP * widest)
        self.each = self.most * spec.width
        self.memory = b.buffer(spec.scratch, spec.dtype).at(task * spec.task_memory(b.target))
        self.weights = b.buffer(spec.weights, spec.dtype).at(direction * spec.panels.size)
        self.stream: InputStream | None = None
        if isinstance(spec.projection, InputProducts):
            packed = b.buffer(spec.projection.weights, spec.dtype).at(direction * spec.projection.packed)
            self.stream = InputStream(b, spec.projection, self.memory.at(spec.memory * self.each), packed)

    def size(self, dim: Dim) -> Value:
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def at(self, access: Access, row: Value | int = 0, time: Value | int = 0) -> Pointer:
        """The first unit of an operand at a row of the block and a time."""
        b = self.b
        pointer = b.buffer(access.buffer, access.dtype).at(self.direction * self.size(access.direction))
        if access.row != 0:
            pointer = pointer.at((self.first + row) * self.size(access.row))
        return pointer.at(time * self.size(access.time)) if isinstance(time, Value) else pointer

    def state(self, parity: Value) -> Pointer:
        """The rows of h before a step (parity of its number)."""
        return self.memory.at(parity * self.each)

    @property
    def cell_state(self) -> Pointer:
        return self.memory.at(2 * self.each)

    def kept(self, index: int) -> Pointer:
        """The rows of a value kept by a phase."""
        return self.memory.at((2 + self.cell.has_c + index) * self.each)

    def length(self, row: Value) -> Value:
        """The length of a row's sequence."""
        if self.spec.lengths is None:
            return self.steps
        return self.b.buffer(self.spec.lengths, dtypes.int32).load(self.first + row).to(dtypes.int64)

    # -- the sequence --------------------------------------------------------------------------------------------

    def time(self, row: Value, step: Value) -> Value:
        """The time of a row's step."""
        reverse = self.spec.reverse
        if not any(reverse):
            return step
        backward = self.length(row) - 1 - step
        return backward if all(reverse) else self.b.select(self.direction == reverse.index(True), backward, step)

    def emit(self) -> None:
        b = self.b
        longest = self.begin()
        if self.stream is None:
            self.walk(b.i64(0), longest)
        else:
            self.walk_blocks(self.stream, longest)
        with b.loop(self.rows) as row:
            self.finish(row, longest)

    def walk(self, first: Value, last: Value) -> None:
        """The steps from ``first`` to before ``last``."""
        with self.b.loop(last, first) as step:
            for place in range(len(self.cell.phases)):
                _Phase(self, place, step, step & 1).emit()

    def walk_blocks(self, stream: InputStream, longest: Value) -> None:
        """All steps in blocks; beside those of each, the products of the inputs of the next."""
        b, rows, row = self.b, stream.spec.rows, self.b.i64(0)
        with b.loop((longest + (rows - 1)) // rows + 1) as block:
            here = b.minimum(block * rows, longest)
            count = b.minimum(longest - here, rows)
            stream.begin(here, count, lambda step: self.at(stream.spec.x, row, self.time(row, step)))
            self.walk(b.maximum(block - 1, 0) * rows, here)
            stream.finish()

    def begin(self) -> Value:
        """Puts the initial state into memory, checks the lengths and gives the longest."""
        b, spec = self.b, self.spec
        longest = b.var(self.steps if spec.lengths is None else b.i64(0))
        with b.loop(self.rows) as row:
            if spec.lengths is not None:
                length = self.length(row)
                b.return_if((length < 0) | (length > self.steps), STATUS_LENGTH)
                longest.set(b.maximum(longest.get(), length))
            self.load_state(spec.initial_h, row, self.state(b.i64(0)))
            if self.cell.has_c:
                self.load_state(spec.initial_c, row, self.cell_state)
        return longest.get()

    def load_state(self, access: Access | None, row: Value, target: Pointer) -> None:
        target = target.at(row * self.spec.width)

        def body(unit: Value, mask: Value | None) -> None:
            value = self.b.zero(self.type)
            if access is not None:
                value = self.at(access, row).load(unit, self.type.lanes, mask).to(self.spec.dtype)
            target.store(value, unit)

        self.b.vector_loop(self.panels.hidden, self.type.lanes, body)

    def finish(self, row: Value, longest: Value) -> None:
        """Stores the final state of a row, zero where it has no steps, and zeros behind the end of its sequence."""
        b, spec = self.b, self.spec
        length = self.length(row)
        finals = [(spec.y_h, self.state(longest & 1))]
        if self.cell.has_c:
            finals.append((spec.y_c, self.cell_state))
        for access, state in finals:
            if access is not None:
                self.store_state(access, row, state.at(row * spec.width), length)
        if spec.lengths is None or spec.y is None:
            return
        with b.loop(self.steps, length) as time:
            behind = self.at(spec.y, row, time)
            zero = b.zero(Type(spec.dtype, self.type.lanes)).to(spec.y.dtype)
            b.vector_loop(self.panels.hidden, self.type.lanes, lambda unit, mask: behind.store(zero, unit, mask))

    def store_state(self, access: Access, row: Value, source: Pointer, length: Value) -> None:
        b = self.b

        def body(unit: Value, mask: Value | None) -> None:
            value = b.select(length > 0, source.load(unit, self.type.lanes), b.zero(self.type))
            self.at(access, row).store(value.to(access.dtype), unit, mask)

        b.vector_loop(self.panels.hidden, self.type.lanes, body)


class _Phase:
    """One phase of one step."""

    def __init__(self, task: _Task, place: int, step: Value, parity: Value) -> None:
        self.task = task
        self.b = task.b
        self.place = place
        self.phase = task.cell.phases[place]
        self.step = step
        self.parity = parity
        self.panels = task.panels
        self.gates = len(self.phase.gates)
        self.lanes = task.type.lanes
        source = self.phase.source
        self.source = task.state(parity) if source is None else task.kept(source)

    def emit(self) -> None:
        """All panels, back and forth from step to step, so that caches hold what was read last."""
        b, vectors = self.b, self.panels.vectors
        groups = -(-vectors // GROUP)
        with b.loop(groups) as turn:
            first = b.select(self.parity == 0, turn, groups - 1 - turn) * GROUP
            count = b.i64(GROUP) if vectors % GROUP == 0 else b.minimum(vectors - first, GROUP)
            if self.task.stream is None:
                self.products(first, count)
            else:
                self.products_beside(self.task.stream, first, count)
            with b.loop(self.task.rows) as row:
                self.update(row, first, count)

    # -- products ------------------------------------------------------------------------------------------------

    def products(self, first: Value, count: Value) -> None:
        """The sums of a group of panels for all rows of the block."""
        b, batch = self.b, self.task.spec.batch
        heights = list(range(1, self.task.most + 1))
        if isinstance(batch, int):
            blocks = -(-batch // self.task.most)
            heights = sorted({batch // blocks, -(-batch // blocks)}) if blocks else []
        for height in heights:
            with nullcontext() if len(heights) == 1 else b.if_(self.task.rows == height), b.loop(count) as vector:
                self.sum(first + vector, height, vector)

    def sum(self, vector: Value, height: int, place: Value) -> None:
        """The products of ``height`` rows with one panel, left in the task's sums."""
        columns, width = self.panels.columns(self.place), self.task.spec.width
        level = Level(self.panels.hidden, 1, columns)
        weights = self.weights(vector)
        sums = emit_tile(
            self.b, row_offsets(width, height), self.gates, self.source, weights, [level], lanes=self.lanes
        )
        target = self.task.sums.at(place * columns)
        for row, values in enumerate(sums):
            for gate, value in enumerate(values):
                target.store(value, row * GROUP * columns + gate * self.lanes)

    def products_beside(self, stream: InputStream, first: Value, count: Value) -> None:
        """The sums of a group of panels for a single row, beside products of the inputs."""
        b = self.b
        with b.if_else(count == GROUP) as (whole, partial):
            with whole:
                tiles = [self.running(first + place) for place in range(GROUP)]

                def step(k: Value) -> None:
                    for tile in tiles:
                        tile.step(k)

                stream.beside(self.panels.hidden, step)
                for place, tile in enumerate(tiles):
                    for gate, total in enumerate(tile.sums[0]):
                        at = (place * self.gates + gate) * self.lanes
                        self.task.sums.store(total.get(), at)
            with partial, b.loop(count) as vector:
                self.sum(first + vector, 1, vector)

    def running(self, vector: Value) -> RunningTile:
        columns = self.panels.columns(self.place)
        return RunningTile(self.b, [0], self.gates, self.source, self.weights(vector), self.lanes, columns)

    def weights(self, vector: Value) -> Pointer:
        """A panel."""
        step = self.panels.hidden * self.panels.columns(self.place)
        return self.task.weights.at(vector * step + self.panels.start(self.place))

    # -- update --------------------------------------------------------------------------------------------------

    def update(self, row: Value, first: Value, count: Value) -> None:
        """The cell on the units of a group of panels of one row."""
        b, task = self.b, self.task
        length, time = task.length(row), task.time(row, self.step)
        with b.loop(count) as vector:
            self.active(
                length, lambda: self.unit(row, time, vector, first + vector), lambda: self.idle(row, first + vector)
            )

    def active(self, length: Value, step: Callable[[], None], idle: Callable[[], None]) -> None:
        """``step`` where the row's sequence is not yet at its end, else ``idle``."""
        if self.task.spec.lengths is None:
            step()
            return
        with self.b.if_else(self.step < length) as (running, ended):
            with running:
                step()
            with ended:
                idle()

    @property
    def is_last(self) -> bool:
        return self.place == len(self.task.cell.phases) - 1

    def idle(self, row: Value, vector: Value) -> None:
        """The state of a row that is at its end stays."""
        if self.is_last:
            at = row * self.task.spec.width + vector * self.lanes
            self.task.state(1 - self.parity).store(self.task.state(self.parity).load(at, self.lanes), at)

    def unit(self, row: Value, time: Value, place: Value, vector: Value) -> None:
        """The cell on one vector of units; lanes beyond the last unit are neither read nor written outside."""
        b, hidden = self.b, self.panels.hidden
        if hidden % self.lanes == 0:
            _Unit(self, row, time, place, vector, None).emit()
            return
        with b.if_else(vector < hidden // self.lanes) as (full, partial):
            with full:
                _Unit(self, row, time, place, vector, None).emit()
            with partial:
                _Unit(self, row, time, place, vector, b.tail_mask(hidden % self.lanes, self.lanes)).emit()


@dataclass
class _Unit:
    """One vector of units of one row in a phase; the ``Unit`` that a cell's update sees."""

    phase: _Phase
    row: Value
    time: Value
    place: Value
    vector: Value
    mask: Value | None
    loaded: dict[str, Value] = field(default_factory=dict)

    def emit(self) -> None:
        phase, task = self.phase, self.phase.task
        results = task.cell.update(phase.place, self)
        if not phase.is_last:
            for index, value in enumerate(results):
                task.kept(index).store(value, self.within)
            return
        h, *rest = results
        task.state(1 - phase.parity).store(h, self.within)
        for value in rest:
            task.cell_state.store(value, self.within)
        if task.spec.y is not None:
            y = task.at(task.spec.y, self.row, self.time)
            y.store(h.to(task.spec.y.dtype), self.first, self.mask)

    @property
    def first(self) -> Value:
        """The first unit."""
        return self.vector * self.phase.lanes

    @property
    def within(self) -> Value:
        """Where the units lie in a block of rows."""
        return self.row * self.phase.task.spec.width + self.first

    @property
    def h(self) -> Value:
        return self._once("h", lambda: self.phase.task.state(self.phase.parity).load(self.within, self.phase.lanes))

    @property
    def c(self) -> Value:
        return self._once("c", lambda: self.phase.task.cell_state.load(self.within, self.phase.lanes))

    def kept(self, index: int) -> Value:
        return self.phase.task.kept(index).load(self.within, self.phase.lanes)

    def gate(self, index: int) -> Value:
        mine, recurrent = self.parts(index)
        return mine + recurrent

    def parts(self, index: int) -> tuple[Value, Value]:
        phase, spec = self.phase, self.phase.task.spec
        columns = phase.panels.columns(phase.place)
        place = (self.row * GROUP + self.place) * columns + phase.phase.gates.index(index) * phase.lanes
        recurrent = phase.task.sums.load(place, phase.lanes)
        mine = self._projection(index)
        if spec.bias is not None:
            mine = mine + self._load(spec.bias, index)
            recurrent = recurrent + self._load(spec.bias, phase.task.cell.gates + index)
        return mine, recurrent

    def _projection(self, index: int) -> Value:
        """The inputs' products of a gate."""
        phase, projection = self.phase, self.phase.task.spec.projection
        if isinstance(projection, Access):
            return self._load(projection, index, self.row, self.time)
        assert phase.task.stream is not None
        made = phase.task.stream.sums_of(phase.step).at(index * phase.panels.hidden)
        return made.load(self.first, phase.lanes, self.mask)

    def peephole(self, index: int) -> Value:
        access = self.phase.task.spec.peepholes
        assert access is not None
        return self._load(access, index)

    def _load(self, access: Access, part: int, row: Value | int = 0, time: Value | int = 0) -> Value:
        """The units in one of the parts, ``hidden`` long each, of an operand's last dimension."""
        pointer = self.phase.task.at(access, row, time).at(part * self.phase.panels.hidden)
        return pointer.load(self.first, self.phase.lanes, self.mask).to(self.phase.task.spec.dtype)

    def _once(self, name: str, load: Callable[[], Value]) -> Value:
        if name not in self.loaded:
            self.loaded[name] = load()
        return self.loaded[name]
