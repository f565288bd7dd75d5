"""Where the largest or smallest elements are: ArgMax, ArgMin, Hardmax."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part, Row, Walk, common_lanes
from sardonyx.kernels.point import Position, compute_dtype, emit_store
from sardonyx.kernels.reduce import identity
from sardonyx.lang import KernelBuilder, Type, Value, Var

__all__ = ["Select", "compare_dtype", "sort_key"]

ACCUMULATORS = 4


def compare_dtype(dtype: DType) -> DType:
    """The dtype that elements are compared in: as wide as an index."""
    dtype = compute_dtype(dtype)
    if dtype.itemsize >= 4:
        return dtype
    return dtypes.int32


def sort_key(b: KernelBuilder, value: Value) -> Value:
    """Unsigned integers that sort like values of a ``compare_dtype``: NaN above all numbers, -0 equal to 0."""
    wide = value.dtype.itemsize == 8
    bits, unsigned = (64, dtypes.uint64) if wide else (32, dtypes.uint32)
    key = value
    if value.dtype.is_float:
        key = b.bitcast(b.select(value == 0, 0.0, value), dtypes.int64 if wide else dtypes.int32)
        key = key ^ ((key >> (bits - 1)) & ((1 << bits - 1) - 1))
        key = b.select(b.is_nan(value), (1 << bits - 1) - 1, key)
    key = key.to(unsigned)
    return key ^ (1 << bits - 1) if value.dtype.is_signed else key


@dataclass(frozen=True)
class Select:
    """The position along the nest's reduced loop of the largest (or smallest) element, compared in ``dtype``.

    Of equals the first, or the ``last``; a NaN is taken for the most extreme. The int64 position goes through
    ``epilogue`` to ``stores``. With ``one_hot`` (a dtype) the result is 1 at the position and 0 elsewhere, and epilogue
    and stores run over all loops.

        for the reduced loop: best, where = element, position   where element is better than best
        combine over accumulators and lanes: the better one, of equals the one with the wanted position
    """

    nest: Nest
    dtype: DType
    largest: bool
    last: bool
    element: Part
    epilogue: Part
    stores: tuple[Store, ...]
    one_hot: DType | None = None

    @property
    def name(self) -> str:
        return "one_hot_extreme" if self.one_hot else "arg_max" if self.largest else "arg_min"

    @property
    def index_dtype(self) -> DType:
        return dtypes.int64 if self.dtype.itemsize == 8 else dtypes.int32

    def emit(self, b: KernelBuilder) -> None:
        itemsize = max(4, self.dtype.itemsize)
        lanes = common_lanes(b, self.element.program, self.epilogue.program, itemsize=itemsize)
        Walk(b, self.nest, lanes).rows(lambda row: self._row(b, row))

    def _row(self, b: KernelBuilder, row: Row) -> None:
        across = self.nest.across
        count = ACCUMULATORS if across else row.vectors
        lanes = row.walk.lanes
        start = b.const(identity("max" if self.largest else "min", self.dtype), Type(self.dtype, lanes))
        best = [b.var(start) for _ in range(count)]
        where = [b.var(b.zero(Type(self.index_dtype, lanes))) for _ in range(count)]

        def body(vector: int, position: Position) -> None:
            value = b.splat(self.element.emit(b, position)[0], position.lanes).to(self.dtype)
            better = self._better(b, value, best[vector].get())
            if position.mask is not None and across:
                better = better & position.mask
            best[vector].set(b.select(better, value, best[vector].get()))
            where[vector].set(b.select(better, self._place(b, position), where[vector].get()))

        row.sweep(body, count)
        places = [variable.get() for variable in where]
        if across:
            places = [self._across(b, best, where)]
        if self.one_hot is None:
            self._store_places(b, row, places)
        else:
            self._store_one_hot(b, row, places, self.one_hot)

    def _place(self, b: KernelBuilder, position: Position) -> Value:
        """The position along the reduced loop, in each lane."""
        loop = self.nest.reduced[0] if self.nest.reduced else -1
        if loop < 0:
            return b.zero(Type(self.index_dtype, position.lanes))
        place = b.splat(position.index[loop].to(self.index_dtype), position.lanes)
        return place + b.iota(place.type) if loop == position.vector_loop else place

    def _better(self, b: KernelBuilder, new: Value, old: Value) -> Value:
        """Whether an element that comes later than the best so far replaces it."""
        if self.last:
            better = new >= old if self.largest else new <= old
            return better | b.is_nan(new) if new.dtype.is_float else better
        better = new > old if self.largest else new < old
        return better | (b.is_nan(new) & ~b.is_nan(old)) if new.dtype.is_float else better

    def _across(self, b: KernelBuilder, best: list[Var], where: list[Var]) -> Value:
        """The position of the best of all accumulators and lanes."""
        pairs = [(value.get(), place.get()) for value, place in zip(best, where, strict=True)]
        while len(pairs) > 1:
            pairs = [self._pick(b, x, y) for x, y in zip(pairs[::2], pairs[1::2], strict=True)]
        value, place = pairs[0]
        while value.lanes > 1:
            half = value.lanes // 2
            low, high = range(half), range(half, value.lanes)
            halves = [tuple(b.shuffle(v, None, part) for v in (value, place)) for part in (low, high)]
            if half == 1:
                halves = [tuple(b.extract(v, lane) for v in (value, place)) for lane in (0, 1)]
            value, place = self._pick(b, (halves[0][0], halves[0][1]), (halves[1][0], halves[1][1]))
        return place

    def _pick(self, b: KernelBuilder, x: tuple[Value, Value], y: tuple[Value, Value]) -> tuple[Value, Value]:
        """The better of two (value, position) pairs."""
        better = y[0] > x[0] if self.largest else y[0] < x[0]
        equal = y[0] == x[0]
        if self.dtype.is_float:
            x_nan, y_nan = b.is_nan(x[0]), b.is_nan(y[0])
            better = better | (y_nan & ~x_nan)
            equal = equal | (x_nan & y_nan)
        better = better | (equal & (y[1] > x[1] if self.last else y[1] < x[1]))
        return b.select(better, y[0], x[0]), b.select(better, y[1], x[1])

    def _store_places(self, b: KernelBuilder, row: Row, places: list[Value]) -> None:
        for vector, place in enumerate(places):
            self._store(b, row.position(vector), place.to(dtypes.int64))

    def _store_one_hot(self, b: KernelBuilder, row: Row, places: list[Value], dtype: DType) -> None:
        def body(vector: int, position: Position) -> None:
            chosen = self._place(b, position) == places[0 if self.nest.across else vector]
            self._store(b, position, chosen.to(compute_dtype(dtype)))

        row.sweep(body)

    def _store(self, b: KernelBuilder, position: Position, value: Value) -> None:
        results = self.epilogue.emit(b, position, (value,))
        for store, result in zip(self.stores, results, strict=True):
            emit_store(b, store.buffer, store.dtype, store.offset, result, position)
