"""Softmax and its logarithm along some loops of a nest.

    peak = max(element)
    for the reduced loops: e = exp(element - peak); total += e; stage = e
    for the reduced loops: result = epilogue(stage / total)              log: epilogue(element - peak - log(total))

A row stays in the first-level cache between the passes. A row of infinities, or with a NaN, gives NaN everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest, Part, Row, Walk, common_lanes
from sardonyx.kernels.point import Load, PointProgram, Position, emit_point, emit_store
from sardonyx.kernels.reduce import Accumulators
from sardonyx.lang import KernelBuilder, Value
from sardonyx.lang.vmath import exp, log

__all__ = ["Softmax"]

EXPONENTIALS = 2
"""Vectors of exponentials in one step: enough to hide their latency, few enough to compile quickly."""


@dataclass(frozen=True)
class Softmax:
    """Softmax (or, with ``logarithm``, LogSoftmax) over the nest's reduced loops, computed in ``dtype``.

    ``stage`` is memory of ``dtype`` for the exponentials, not needed for the logarithm; it may be the output.
    ``element`` and ``epilogue`` run over the nest's loops; result k of the epilogue goes to ``stores[k]``.
    """

    nest: Nest
    dtype: DType
    element: Part
    epilogue: Part
    stores: tuple[Store, ...]
    stage: Store | None

    @property
    def name(self) -> str:
        return "softmax" if self.stage else "log_softmax"

    def emit(self, b: KernelBuilder) -> None:
        lanes = common_lanes(b, self.element.program, self.epilogue.program, itemsize=self.dtype.itemsize)
        Walk(b, self.nest, lanes).rows(lambda row: self._row(b, row))

    def _element(self, b: KernelBuilder, position: Position) -> Value:
        return b.splat(self.element.emit(b, position)[0], position.lanes)

    def _row(self, b: KernelBuilder, row: Row) -> None:
        across = self.nest.across
        peaks = Accumulators(row, "peak", self.dtype)
        peaks.sweep(lambda vector, position: self._element(b, position))
        peak = peaks.results()
        totals = Accumulators(row, "sum", self.dtype, EXPONENTIALS)

        def exponential(vector: int, position: Position) -> Value:
            value = exp(self._element(b, position) - peak[0 if across else vector])
            if self.stage is not None:
                emit_store(b, self.stage.buffer, self.dtype, self.stage.offset, value, position)
            return value

        totals.sweep(exponential)
        if self.stage is None:
            factors = [log(total) for total in totals.results()]
        else:
            factors = [1.0 / total for total in totals.results()]

        def finished(vector: int, position: Position) -> None:
            factor = factors[0 if across else vector]
            if self.stage is None:
                value = self._element(b, position) - peak[0 if across else vector] - factor
            else:
                value = self._staged(b, self.stage, position) * factor
            results = self.epilogue.emit(b, position, (value,))
            for store, result in zip(self.stores, results, strict=True):
                emit_store(b, store.buffer, store.dtype, store.offset, result, position)

        row.sweep(finished, 2)

    def _staged(self, b: KernelBuilder, stage: Store, position: Position) -> Value:
        load = Load(0, self.dtype, stage.offset)
        return emit_point(b, PointProgram((load,), (0,), 1), position, (), stage.buffer)[0]
