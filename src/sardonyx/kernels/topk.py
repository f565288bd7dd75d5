"""The k largest or smallest elements of each row, best first.

    heap = the first k elements, the worst of them at the root
    for the others, a vector at a time:             most vectors hold nothing better than the root
        for each element better than the root: replace the root, restore the heap
    heap sort; store elements and positions

Elements are compared as integers that sort like them (NaN above all numbers, 0 like -0); with the position below the
element's bits one comparison settles ties too. O(n + n log k) at worst.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part, Row, Walk, common_lanes
from sardonyx.kernels.point import STATUS_INDEX, Position, emit_store
from sardonyx.kernels.select import compare_dtype, sort_key
from sardonyx.lang import KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim

__all__ = ["TopK"]

Entry = tuple[Value, ...]


@dataclass(frozen=True)
class TopK:
    """The ``k`` best elements along loop ``nest.vector``, the only reduced one, of elements stored as ``dtype``.

    Of equal elements the one with the lower position comes first. ``heap`` is scratch memory of uint64: ``k`` times
    ``words`` for each row, at an offset over the kept loops. ``values`` and ``indices`` are stored at offsets over the
    nest's loops, with the rank in place of the position. Returns STATUS_INDEX where there are fewer than k elements.
    """

    nest: Nest
    dtype: DType
    k: Dim
    largest: bool
    element: Part
    heap: Store
    values: Store
    indices: Store

    @property
    def name(self) -> str:
        return "top_k"

    @staticmethod
    def words(dtype: DType) -> int:
        """The uint64 words of one heap entry."""
        return 2 if compare_dtype(dtype).itemsize == 8 else 1

    def emit(self, b: KernelBuilder) -> None:
        lanes = common_lanes(b, self.element.program, itemsize=compare_dtype(self.dtype).itemsize)
        walk = Walk(b, self.nest, lanes)
        walk.rows(lambda row: _Row(self, b, row).emit())

    def keys(self, b: KernelBuilder, value: Value) -> Value:
        """Unsigned integers in the order of the elements, better ones larger."""
        key = sort_key(b, value.to(compare_dtype(self.dtype)))
        return key if self.largest else ~key


class _Heap:
    """Entries in memory, of which each is worse than its two children. Larger words are better."""

    def __init__(self, b: KernelBuilder, memory: Pointer, words: int) -> None:
        self.b = b
        self.memory = memory
        self.words = words

    def load(self, place: Value) -> Entry:
        return tuple(self.memory.load(place * self.words + word) for word in range(self.words))

    def store(self, place: Value, entry: Entry) -> None:
        for word, value in enumerate(entry):
            self.memory.store(value, place * self.words + word)

    def worse(self, x: Entry, y: Entry) -> Value:
        if self.words == 1:
            return x[0] < y[0]
        return (x[0] < y[0]) | ((x[0] == y[0]) & (x[1] < y[1]))

    def sift(self, entry: Entry, root: Value, size: Value) -> None:
        """Puts an entry at or below ``root`` of a heap of ``size`` entries whose root is free."""
        b = self.b
        hole = b.var(root)
        going = b.var(root * 2 + 1 < size)
        with b.while_(going.get):
            first = hole.get() * 2 + 1
            second = b.minimum(first + 1, size - 1)
            left, right = self.load(first), self.load(second)
            other = self.worse(right, left)
            child = b.select(other, second, first)
            worst = tuple(b.select(other, r, x) for r, x in zip(right, left, strict=True))
            below = self.worse(worst, entry)
            with b.if_(below):
                self.store(hole.get(), worst)
                hole.set(child)
            going.set(below & (child * 2 + 1 < size))
        self.store(hole.get(), entry)


class _Row:
    """One row."""

    def __init__(self, spec: TopK, b: KernelBuilder, row: Row) -> None:
        self.spec = spec
        self.b = b
        self.row = row
        self.loop = spec.nest.vector
        self.k = row.walk.size(spec.k)
        self.n = row.walk.extents[self.loop]
        self.words = spec.words(spec.dtype)
        base = row.walk.size_at(spec.heap.offset, row.index)
        self.heap = _Heap(b, b.buffer(spec.heap.buffer, dtypes.uint64).at(base), self.words)

    def emit(self) -> None:
        b = self.b
        b.return_if(self.n < self.k, STATUS_INDEX)
        with b.if_(self.k > 0):
            with b.loop(self.k) as place:
                self.heap.store(place, self._entry(place))
            half = self.k // 2
            with b.loop(half) as step:
                root = half - 1 - step
                self.heap.sift(self.heap.load(root), root, self.k)
            self._scan()
            with b.loop(self.k - 1) as step:
                last = self.k - 1 - step
                worst, entry = self.heap.load(b.i64(0)), self.heap.load(last)
                self.heap.store(last, worst)
                self.heap.sift(entry, b.i64(0), last)
            self._store()

    def _at(self, place: Value) -> Position:
        index = list(self.row.index)
        index[self.loop] = place
        return Position(index)

    def _entry(self, place: Value) -> Entry:
        """The words of the element at a position: the key, and below it the position, counted down."""
        key = self.spec.keys(self.b, self.spec.element.emit(self.b, self._at(place))[0]).to(dtypes.uint64)
        down = ~place.to(dtypes.uint64)
        return (key, down) if self.words == 2 else ((key << 32) | (down & 0xFFFFFFFF),)

    def _scan(self) -> None:
        """Offers every element after the first k to the heap."""
        b, lanes = self.b, self.row.walk.lanes
        with b.loop(self.n, self.k, lanes) as start:
            mask = b.tail_mask(self.n - start, lanes) if lanes > 1 else None
            index = list(self.row.index)
            index[self.loop] = start
            position = Position(index, lanes, self.loop, mask)
            keys = self.spec.keys(b, b.splat(self.spec.element.emit(b, position)[0], lanes))
            root = self.heap.load(b.i64(0))[0]
            limit = root if self.words == 2 else root >> 32
            better = keys > b.splat(limit.to(keys.dtype), lanes)
            found = b.any(better if mask is None else better & mask)
            with b.if_(found, likely=False), b.loop(b.minimum(start + lanes, self.n), start) as place:
                entry = self._entry(place)
                with b.if_(self.heap.worse(self.heap.load(b.i64(0)), entry)):
                    self.heap.sift(entry, b.i64(0), self.k)

    def _store(self) -> None:
        b, spec = self.b, self.spec
        with b.loop(self.k) as rank:
            down = self.heap.load(rank)[-1]
            place = (~down if self.words == 2 else ~down & 0xFFFFFFFF).to(dtypes.int64)
            value = spec.element.emit(b, self._at(place))[0]
            emit_store(b, spec.values.buffer, spec.values.dtype, spec.values.offset, value, self._at(rank))
            emit_store(b, spec.indices.buffer, dtypes.int64, spec.indices.offset, place, self._at(rank))
