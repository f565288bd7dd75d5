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

from contextlib import nullcontext
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.recurrent_cell import Cell
from sardonyx.kernels.recurrent_inputs import Access, InputProducts, InputStream
from sardonyx.kernels.recurrent_pack import Panels
from sardonyx.kernels.recurrent_step import GROUP, StepPhase
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv
from sardonyx.targets import Target

__all__ = ["Recurrence", "Task", "block_rows"]

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
    products, gate after gate in its last dimension; where there are ``inputs``, those of a batch of 1 are made here.
    ``bias`` has those of the inputs, gate after gate, and then those of the recurrent products; ``lengths`` is the
    buffer of the rows' sequence lengths (int32, dense), ``scratch`` that of ``scratch_size`` elements. Returns
    STATUS_LENGTH for a length outside [0, steps].
    """

    cells: tuple[Cell, ...]
    reverse: tuple[bool, ...]
    panels: Panels
    steps: Dim
    batch: Dim
    dtype: DType
    projection: Access | None
    inputs: InputProducts | None
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

    def state_size(self, target: Target) -> int:
        """Elements of the state of one task."""
        return self.memory * block_rows(target, self.panels) * self.width

    def scratch_size(self, target: Target, batch: Dim) -> Dim:
        """Elements of scratch memory: the state of each task, and what each direction of a batch of 1 needs besides."""
        beside = 0 if self.inputs is None else len(self.cells) * self.inputs.memory
        return self.tasks(target, batch) * self.state_size(target) + beside

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
                    Task(self, b, cell, task, direction, block, blocks).emit()


class Task:
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
        scratch = b.buffer(spec.scratch, spec.dtype)
        self.memory = scratch.at(task * spec.state_size(b.target))
        self.beside = scratch.at(blocks * (len(spec.cells) * spec.state_size(b.target)))
        self.weights = b.buffer(spec.weights, spec.dtype).at(direction * spec.panels.size)
        self.stream: InputStream | None = None

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
        if self.spec.inputs is None:
            self.walk(b.i64(0), longest)
        elif self.spec.projection is None:
            self.walk_blocks(self.spec.inputs, longest)
        else:
            with b.if_else(self.size(self.spec.batch) == 1) as (single, many):
                with single:
                    self.walk_blocks(self.spec.inputs, longest)
                with many:
                    self.walk(b.i64(0), longest)
        with b.loop(self.rows) as row:
            self.finish(row, longest)

    def walk(self, first: Value, last: Value) -> None:
        """The steps from ``first`` to before ``last``."""
        with self.b.loop(last, first) as step:
            for place in range(len(self.cell.phases)):
                StepPhase(self, place, step).emit()

    def walk_blocks(self, inputs: InputProducts, longest: Value) -> None:
        """All steps in blocks; beside those of each, the products of the inputs of the next."""
        b, rows, row = self.b, inputs.rows, self.b.i64(0)
        packed = b.buffer(inputs.weights, self.spec.dtype).at(self.direction * inputs.packed)
        stream = InputStream(b, inputs, self.beside.at(self.direction * inputs.memory), packed)
        self.stream = stream
        with b.loop((longest + (rows - 1)) // rows + 1) as block:
            here = b.minimum(block * rows, longest)
            count = b.minimum(longest - here, rows)
            stream.begin(here, count, lambda step: self.at(inputs.x, row, self.time(row, step)))
            self.walk(b.maximum(block - 1, 0) * rows, here)
            stream.finish()
        self.stream = None

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
