"""Loop nests of which some loops are reduced away: what reductions, softmax and normalisations have in common.

    for task in [begin, end):                  # one position of the kept loops, or a block of the vectorised one
        for sweep in the kernel's passes:      # maximum, then sum ...
            for the reduced loops:             # the vectorised one in steps of `lanes`, several vectors at a time
                body(vector number, position)

Either the vectorised loop is reduced (a *row* of adjacent elements is combined, at last across lanes), or it is kept (a
*column* block: each lane has a result of its own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import PointProgram, Position, emit_point, program_lanes
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv, free_symbols, product

__all__ = ["COLUMNS", "Nest", "Part", "Row", "Walk"]

COLUMNS = 128
"""Positions of a vectorised kept loop in one task."""
STRETCH = 64
"""Vectors that a sum adds up in one accumulator before it starts the next; keeps rounding errors from piling up."""


@dataclass(frozen=True)
class Part:
    """A point program inside a kernel, and the kernel's slots that its own slots 0 stand for.

    ``index`` gives the position in each of the program's loops as an expression of the nest's loops ``i0, i1 ...`` and
    the kernel's ``s0 ...``; empty: they are the same loops.
    """

    program: PointProgram
    first_buffer: int = 0
    first_size: int = 0
    index: tuple[Dim, ...] = ()

    def emit(self, b: KernelBuilder, position: Position, carried: tuple[Value, ...] = ()) -> list[Value]:
        """Builds the program at a position of the nest."""
        place = remapped(b, position, self.index) if self.index else position
        return emit_point(b, self.program, place, carried, self.first_buffer, self.first_size)


def remapped(b: KernelBuilder, position: Position, index: tuple[Dim, ...]) -> Position:
    """The position of other loops, given as expressions of a nest's; the vectorised one may only be added to."""

    def symbol(name: str) -> Value:
        number = int(name[1:])
        return position.index[number] if name[0] == "i" else b.size(number)

    inner = f"i{position.vector_loop}"
    along = [k for k, expression in enumerate(index) if inner in free_symbols(expression)]
    places = [emit_dim(b, expression, symbol) for expression in index]
    if position.lanes == 1 or not along:
        return Position(places)
    return Position(places, position.lanes, along[-1], position.mask)


@dataclass(frozen=True)
class Nest:
    """The loops: ``extents`` (ints or expressions of ``s0, s1 ...``), which are ``reduced``, which one is vectorised.

    ``chunk`` above 0 cuts loop ``chunked`` (a reduced one) into pieces of that many positions, each of them a task of
    its own with a partial result; the number of the piece is the position in one loop more, ``i<number of loops>``.
    """

    extents: tuple[Dim, ...]
    reduced: tuple[int, ...]
    vector: int
    chunk: int = 0
    chunked: int = -1

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(loop for loop in range(len(self.extents)) if loop not in self.reduced)

    @property
    def across(self) -> bool:
        """Whether lanes are combined at the end."""
        return self.vector in self.reduced

    def task_extents(self) -> list[Dim]:
        kept = [ceildiv(self.extents[k], COLUMNS) if k == self.vector else self.extents[k] for k in self.kept]
        return [*kept, ceildiv(self.extents[self.chunked], self.chunk)] if self.chunk else kept or [1]

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        return product(self.task_extents())

    def reduced_count(self) -> Dim:
        """The number of elements that are combined to one."""
        return product(self.extents[loop] for loop in self.reduced)


def common_lanes(b: KernelBuilder, *programs: PointProgram, itemsize: int = 1) -> int:
    """A vector width that suits all programs and elements of ``itemsize`` bytes."""
    return min(b.target.lanes(itemsize), *(program_lanes(b, program) for program in programs))


Body = Callable[[int, Position], None]
Flush = Callable[[], None]


@dataclass
class Row:
    """One task's part of a nest: fixed positions of the kept loops, or ``vectors`` vectors of them."""

    walk: Walk
    index: list[Value]
    piece: Value | None
    vectors: int = 1
    masks: list[Value | None] = field(default_factory=lambda: [None])

    def position(self, vector: int = 0) -> Position:
        """Where results are: a scalar where lanes are combined, else one of the vectors. Reduced loops are at 0."""
        nest, lanes = self.walk.nest, self.walk.lanes
        if nest.across:
            return Position(list(self.index))
        return self._moved(vector, list(self.index), lanes)

    def _moved(self, vector: int, index: list[Value], lanes: int) -> Position:
        loop = self.walk.nest.vector
        index[loop] = index[loop] + vector * lanes if vector else index[loop]
        return Position(index, lanes, loop, self.masks[vector])

    def sweep(self, body: Body, unroll: int = 1, flush: Flush | None = None) -> None:
        """Runs over the reduced loops: ``body(k, position)`` for each vector, k counting accumulators.

        There are ``unroll`` accumulators where lanes are combined, else ``vectors``. ``flush`` is called after every
        ``STRETCH`` steps of the innermost loop.
        """
        nest = self.walk.nest
        inner = nest.vector if nest.across else nest.reduced[-1] if nest.reduced else None
        outer = [loop for loop in nest.reduced if loop != inner]
        index = list(self.index)
        with ExitStack() as stack:
            for loop in outer:
                first, last = self.walk.limits(loop, self.piece)
                index[loop] = stack.enter_context(self.walk.b.loop(last, first))
            if inner is None:
                self._columns(body, index)
            elif nest.across:
                self._along_row(body, index, unroll, flush)
            else:
                self._down_columns(body, index, inner, flush)
        if flush is not None and inner is None:
            flush()

    def _columns(self, body: Body, index: list[Value]) -> None:
        for vector in range(self.vectors):
            body(vector, self._moved(vector, list(index), self.walk.lanes))

    def _down_columns(self, body: Body, index: list[Value], loop: int, flush: Flush | None) -> None:
        walk = self.walk
        for first, last in walk.stretches(loop, self.piece, STRETCH if flush else 0):
            with walk.b.loop(last, first) as place:
                index[loop] = place
                self._columns(body, index)
            if flush is not None:
                flush()

    def _along_row(self, body: Body, index: list[Value], unroll: int, flush: Flush | None) -> None:
        walk, loop = self.walk, self.walk.nest.vector
        b, lanes = walk.b, walk.lanes
        for first, last in walk.stretches(loop, self.piece, STRETCH * lanes * unroll if flush else 0):
            count = last - first

            def at(vector: int, offset: Value, mask: Value | None, first: Value = first) -> None:
                place = list(index)
                place[loop] = first + offset + vector * lanes
                body(vector, Position(place, lanes, loop, mask))

            step = unroll * lanes
            whole = count - count % step
            with b.loop(whole, 0, step) as offset:
                for vector in range(unroll):
                    at(vector, offset, None)
            if step > 1:
                with b.loop(count, whole, lanes) as offset:
                    at(0, offset, b.tail_mask(count - offset, lanes) if lanes > 1 else None)
            if flush is not None:
                flush()


@dataclass
class Walk:
    """Emits a nest: ``rows`` over the tasks, and in each the sweeps that the kernel asks for."""

    b: KernelBuilder
    nest: Nest
    lanes: int

    def __post_init__(self) -> None:
        self.extents = [self.size(extent) for extent in self.nest.extents]

    def size(self, dim: Dim) -> Value:
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def size_at(self, dim: Dim, index: Sequence[Value]) -> Value:
        """An expression of loops and sizes at a position."""
        return emit_dim(
            self.b, dim, lambda name: index[int(name[1:])] if name[0] == "i" else self.b.size(int(name[1:]))
        )

    def rows(self, body: Callable[[Row], None], vectors: int = 4) -> None:
        """``body`` for each task; of a block of columns, for ``vectors`` vectors at a time, then for what is left."""
        b, nest = self.b, self.nest
        extents = [self.size(extent) for extent in nest.task_extents()]
        with b.tasks() as task:
            coordinates = unravel(b, task, extents)
            piece = coordinates.pop() if nest.chunk else None
            index = [b.i64(0) for _ in nest.extents] + ([] if piece is None else [piece])
            for loop, coordinate in zip(nest.kept, coordinates, strict=False):
                index[loop] = coordinate * COLUMNS if loop == nest.vector else coordinate
            if nest.across:
                body(Row(self, index, piece))
            else:
                self._column_block(body, index, piece, vectors)

    def _column_block(self, body: Callable[[Row], None], index: list[Value], piece: Value | None, vectors: int) -> None:
        b, loop, lanes = self.b, self.nest.vector, self.lanes
        first, extent = index[loop], self.nest.extents[loop]
        limit = min(extent, COLUMNS) if isinstance(extent, int) else COLUMNS
        vectors = max(1, min(vectors, -(-limit // lanes)))
        step = vectors * lanes
        count = b.minimum(self.extents[loop] - first, COLUMNS)

        def block(offset: Value, masked: bool) -> None:
            place = list(index)
            place[loop] = first + offset
            rest = count - offset
            masks = [b.tail_mask(rest - k * lanes, lanes) if masked else None for k in range(vectors)]
            body(Row(self, place, piece, vectors, masks))

        even = isinstance(extent, int) and extent % step == 0 and COLUMNS % step == 0
        if even:
            with b.loop(count, 0, step) as offset:
                block(offset, masked=False)
            return
        whole = count - count % step
        with b.loop(whole, 0, step) as offset:
            block(offset, masked=False)
        with b.if_(whole < count):
            block(whole, masked=lanes > 1)

    def limits(self, loop: int, piece: Value | None) -> tuple[Value, Value]:
        """Where a reduced loop begins and ends in this task."""
        b, nest = self.b, self.nest
        if piece is None or loop != nest.chunked:
            return b.i64(0), self.extents[loop]
        first = piece * nest.chunk
        return first, b.minimum(first + nest.chunk, self.extents[loop])

    def stretches(self, loop: int, piece: Value | None, length: int) -> Iterator[tuple[Value, Value]]:
        """A reduced loop in stretches of ``length`` positions; 0, or a loop known to be no longer: in one."""
        first, last = self.limits(loop, piece)
        extent = self.nest.chunk if piece is not None and loop == self.nest.chunked else self.nest.extents[loop]
        if length == 0 or (isinstance(extent, int) and extent <= length):
            yield first, last
            return
        with self.b.loop(last, first, length) as start:
            yield start, self.b.minimum(start + length, last)
