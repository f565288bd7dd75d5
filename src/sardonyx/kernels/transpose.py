"""Dense copies between two memory orders: every materialised Transpose and layout change.

    for task in [begin, end):                       # one task: one block of the two inner dimensions
        outer ..., block of p, block of q = unravel(task)
        for each square tile of the block:          # where source runs along p and dest along q
            T vectors along p -> transposed in registers -> T vectors along q

Where both sides run along the same dimension the copy is one of rows; where one of p and q is a small constant and its
side is contiguous over both (RGB images), vectors are interleaved instead of tiled.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.kernels.sizes import emit_dim
from sardonyx.kernels.slots import Slots
from sardonyx.lang import I64, KernelBuilder, Pointer, Value
from sardonyx.lang.builder import Builder
from sardonyx.symbols import Dim, ceildiv, divide_exact, known_equal, product

__all__ = ["Transpose", "transposed"]

BLOCK = 64
"""Side of a block of tiles, in elements."""
RUN = 8192
"""Elements of one task of row copies and interleaving."""
MAX_INTERLEAVED = 8
"""Largest constant number of interleaved rows; above it tiles are as good."""

_CARRIERS = {1: dtypes.uint8, 2: dtypes.uint16, 4: dtypes.uint32, 8: dtypes.uint64}
_Axis = tuple[Dim, Dim, Dim]


@dataclass(frozen=True)
class Transpose:
    """Copies ``extents`` elements of ``itemsize`` bytes (1, 2, 4 or 8) from one strided order to another.

    ``extents``, ``source_strides`` and ``dest_strides`` are in elements, outermost dimension of dest first, ints or
    expressions of ``s0, s1 ...``. Any strides work (also zero and negative ones in the source); unit strides are fast.
    Buffer 0 is the source, buffer 1 the destination. ``Transpose.plan`` merges dimensions and makes the slots.
    """

    extents: tuple[Dim, ...]
    source_strides: tuple[Dim, ...]
    dest_strides: tuple[Dim, ...]
    itemsize: int

    @property
    def name(self) -> str:
        return "transpose"

    @staticmethod
    def plan(
        extents: Sequence[Dim], source_strides: Sequence[Dim], dest_strides: Sequence[Dim], dtype: DType
    ) -> tuple[Transpose, list[Dim], Dim]:
        """The kernel, its i64 arguments and its number of tasks for a copy of sizes on the caller's side.

        Dimensions may come in any order; those that are adjacent on both sides become one. Elements of 16 bytes are
        copied as pairs.
        """
        if dtype.itemsize == 16:
            source, dest = ([*(2 * step for step in strides), 1] for strides in (source_strides, dest_strides))
            return Transpose.plan([*extents, 2], source, dest, dtypes.uint64)
        axes = [axis for axis in zip(extents, source_strides, dest_strides, strict=True) if axis[0] != 1]
        axes.sort(key=functools.cmp_to_key(_outer_first))
        slots = Slots()
        merged = [tuple(slots.add(value) for value in axis) for axis in _merge(axes)] or [(1, 1, 1)]
        kernel = Transpose(
            tuple(axis[0] for axis in merged),
            tuple(axis[1] for axis in merged),
            tuple(axis[2] for axis in merged),
            dtype.itemsize,
        )
        return kernel, slots.sizes, slots.resolve(kernel.tasks())

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        return product(self._task_extents())

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()

    # -- the form of the loops -----------------------------------------------------------------------------------

    @property
    def rank(self) -> int:
        return len(self.extents)

    @property
    def inner(self) -> tuple[int, int]:
        """The dimensions p and q: the source runs along p, the destination along q (the last one); equal for row
        copies, and where the source has no unit stride."""
        last = self.rank - 1
        if self.dest_strides[last] != 1 or self.source_strides[last] == 1:
            return last, last
        unit = [axis for axis, stride in enumerate(self.source_strides) if stride == 1]
        return (unit[-1] if unit else last), last

    @property
    def interleaved(self) -> int:
        """The number of rows that are interleaved (positive) or picked apart (negative); 0: neither."""
        p, q = self.inner
        rows, columns = self.extents[p], self.extents[q]
        if p == q:
            return 0
        if isinstance(columns, int) and columns <= MAX_INTERLEAVED and self.dest_strides[p] == columns:
            return columns
        if isinstance(rows, int) and rows <= MAX_INTERLEAVED and self.source_strides[q] == rows:
            return -rows
        return 0

    @property
    def rows(self) -> int:
        """Rows of one task, for row copies."""
        inner = self.extents[-1]
        return max(1, RUN // max(1, inner)) if isinstance(inner, int) else 16

    def run(self) -> int:
        """Vector-side elements of one task, for interleaving."""
        return max(BLOCK, RUN // abs(self.interleaved) // BLOCK * BLOCK)

    def _task_extents(self) -> list[Dim]:
        p, q = self.inner
        if self.interleaved:
            along = p if self.interleaved > 0 else q
            return [*self._others(p, q), ceildiv(self.extents[along], self.run())]
        if p != q:
            return [*self._others(p, q), ceildiv(self.extents[p], BLOCK), ceildiv(self.extents[q], BLOCK)]
        if self.rank == 1:
            return [ceildiv(self.extents[0], RUN)]
        return [*self.extents[:-2], ceildiv(self.extents[-2], self.rows), ceildiv(self.extents[-1], RUN)]

    def _others(self, p: int, q: int) -> list[Dim]:
        return [extent for axis, extent in enumerate(self.extents) if axis not in (p, q)]


def _outer_first(a: _Axis, b: _Axis) -> int:
    """Compares dimensions by their stride in the destination, largest first; symbolic ones by divisibility."""
    x, y = a[2], b[2]
    if isinstance(x, int) and isinstance(y, int):
        return y - x
    if known_equal(x, y):
        return 0
    return -1 if divide_exact(x, y) is not None else 1 if divide_exact(y, x) is not None else 0


def _merge(axes: Sequence[_Axis]) -> list[_Axis]:
    """Neighbours whose strides continue each other on both sides become one dimension."""
    merged: list[_Axis] = []
    for extent, source, dest in axes:
        if merged:
            before = merged[-1]
            if known_equal(before[1], source * extent) and known_equal(before[2], dest * extent):
                merged[-1] = (before[0] * extent, source, dest)
                continue
        merged.append((extent, source, dest))
    return merged


class _Emitter:
    def __init__(self, spec: Transpose, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.dtype = _CARRIERS[spec.itemsize]
        self.source = b.buffer(0, self.dtype)
        self.dest = b.buffer(1, self.dtype)
        self.extents = [self.size(d) for d in spec.extents]
        self.source_strides = [self.size(d) for d in spec.source_strides]
        self.dest_strides = [self.size(d) for d in spec.dest_strides]

    def size(self, dim: Dim) -> Value:
        return emit_dim(self.b, dim, lambda name: self.b.size(int(name[1:])))

    def emit(self) -> None:
        spec = self.spec
        p, q = spec.inner
        emit = self.interleave if spec.interleaved else self.tiles if p != q else self.row_copies
        extents = [self.size(extent) for extent in spec._task_extents()]
        with self.b.tasks() as task:
            emit(unravel(self.b, task, extents))

    def base(self, axes: Sequence[int], index: Sequence[Value]) -> tuple[Pointer, Pointer]:
        """The addresses on both sides for positions along some of the dimensions."""
        source, dest = self.b.i64(0), self.b.i64(0)
        for axis, position in zip(axes, index, strict=True):
            source = source + position * self.source_strides[axis]
            dest = dest + position * self.dest_strides[axis]
        return self.source.at(source), self.dest.at(dest)

    def others(self) -> list[int]:
        p, q = self.spec.inner
        return [axis for axis in range(self.spec.rank) if axis not in (p, q)]

    # -- rows ----------------------------------------------------------------------------------------------------

    def row_copies(self, index: list[Value]) -> None:
        b, last = self.b, self.spec.rank - 1
        start = index[-1] * RUN
        extent = self.spec.extents[-1]
        whole = isinstance(extent, int) and extent <= RUN
        count: Value | int = extent if whole and isinstance(extent, int) else b.minimum(self.extents[-1] - start, RUN)
        if self.spec.rank == 1:
            self.row(*self.base([0], [start]), count)
            return
        outer = list(range(last - 1))
        first = index[-2] * self.spec.rows
        stop = b.minimum(first + self.spec.rows, self.extents[-2])
        with b.loop(stop, first) as row:
            self.row(*self.base([*outer, last - 1, last], [*index[:-2], row, start]), count)

    def row(self, source: Pointer, dest: Pointer, count: Value | int) -> None:
        b, lanes = self.b, self.b.target.lanes(self.spec.itemsize)
        step, gap = self.spec.source_strides[-1], self.spec.dest_strides[-1]
        iota = b.iota(I64.with_lanes(lanes)) if (step, gap) != (1, 1) else None

        def body(i: Value, mask: Value | None) -> None:
            if step == 1:
                value = source.load(i, lanes, mask)
            elif step == 0:
                value = b.splat(source.load(0), lanes)
            else:
                assert iota is not None
                value = source.gather((b.splat(i, lanes) + iota) * self.source_strides[-1], mask)
            if gap == 1:
                dest.store(value, i, mask)
            else:
                assert iota is not None
                dest.scatter(value, (b.splat(i, lanes) + iota) * self.dest_strides[-1], mask)

        b.vector_loop(count, lanes, body)

    # -- interleaving --------------------------------------------------------------------------------------------

    def interleave(self, index: list[Value]) -> None:
        b, spec = self.b, self.spec
        p, q = spec.inner
        count, along = abs(spec.interleaved), p if spec.interleaved > 0 else q
        start = index[-1] * spec.run()
        source, dest = self.base([*self.others(), along], [*index[:-1], start])
        lanes = self.interleaved_lanes()
        remaining = b.minimum(self.extents[along] - start, spec.run())

        def zipped(i: Value, mask: Value | None) -> None:
            rows = [source.load(i + self.source_strides[q] * k, lanes, mask) for k in range(count)]
            for k in range(count):
                picks = [divmod(k * lanes + n, count)[::-1] for n in range(lanes)]
                tail = None if mask is None else b.tail_mask((remaining - i) * count - k * lanes, lanes)
                dest.store(_pick(b, rows, picks), i * count + k * lanes, tail)

        def unzipped(i: Value, mask: Value | None) -> None:
            runs: list[Value] = []
            for k in range(count):
                tail = None if mask is None else b.tail_mask((remaining - i) * count - k * lanes, lanes)
                runs.append(source.load(i * count + k * lanes, lanes, tail))
            for k in range(count):
                picks = [divmod(n * count + k, lanes) for n in range(lanes)]
                dest.store(_pick(b, runs, picks), i + self.dest_strides[p] * k, mask)

        b.vector_loop(remaining, lanes, zipped if spec.interleaved > 0 else unzipped)

    def interleaved_lanes(self) -> int:
        """Byte shuffles across the whole register need an instruction that not every AVX-512 machine has."""
        lanes = self.b.target.lanes(self.spec.itemsize)
        return lanes if self.spec.itemsize > 1 or self.b.target.has("avx512vbmi") else min(lanes, 16)

    # -- tiles ---------------------------------------------------------------------------------------------------

    def tiles(self, index: list[Value]) -> None:
        b = self.b
        p, q = self.spec.inner
        side = min(16, b.target.lanes(self.spec.itemsize))
        first = [index[-2] * BLOCK, index[-1] * BLOCK]
        source, dest = self.base([*self.others(), p, q], [*index[:-2], *first])
        counts = [b.minimum(self.extents[a] - f, BLOCK) for a, f in zip((p, q), first, strict=True)]
        partial = any(not isinstance(self.spec.extents[a], int) or self.spec.extents[a] % side for a in (p, q))
        with b.loop(counts[0], 0, side) as i, b.loop(counts[1], 0, side) as j:
            rest = [counts[0] - i, counts[1] - j]
            origin = source.at(i + j * self.source_strides[q]), dest.at(i * self.dest_strides[p] + j)
            if partial:
                with b.if_else((rest[0] >= side) & (rest[1] >= side)) as (then, otherwise):
                    with then:
                        self.tile(*origin, side, None)
                    with otherwise:
                        self.tile(*origin, side, rest)
            else:
                self.tile(*origin, side, None)

    def tile(self, source: Pointer, dest: Pointer, side: int, rest: list[Value] | None) -> None:
        """One square; ``rest`` says how much of it lies inside along p and q (None: all)."""
        b = self.b
        p, q = self.spec.inner
        along_p = None if rest is None else b.tail_mask(rest[0], side)
        along_q = None if rest is None else b.tail_mask(rest[1], side)

        def inside(mask: Value | None, other: int, row: int) -> Value | None:
            return None if mask is None or rest is None else mask & b.splat(rest[other] > row, side)

        rows = [source.load(self.source_strides[q] * k, side, inside(along_p, 1, k)) for k in range(side)]
        for k, value in enumerate(transposed(b, rows, self.spec.itemsize)):
            dest.store(value, self.dest_strides[p] * k, inside(along_q, 0, k))


def _pick(b: KernelBuilder, vectors: list[Value], picks: Sequence[tuple[int, int]]) -> Value:
    """A vector whose lane n is lane ``picks[n][1]`` of ``vectors[picks[n][0]]``."""
    lanes = vectors[0].lanes
    result = b.shuffle(vectors[0], vectors[1], [lane + lanes * (v == 1) if v < 2 else 0 for v, lane in picks])
    for k in range(2, len(vectors)):
        result = b.shuffle(result, vectors[k], [lanes + lane if v == k else n for n, (v, lane) in enumerate(picks)])
    return result


def transposed(b: Builder, rows: list[Value], itemsize: int) -> list[Value]:
    """The transpose of a square of vectors, one shuffle a row and stage.

    Perfect shuffles inside each 16-byte chunk transpose the small squares; then chunks are dealt out, even and odd.
    """
    side = len(rows)
    if side == 1:
        return rows
    chunk = min(side, 16 // itemsize)
    groups = side // chunk
    parts = [_unpacked(b, rows[g * chunk : (g + 1) * chunk], chunk) for g in range(groups)]
    columns = [_dealt(b, [part[k] for part in parts], chunk) for k in range(chunk)]
    return [columns[k % chunk][k // chunk] for k in range(side)]


def _unpacked(b: Builder, rows: list[Value], chunk: int) -> list[Value]:
    lanes, half = rows[0].lanes, chunk // 2
    for _ in range(chunk.bit_length() - 1):
        mixed: list[Value] = []
        for low, high in zip(rows[:half], rows[half:], strict=True):
            for first in (0, half):
                picks = [c + first + k for c in range(0, lanes, chunk) for k in range(half)]
                mixed.append(b.shuffle(low, high, [n for k in picks for n in (k, lanes + k)]))
        rows = mixed
    return rows


def _dealt(b: Builder, rows: list[Value], chunk: int) -> list[Value]:
    lanes = rows[0].lanes
    for _ in range(len(rows).bit_length() - 1):
        halves: tuple[list[Value], list[Value]] = ([], [])
        for low, high in zip(rows[::2], rows[1::2], strict=True):
            for parity in (0, 1):
                starts = range(parity * chunk, 2 * lanes, 2 * chunk)
                halves[parity].append(b.shuffle(low, high, [c + k for c in starts for k in range(chunk)]))
        rows = halves[0] + halves[1]
    return rows
