"""Reductions: sum, product, maximum and minimum over any loops of a nest.

    accumulators = identity
    for the reduced loops: accumulators = combine(accumulators, transform(element))
    result = epilogue(finish(combine over accumulators and lanes))

Sums run in several accumulators, each restarted every ``STRETCH`` vectors, so that the rounding error of float32 grows
with the logarithm of the length rather than with the length. The order is fixed by the sizes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part, Row, Walk, common_lanes
from sardonyx.kernels.point import Position, compute_dtype, emit_store
from sardonyx.lang import KernelBuilder, Type, Value
from sardonyx.lang.vmath import exp, log
from sardonyx.symbols import Dim

__all__ = ["Accumulators", "Reduce", "accumulator_dtype", "identity"]

ACCUMULATORS = 4


def accumulator_dtype(dtype: DType) -> DType:
    """The dtype that elements of ``dtype`` are combined in: half precision in float32, bool as a number."""
    return dtypes.uint8 if dtype is dtypes.bool_ else compute_dtype(dtype)


def identity(operation: str, dtype: DType) -> float | int:
    """The result of combining nothing."""
    if operation in ("sum", "prod"):
        return int(operation == "prod")
    if dtype.is_float:
        return float("inf") if operation == "min" else float("-inf")
    low, high = (-(1 << dtype.bits - 1), (1 << dtype.bits - 1) - 1) if dtype.is_signed else (0, (1 << dtype.bits) - 1)
    return high if operation == "min" else low


def combine(operation: str, a: Value, b: Value) -> Value:
    """One step of a reduction; maxima and minima keep a NaN, except ``peak``, the largest number."""
    match operation:
        case "peak":
            return a.b.select(b > a, b, a)
        case "sum":
            return a + b
        case "prod":
            return a * b
        case "max":
            return a.b.maximum(a, b)
        case _:
            return a.b.minimum(a, b)


class Accumulators:
    """What one row or block of columns is combined in: a variable per vector; stretches are added to totals."""

    def __init__(self, row: Row, operation: str, dtype: DType, count: int = ACCUMULATORS) -> None:
        self.row = row
        self.operation = operation
        walk = row.walk
        self.count = count if walk.nest.across else row.vectors
        self.start = walk.b.const(identity(operation, dtype), Type(dtype, walk.lanes))
        self.current = [walk.b.var(self.start) for _ in range(self.count)]
        self.totals = (
            [walk.b.var(self.start) for _ in range(self.count)] if operation == "sum" and dtype.is_float else None
        )

    def sweep(self, element: Callable[[int, Position], Value]) -> None:
        """Combines ``element`` at every position of the reduced loops."""
        flush = self.flush if self.totals else None
        self.row.sweep(
            lambda vector, position: self.add(vector, position, element(vector, position)), self.count, flush
        )

    def add(self, vector: int, position: Position, value: Value) -> None:
        """Combines one value, in the body of a sweep with ``count`` accumulators that calls ``flush``."""
        variable = self.current[vector]
        added = combine(self.operation, variable.get(), value)
        if position.mask is not None and self.row.walk.nest.across:
            added = value.b.select(position.mask, added, variable.get())
        variable.set(added)

    def flush(self) -> None:
        """Ends a stretch: adds what was summed up to the totals."""
        for total, variable in zip(self.totals or [], self.current, strict=True):
            total.set(combine(self.operation, total.get(), variable.get()))
            variable.set(self.start)

    def results(self) -> list[Value]:
        """One value per vector of columns, or one scalar where lanes are combined."""
        values = [variable.get() for variable in self.totals or self.current]
        if not self.row.walk.nest.across:
            return values
        while len(values) > 1:
            half = len(values) // 2
            joined = [
                combine(self.operation, a, b) for a, b in zip(values[:half], values[half : 2 * half], strict=True)
            ]
            values = joined + values[2 * half :]
        b = self.row.walk.b
        return [b.reduce(lambda x, y: combine(self.operation, x, y), values[0])]


@dataclass(frozen=True)
class Reduce:
    """Combines the elements of a nest's reduced loops.

    ``operation`` is sum, prod, max or min, in ``accumulator``; ``transform`` ("", abs, square, exp) is applied to each
    element, ``finish`` ("", mean, sqrt, log, finite) to each result, which ``dtype`` then is the type of; ``count`` is
    the number of elements that a mean divides by. ``shift`` is subtracted from each element before ``exp`` and added to
    each result after ``log``; "finite" puts 0 in place of an infinity, for use as such a shift. ``element`` runs over
    the nest's loops, ``shift`` and ``epilogue`` over those that their ``index`` says. Result k of the epilogue goes to
    ``stores[k]``, whose offset is over the nest's loops.
    """

    nest: Nest
    operation: str
    transform: str
    finish: str
    accumulator: DType
    dtype: DType
    count: Dim
    element: Part
    epilogue: Part
    stores: tuple[Store, ...]
    shift: Part | None = None

    @property
    def name(self) -> str:
        return f"reduce_{self.operation}"

    def emit(self, b: KernelBuilder) -> None:
        programs = [part.program for part in (self.element, self.epilogue, self.shift) if part is not None]
        lanes = common_lanes(b, *programs, itemsize=max(self.accumulator.itemsize, compute_dtype(self.dtype).itemsize))
        walk = Walk(b, self.nest, lanes)
        walk.rows(lambda row: self._row(b, row))

    def _row(self, b: KernelBuilder, row: Row) -> None:
        positions = [row.position(k) for k in range(row.vectors)]
        shifts = None if self.shift is None else [self.shift.emit(b, position)[0] for position in positions]
        accumulators = Accumulators(row, self.operation, self.accumulator)

        def element(vector: int, position: Position) -> Value:
            value = b.splat(self.element.emit(b, position)[0], position.lanes).to(self.accumulator)
            if shifts is not None and self.transform == "exp":
                value = value - shifts[0 if self.nest.across else vector]
            return _transformed(b, self.transform, value)

        accumulators.sweep(element)
        for k, (total, position) in enumerate(zip(accumulators.results(), positions, strict=True)):
            result = self._finished(b, row, total)
            if shifts is not None and self.finish == "log":
                result = result + shifts[k]
            results = self.epilogue.emit(b, position, (result.to(compute_dtype(self.dtype)),))
            for store, value in zip(self.stores, results, strict=True):
                emit_store(b, store.buffer, store.dtype, store.offset, value, position)

    def _finished(self, b: KernelBuilder, row: Row, total: Value) -> Value:
        match self.finish:
            case "mean":
                count = row.walk.size(self.count).to(total.dtype)
                if not total.dtype.is_float:
                    count = b.select(count == 0, 1, count)  # no elements: any mean will do, a trap will not
                return total / b.splat(count, total.lanes)
            case "sqrt":
                return b.sqrt(total if total.dtype.is_float else total.to(dtypes.float64))
            case "log":
                return log(total)
            case "finite":
                return b.select(b.abs(total) < float("inf"), total, 0.0)
            case _:
                return total


def _transformed(b: KernelBuilder, transform: str, value: Value) -> Value:
    match transform:
        case "abs":
            return b.abs(value)
        case "square":
            return value * value
        case "exp":
            return exp(value)
        case _:
            return value
