"""One phase of one step of a recurrent layer: products of the recurrent weights, then the cell on every unit.

for group of panels:
    sums = micro-kernel(h of the block's rows, panel of R), of a single row beside products of the inputs
    for row of the block: for panel of the group:
        cell(x W + sums + biases, state)  ->  new state, y
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sardonyx.kernels.gemm_tile import Level, RunningTile, emit_tile, row_offsets
from sardonyx.kernels.recurrent_inputs import Access, InputStream
from sardonyx.lang import Pointer, Value

if TYPE_CHECKING:
    from sardonyx.kernels.recurrent import Task

__all__ = ["GROUP", "StepPhase"]

GROUP = 2
"""Panels whose units are updated together, so that the two do not wait for each other."""


class StepPhase:
    """One phase of one step."""

    def __init__(self, task: Task, place: int, step: Value) -> None:
        self.task = task
        self.b = task.b
        self.place = place
        self.phase = task.cell.phases[place]
        self.step = step
        self.parity = step & 1
        self.panels = task.panels
        self.gates = len(self.phase.gates)
        self.lanes = task.type.lanes
        source = self.phase.source
        self.source = task.state(self.parity) if source is None else task.kept(source)

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
        # A batch of 1 is walked beside its inputs' products, and no larger one has a block of a single row.
        heights = list(range(1 if self.task.spec.inputs is None else 2, self.task.most + 1))
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

    phase: StepPhase
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
        phase, stream = self.phase, self.phase.task.stream
        if stream is None:
            projection = phase.task.spec.projection
            assert projection is not None
            return self._load(projection, index, self.row, self.time)
        made = stream.sums_of(phase.step).at(index * phase.panels.hidden)
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
