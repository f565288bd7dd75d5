"""The last step of ai.onnx.ml's models: labels and transformed scores from raw scores.

for task in [begin, end):                      # a block of rows
    for rows in steps of `lanes`:              # one row a lane
        for column: best, where = max(score)   # softmax: its peak too
        for column: scores = transform(score)
        labels = table[where]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.lang.vmath import exp, log
from sardonyx.symbols import Dim, ceildiv

__all__ = ["TRANSFORMS", "ClassScores"]

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
BLOCK = 1024
"""Rows of one task."""
NEAR_ZERO = 1e-7
"""SOFTMAX_ZERO takes scores of at most this size as zero."""
ERF_INVERSE = 0.147
"""The constant of S. Winitzki's approximation of erf's inverse (2008)."""


def logistic(value: Value) -> Value:
    """1 / (1 + exp(-x)), computed for -|x|."""
    b = value.b
    half = 1.0 / (exp(-b.abs(value)) + 1.0)
    return b.select(value < 0.0, 1.0 - half, half)


def probit(value: Value) -> Value:
    """The inverse of the normal distribution function; NaN outside [0, 1]."""
    b = value.b
    centred = value * 2.0 - 1.0
    logarithm = log((1.0 - centred) * (centred + 1.0))
    middle = logarithm * 0.5 + 2 / (3.14159 * ERF_INVERSE)
    inner = b.sqrt(middle * middle - logarithm * (1 / ERF_INVERSE)) - middle
    return b.copysign(b.sqrt(inner) * 2**0.5, centred)


@dataclass(frozen=True)
class ClassScores:
    """Scores of type ``dtype`` in rows of ``s1`` columns (s0 rows) become scores of type ``result`` and, with
    ``labels``, labels.

    ``transform`` is a post transform of ai.onnx.ml. A single column is one score: it becomes two columns where
    ``opposite`` says how the first is made ("complement": 1 - score, "negative": -score), and its label is entry 1 of
    the table where the score is above ``limit``, else entry 0; PROBIT leaves the second column 0, LOGISTIC and the
    softmaxes leave a score that stays alone as it is. Of several columns the label is that of the first largest score.
    With ``base``, a number per column is added, after a division by ``divisor``; with ``present``, a byte per score
    says whether there is one: the others are 0 and never chosen.
    Buffers: raw scores, scores, then (labels) table and labels, (base) base, (present) present.
    """

    dtype: DType
    transform: str
    single: bool
    labels: bool = False
    opposite: str = ""
    limit: float = 0.0
    divisor: float = 1.0
    base: bool = False
    present: bool = False
    result: DType = dtypes.float32

    @property
    def work(self) -> DType:
        """The type of transformed scores before they are rounded to ``result``."""
        return compute_dtype(self.result)

    @property
    def name(self) -> str:
        return "class_scores"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        lanes = b.target.lanes(self.dtype.itemsize)
        rows = b.size(0)
        with b.tasks() as task:
            first = task * BLOCK

            def body(offset: Value, mask: Value | None) -> None:
                block = _Block(self, b, first + offset, mask, lanes)
                block.single() if self.single else block.several()

            b.vector_loop(b.minimum(rows - first, BLOCK), lanes, body)


class _Block:
    """One vector of rows."""

    def __init__(self, spec: ClassScores, b: KernelBuilder, row: Value, mask: Value | None, lanes: int) -> None:
        self.spec, self.b, self.row, self.mask, self.lanes = spec, b, row, mask, lanes
        self.columns = b.size(1)
        self.places = b.iota(I64.with_lanes(lanes)) * self.columns
        self.raw = b.buffer(0, spec.dtype).at(row * self.columns)
        self.type = Type(spec.dtype, lanes)

    def _further(self, dtype: DType, place: int) -> Pointer:
        """The optional buffer ``place`` of labels' two, base, present."""
        spec = self.spec
        absent = 2 * (not spec.labels and place >= 2) + (not spec.base and place >= 3)
        return self.b.buffer(2 + place - absent, dtype)

    def score(self, column: Value) -> tuple[Value, Value | None]:
        """A column's scores, and where there are some (None: everywhere)."""
        spec, b = self.spec, self.b
        value = self.raw.gather(self.places + column, self.mask)
        if spec.divisor != 1:
            value = value / spec.divisor
        if spec.base:
            value = value + self._further(spec.dtype, 2).load(column)
        if not spec.present:
            return value, None
        flags = self._further(dtypes.uint8, 3).at(self.row * self.columns)
        there = flags.gather(self.places + column, self.mask) != 0
        return b.select(there, value, 0.0), there

    def store(self, value: Value, column: Value | int, columns: Value) -> None:
        target = self.b.buffer(1, self.spec.result).at(self.row * columns)
        places = self.b.iota(I64.with_lanes(self.lanes)) * columns + column
        target.scatter(value.to(self.spec.result), places, self.mask)

    def store_label(self, entry: Value) -> None:
        table, target = self._further(dtypes.int64, 0), self._further(dtypes.int64, 1)
        target.store(table.gather(entry, self.mask), self.row, self.mask)

    # -- one column ----------------------------------------------------------------------------------------------

    def single(self) -> None:
        b, spec = self.b, self.spec
        value, _ = self.score(b.i64(0))
        if spec.labels:
            self.store_label((value > spec.limit).to(dtypes.int64))
        if not spec.opposite:
            self.store(probit(value.to(spec.work)) if spec.transform == "PROBIT" else value, 0, b.i64(1))
            return
        if spec.transform == "PROBIT":
            value = probit(value.to(spec.work))
            pair = (value, b.zero(value.type))
        elif spec.transform == "LOGISTIC":
            value = value.to(spec.work)
            pair = (logistic(-value), logistic(value))
        else:
            pair = (1.0 - value if spec.opposite == "complement" else -value, value)
        for column, one in enumerate(pair):
            self.store(one, column, b.i64(2))

    # -- several columns -----------------------------------------------------------------------------------------

    def several(self) -> None:
        b, transform = self.b, self.spec.transform
        if self.spec.labels or transform.startswith("SOFTMAX"):
            peak = self.choose()
        if transform.startswith("SOFTMAX"):
            self.softmax(peak, zero=transform == "SOFTMAX_ZERO")
            return
        change: dict[str, Callable[[Value], Value]] = {"LOGISTIC": logistic, "PROBIT": probit}
        with b.loop(self.columns) as column:
            value, _ = self.score(column)
            if transform in change:
                value = change[transform](value.to(self.spec.work))
            self.store(value, column, self.columns)

    def choose(self) -> Value:
        """Stores the labels; gives the largest scores."""
        b, lowest = self.b, float("-inf")
        peak, best = b.var(b.const(lowest, self.type)), b.var(b.const(lowest, self.type))
        where = b.var(b.zero(I64.with_lanes(self.lanes)))
        with b.loop(self.columns) as column:
            value, there = self.score(column)
            peak.set(b.select(value > peak.get(), value, peak.get()))
            better = value > best.get()
            better = better if there is None else better & there
            best.set(b.select(better, value, best.get()))
            where.set(b.select(better, b.splat(column, self.lanes), where.get()))
        if self.spec.labels:
            self.store_label(where.get())
        return peak.get()

    def softmax(self, peak: Value, *, zero: bool) -> None:
        b = self.b
        total = b.var(b.zero(self.type))

        def grown(column: Value) -> tuple[Value, Value]:
            value, _ = self.score(column)
            power = exp(value - peak)
            if not zero:
                return power, power
            counts = b.abs(value) > NEAR_ZERO
            return b.select(counts, power, 0.0), b.select(counts, power, value * exp(-peak))

        with b.loop(self.columns) as column:
            total.set(total.get() + grown(column)[0])
        with b.loop(self.columns) as column:
            self.store(grown(column)[1] / total.get(), column, self.columns)
