"""Normalisation by statistics of some loops of a nest: layer, instance, group, RMS and Lp normalisation.

    mean = sum(element) / count                                          (where it is subtracted)
    rest, spread = sum(element - mean) / count, sum((element - mean)**2) / count - rest**2
    for the reduced loops: result = epilogue(((element - mean) - rest) * factor(spread) * scale + bias)

``rest`` is the rounding error of the mean: with it, large means do no harm. A row stays in cache between the passes; an
element that is dear to compute is written to ``stage`` in the first pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part, Row, Walk, common_lanes
from sardonyx.kernels.point import Load, PointProgram, Position, compute_dtype, emit_point, emit_store
from sardonyx.kernels.reduce import Accumulators
from sardonyx.lang import KernelBuilder, Value
from sardonyx.symbols import Dim

__all__ = ["Normalize"]


@dataclass(frozen=True)
class Normalize:
    """Normalises the elements of a nest's reduced loops, computing in ``dtype``, with results of type ``result``.

    ``factor`` says what the elements, less their mean where ``centered``, are multiplied by: "variance" is
    1 / sqrt(mean square + epsilon), "deviation" 1 / (sqrt(mean square) + epsilon), "l1" and "l2" the inverse of the sum
    of absolute values and of the root of the sum of squares (0 where that is 0). ``scale`` and ``bias`` are read at
    every position. ``mean`` and ``inverse`` store the statistics of each row. All parts run over the nest's loops.
    """

    nest: Nest
    dtype: DType
    result: DType
    centered: bool
    factor: str
    epsilon: float
    count: Dim
    element: Part
    scale: Part | None
    bias: Part | None
    epilogue: Part
    stores: tuple[Store, ...]
    stage: Store | None = None
    mean: Store | None = None
    inverse: Store | None = None

    @property
    def name(self) -> str:
        return f"normalize_{self.factor}"

    def emit(self, b: KernelBuilder) -> None:
        parts = [part for part in (self.element, self.scale, self.bias, self.epilogue) if part is not None]
        lanes = common_lanes(b, *(part.program for part in parts), itemsize=self.dtype.itemsize)
        Walk(b, self.nest, lanes).rows(lambda row: _Row(self, b, row).emit())


class _Row:
    """One row, or block of columns."""

    def __init__(self, spec: Normalize, b: KernelBuilder, row: Row) -> None:
        self.spec = spec
        self.b = b
        self.row = row
        self.means: list[Value] | None = None
        self.staged = False

    def emit(self) -> None:
        spec, b = self.spec, self.b
        rests: list[Value] | None = None
        if spec.centered:
            self.means = [total / self._count(total) for total in self._sums("")]
        if self.means is not None and spec.factor != "l1":
            rests, power = self._corrected_squares()
        else:
            power = self._sums("abs" if spec.factor == "l1" else "square")
        factors = [self._factor(total) for total in power]
        shifts = None if rests is None else [-(rest * factor) for rest, factor in zip(rests, factors, strict=True)]
        self._store_statistics(factors)

        def finished(vector: int, position: Position) -> None:
            value, factor = self._centered(vector, position), self._chosen(factors, vector)
            value = value * factor if shifts is None else b.fma(value, factor, self._chosen(shifts, vector))
            if spec.scale is not None:
                value = value * self._beside(spec.scale, position)
            if spec.bias is not None:
                value = value + self._beside(spec.bias, position)
            results = spec.epilogue.emit(b, position, (value.to(compute_dtype(spec.result)),))
            for store, result in zip(spec.stores, results, strict=True):
                emit_store(b, store.buffer, store.dtype, store.offset, result, position)

        self.row.sweep(finished, 2)

    def _corrected_squares(self) -> tuple[list[Value], list[Value]]:
        """What the means missed by rounding, and the sums of squares of the distances from the true means."""
        rests, squares = (Accumulators(self.row, "sum", self.spec.dtype) for _ in range(2))

        def body(vector: int, position: Position) -> None:
            value = self._centered(vector, position)
            rests.add(vector, position, value)
            squares.add(vector, position, value * value)

        def flush() -> None:
            rests.flush()
            squares.flush()

        self.row.sweep(body, rests.count, flush)
        missed = rests.results()
        means = [total / self._count(total) for total in missed]
        totals = [s - total * mean for s, total, mean in zip(squares.results(), missed, means, strict=True)]
        return means, [self.b.maximum(total, 0.0) for total in totals]

    def _chosen(self, values: list[Value], vector: int) -> Value:
        return values[0 if self.spec.nest.across else vector]

    def _count(self, like: Value) -> Value:
        return self.b.splat(self.row.walk.size(self.spec.count).to(like.dtype), like.lanes)

    def _beside(self, part: Part, position: Position) -> Value:
        return self.b.splat(part.emit(self.b, position)[0], position.lanes).to(self.spec.dtype)

    def _element(self, position: Position) -> Value:
        stage = self.spec.stage
        if stage is not None and self.staged:
            load = Load(0, self.spec.dtype, stage.offset)
            return emit_point(self.b, PointProgram((load,), (0,), 1), position, (), stage.buffer)[0]
        value = self._beside(self.spec.element, position)
        if stage is not None:
            emit_store(self.b, stage.buffer, self.spec.dtype, stage.offset, value, position)
        return value

    def _centered(self, vector: int, position: Position) -> Value:
        value = self._element(position)
        return value if self.means is None else value - self._chosen(self.means, vector)

    def _sums(self, transform: str) -> list[Value]:
        """The sums of the elements, or of what is made of their distance from the mean."""
        sums = Accumulators(self.row, "sum", self.spec.dtype)

        def term(vector: int, position: Position) -> Value:
            value = self._centered(vector, position)
            if transform == "square":
                return value * value
            return self.b.abs(value) if transform == "abs" else value

        sums.sweep(term)
        self.staged = True
        return sums.results()

    def _factor(self, total: Value) -> Value:
        b, epsilon = self.b, self.spec.epsilon
        match self.spec.factor:
            case "variance":
                return 1.0 / b.sqrt(total / self._count(total) + epsilon)
            case "deviation":
                return 1.0 / (b.sqrt(total / self._count(total)) + epsilon)
            case "l2":
                total = b.sqrt(total)
        return b.select(total == 0, 0.0, 1.0 / total)

    def _store_statistics(self, factors: list[Value]) -> None:
        for store, values in ((self.spec.mean, self.means), (self.spec.inverse, factors)):
            for vector, value in enumerate(values or []) if store is not None else ():
                assert store is not None
                position = self.row.position(vector)
                emit_store(self.b, store.buffer, store.dtype, store.offset, value, position)
