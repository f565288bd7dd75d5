"""The micro-kernel of every product: one tile of results in registers, summed over a nest of reduction loops.

    acc[r][v] = start[r][v] or 0
    for t0 < levels[0].count: ... for k < levels[-1].count:
        for v: y[v] = panel[t0 * levels[0].b + ... + k * levels[-1].b + v * lanes ...]      one vector
        for r: acc[r][:] += splat(a[rows[r] + t0 * levels[0].a + ... + k * levels[-1].a]) * y[:]

A matrix product has one level (k). A convolution adds one level for each kernel dimension that it cannot merge with the
channels. A is read where it lies, by rows; B must be packed in panels of ``vectors * lanes`` columns (kernels/pack.py),
padded with zeros, so that only stores need masks. What one multiply-accumulate is, the atom says (kernels/dot.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.lang import Type, Value
from sardonyx.lang.builder import Builder
from sardonyx.lang.value import Operand, Pointer, Var
from sardonyx.symbols import Dim
from sardonyx.targets import Target

__all__ = [
    "Level",
    "RunningTile",
    "TileShape",
    "choose_tile",
    "emit_rest",
    "emit_tile",
    "heights",
    "row_offsets",
    "split_rows",
]

# Multiply-adds that must be in flight to hide their latency: 4 to 5 cycles, two a cycle.
INDEPENDENT_SUMS = 8
PANEL_AHEAD = 128
"""Steps that B is prefetched ahead of where it is read: for all but the lowest tiles longer than memory takes."""
PREFETCH_ROWS = 6
"""Fewest rows of a tile that has time to prefetch beside its loads."""
CACHE_LINE = 64
AHEAD_STEPS = 16
"""Steps of the innermost loop between two times that prefetches are made: a cache line of float32 of each row of A."""


@dataclass(frozen=True)
class TileShape:
    """The results one micro-kernel call keeps in registers: ``rows`` x (``vectors`` registers of ``lanes``)."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        """Columns of one packed panel of B."""
        return self.vectors * self.lanes


@dataclass(frozen=True)
class Level:
    """One reduction loop: ``count`` steps, each moving A by ``a`` and B by ``b`` elements (ints or i64 values).

    ``multiple`` divides ``count`` for sure: no code is made for steps left over from it.
    """

    count: Operand
    a: Operand
    b: Operand
    multiple: int = 1

    def divides(self, steps: int) -> bool:
        """Whether the loop surely makes a multiple of so many steps."""
        return (self.count if isinstance(self.count, int) else self.multiple) % steps == 0


def choose_tile(target: Target, dtype: DType, columns: Dim) -> TileShape:
    """The tile for products with so many columns (``dtype`` is the accumulators').

    As many sums as registers hold beside the vectors of B and one of A; wide enough that loads (rows + vectors) stay
    under multiply-adds (rows * vectors). Few columns take a narrow tile, so that no padding is computed.
    """
    lanes = target.lanes(dtype.itemsize)
    many = target.vector_registers >= 32
    vectors_needed = -(-columns // lanes) if isinstance(columns, int) else None
    if vectors_needed == 1:
        return TileShape(14 if many else 8, 1, lanes)
    if vectors_needed == 3 and many:
        return TileShape(8, 3, lanes)
    if many and lanes >= 8:
        return TileShape(14, 2, lanes)
    return TileShape(8, 3, lanes) if many else TileShape(6 if target.has_fma else 4, 2, lanes)


def row_offsets(stride: Value | int, rows: int) -> list[Value | int]:
    """Offsets of evenly spaced rows for ``emit_tile``."""
    return (
        [row * stride for row in range(rows)]
        if isinstance(stride, int)
        else [0, *(stride * row for row in range(1, rows))]
    )


def split_rows(count: int, rows: int) -> list[tuple[int, int]]:
    """A constant number of rows in tiles of nearly equal height: ``[(height, how many tiles), ...]``, tallest first."""
    tiles = -(-count // rows)
    if tiles == 0:
        return []
    low, tall = divmod(count, tiles)
    return [(height, number) for height, number in ((low + 1, tall), (low, tiles - tall)) if number]


def emit_rest(b: Builder, count: Value, rows: int, body: Callable[[Value, int], None]) -> None:
    """``body(first, height)`` for tiles that together have ``count`` rows, fewer than ``rows``: of 4, 2 and 1 rows.

    Few heights, as each is code to compile; four rows already keep the multipliers busy.
    """
    at = b.var(b.i64(0))

    def one(height: int) -> None:
        body(at.get(), height)
        at.set(at.get() + height)

    if rows > 4:
        with b.while_(lambda: count - at.get() >= 4):
            one(4)
    for height in (2, 1):
        if height < rows:
            with b.if_(count - at.get() >= height):
                one(height)


def heights(rows: int) -> list[int]:
    """Tile heights that together cover any number of rows up to ``rows``: itself, then halving powers of two."""
    power = 1 << (rows - 1).bit_length() >> 1
    result = [rows]
    while power:
        result.append(power)
        power //= 2
    return result


def emit_tile(
    b: Builder,
    rows: Sequence[Operand],
    vectors: int,
    a: Pointer,
    panel: Pointer,
    levels: Sequence[Level],
    *,
    start: Sequence[Sequence[Value]] | None = None,
    lanes: int | None = None,
    mask: Value | None = None,
    ahead: Callable[[Value], None] | None = None,
    whole: int | None = None,
    atom: Atom | None = None,
) -> list[list[Value]]:
    """Sums one tile and gives its accumulators ``[row][vector]``, of the panel's dtype (half precision: float32).

    ``rows`` are the offsets of the tile's rows of A from ``a`` (constants make the best addresses); A's elements are
    converted to the sums' dtype one by one. ``panel`` points at the first vector of B; consecutive vectors of a step
    are adjacent. ``levels`` are the reduction loops, outermost first. The order of summation is fixed by ``levels``
    and the tile's size alone. ``start`` are sums to go on from; ``lanes`` defaults to the target's full vectors;
    ``mask`` tells which lanes of the last vector of B may be read, where B is not packed. ``ahead(k)`` is built once
    for every ``AHEAD_STEPS`` steps of the innermost loop: the place for prefetches. ``whole`` is the number of vectors
    of a whole panel where this is a narrower last one: its columns are then summed in the same order as the others'.
    ``atom`` is the multiply-accumulate (None: the panel's dtype, one by one); the last level's ``a`` is its depth.
    """
    atom = atom or plain_atom(panel.dtype)
    dtype = atom.sums
    lanes = lanes or b.target.lanes(dtype.itemsize)
    masks: list[Value | None] = [*[None] * (vectors - 1), mask]
    tile = _Tile(b, atom, rows, a, panel, Type(dtype, lanes), masks, whole or vectors)
    sums = tile.variables(start)
    with _nest(b, levels[:-1]) as (a_offset, b_offset):
        tile.reduce(sums, levels[-1], a_offset, b_offset, ahead)
    return [[tile.total([chain[row][v] for chain in sums]) for v in range(vectors)] for row in range(len(rows))]


@contextmanager
def _nest(b: Builder, levels: Sequence[Level]) -> Iterator[tuple[Operand, Operand]]:
    """The outer reduction loops; gives the offsets in A and B of their current position."""
    if not levels:
        yield 0, 0
        return
    with _nest(b, levels[:-1]) as (a_offset, b_offset):
        level = levels[-1]
        if isinstance(level.count, int) and level.count == 1:
            yield a_offset, b_offset
            return
        with b.loop(level.count) as step:
            yield _plus(a_offset, step * level.a), _plus(b_offset, step * level.b)


def _plus(left: Operand, right: Operand) -> Operand:
    return right if isinstance(left, int) and left == 0 else left + right


class _Tile:
    """One tile's operands and the step of its innermost loop."""

    def __init__(
        self,
        b: Builder,
        atom: Atom,
        rows: Sequence[Operand],
        a: Pointer,
        panel: Pointer,
        type_: Type,
        masks: list[Value | None],
        whole: int,
    ) -> None:
        self.b = b
        self.atom = atom
        self.rows = [(a, offset) if isinstance(offset, int) else (a.at(offset), 0) for offset in rows]
        self.masks = masks
        self.panel = panel
        self.type = type_
        # Few results: several partial sums of each, so that additions do not wait for each other.
        self.chains = 1
        while self.chains * len(rows) * whole < INDEPENDENT_SUMS:
            self.chains *= 2

    def variables(self, start: Sequence[Sequence[Value]] | None) -> list[list[list[Var]]]:
        zero = self.b.zero(self.type)
        first = start or [[zero] * len(self.masks) for _ in self.rows]
        rest = [[[self.b.var(zero) for _ in row] for row in first] for _ in range(self.chains - 1)]
        return [[[self.b.var(value) for value in row] for row in first], *rest]

    def reduce(
        self,
        sums: list[list[list[Var]]],
        level: Level,
        a_offset: Operand,
        b_offset: Operand,
        ahead: Callable[[Value], None] | None,
    ) -> None:
        """The innermost loop, ``chains`` steps at a time, and what is left over."""
        b, count, chains = self.b, level.count, self.chains
        if chains == 1:
            done: Operand = 0
            if ahead is not None:
                done = count if level.divides(AHEAD_STEPS) else count - count % AHEAD_STEPS
                with b.loop(done, 0, AHEAD_STEPS) as first:
                    ahead(first)
                    with b.loop(first + AHEAD_STEPS, first) as k:
                        self.step(sums[0], level, a_offset, b_offset, k, 0)
                if level.divides(AHEAD_STEPS):
                    return
            with b.loop(count, done) as k:
                self.step(sums[0], level, a_offset, b_offset, k, 0)
            return
        whole = count if level.divides(chains) else count - count % chains
        with b.loop(whole, 0, chains) as k:
            for place, chain in enumerate(sums):
                self.step(chain, level, a_offset, b_offset, k, place)
        if isinstance(count, int) and isinstance(whole, int):
            for place in range(count - whole):
                self.step(sums[place], level, a_offset, b_offset, b.i64(whole), place)
            return
        if level.divides(chains):
            return
        with b.loop(count, whole) as k:
            self.step(sums[0], level, a_offset, b_offset, k, 0)

    def step(
        self, sums: list[list[Var]], level: Level, a_offset: Operand, b_offset: Operand, k: Value, ahead: int
    ) -> None:
        """One step of k: a vector row of B times one element of each row of A; ``ahead`` is added to k."""
        moved = self.panel.at(_plus(b_offset, k * level.b)).at(ahead * level.b)
        lanes = self.type.lanes
        if len(self.rows) >= PREFETCH_ROWS:
            self.prefetch(moved.at(level.b * PANEL_AHEAD))
        columns = [moved.load(v * lanes, lanes, mask).to(self.type.dtype) for v, mask in enumerate(self.masks)]
        along = _plus(a_offset, k * level.a)
        for (pointer, offset), totals in zip(self.rows, sums, strict=True):
            element = pointer.at(along).at(
                offset + ahead * level.a if isinstance(level.a, int) else level.a * ahead + offset
            )
            value = self.atom.broadcast(self.b, element, lanes)
            for column, total in zip(columns, totals, strict=True):
                total.set(self.atom.accumulate(self.b, value, column, total.get()))

    def prefetch(self, row: Pointer) -> None:
        """Asks for a row of B: tiles take it too slowly for the machine's own prefetching to run far enough ahead."""
        itemsize = row.dtype.itemsize
        for line in range(0, len(self.masks) * self.type.lanes * itemsize, CACHE_LINE):
            self.b.prefetch(row.at(line // itemsize), locality=2)

    def total(self, chains: Sequence[Var]) -> Value:
        """The partial sums of one result added up pairwise."""
        values = [variable.get() for variable in chains]
        while len(values) > 1:
            values = [x + y for x, y in zip(values[::2], values[1::2], strict=True)]
        return values[0]


class RunningTile:
    """A tile whose k is walked by the caller: for loops that sum several tiles at once.

    ``rows`` and ``a`` are as in ``emit_tile``, B is packed in panels of ``columns`` elements a step. ``sums`` are the
    variables [row][vector], zero at first.
    """

    def __init__(
        self, b: Builder, rows: Sequence[Operand], vectors: int, a: Pointer, panel: Pointer, lanes: int, columns: int
    ) -> None:
        atom = plain_atom(panel.dtype)
        self._tile = _Tile(b, atom, rows, a, panel, Type(atom.sums, lanes), [None] * vectors, INDEPENDENT_SUMS)
        self._level = Level(0, 1, columns)
        (self.sums,) = self._tile.variables(None)

    def step(self, k: Value) -> None:
        """Adds the products of one k."""
        self._tile.step(self.sums, self._level, 0, 0, k, 0)
