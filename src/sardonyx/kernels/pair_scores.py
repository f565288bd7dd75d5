"""Labels and scores of two classes from trees, where a row may have a score for one of them only."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.class_scores import NEAR_ZERO, logistic, probit
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.lang.vmath import exp
from sardonyx.symbols import Dim, ceildiv

__all__ = ["PairScores"]

BLOCK = 1024
"""Rows of one task."""


@dataclass(frozen=True)
class PairScores:
    """Raw scores (s0, 2) of ``dtype`` as labels and float32 scores, as ONNX Runtime has them.

    A row whose leaves name the first class alone has one score: it is the second class's, and the first class gets its
    ``opposite`` ("complement": 1 - score, "negative": -score; "": the score itself, and the second gets 0). ``base``
    numbers (0 to 2) are added. The label is entry 1 of the table where the decisive score is above ``limit``.
    Buffers: raw scores, scores, table, labels, then base, then a byte per score that says whether there is one
    (``present``; without it all have both).
    """

    dtype: DType
    transform: str
    opposite: str
    limit: float
    base: int
    present: bool

    @property
    def name(self) -> str:
        return "pair_scores"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        lanes = b.target.lanes(8)
        with b.tasks() as task:
            first = task * BLOCK
            count = b.minimum(b.size(0) - first, BLOCK)
            b.vector_loop(count, lanes, lambda offset, mask: self._rows(b, first + offset, mask, lanes))

    def _rows(self, b: KernelBuilder, row: Value, mask: Value | None, lanes: int) -> None:
        places = b.iota(I64.with_lanes(lanes)) * 2
        raw, target = b.buffer(0, self.dtype).at(row * 2), b.buffer(1, dtypes.float32).at(row * 2)
        first, second = (raw.gather(places + k, mask) for k in (0, 1))
        there, pair = (b.all_true(lanes), b.all_true(lanes))
        if self.present:
            flags = b.buffer(5 if self.base else 4, dtypes.uint8).at(row * 2)
            there, pair = (flags.gather(places + k, mask) != 0 for k in (0, 1))
        both = pair
        if self.base == 2:
            base = [b.buffer(4, self.dtype).load(k) for k in (0, 1)]
            second = b.select(pair, first + base[1], second + base[1])
            first = b.select(pair, -second, first + base[0])
            both = b.all_true(lanes)
        elif self.base:
            first = first + b.buffer(4, self.dtype).load(0)
        first, second = b.select(there, first, 0.0), b.select(pair, second, 0.0)
        chosen = b.select(pair, second, first) > self.limit
        label = b.buffer(2, dtypes.int64).gather(chosen.to(dtypes.int64), mask)
        b.buffer(3, dtypes.int64).store(label, row, mask)
        results = zip(self._two(first, second), self._alone(first), strict=True)
        for k, (of_both, of_one) in enumerate(results):
            target.scatter(b.select(both, of_both, of_one), places + k, mask)

    def _two(self, first: Value, second: Value) -> tuple[Value, Value]:
        """Both scores transformed."""
        b = first.b
        pair = (first, second)
        if self.transform == "LOGISTIC":
            return logistic(first.to(dtypes.float32)), logistic(second.to(dtypes.float32))
        if self.transform == "PROBIT":
            return probit(first.to(dtypes.float32)), probit(second.to(dtypes.float32))
        if self.transform.startswith("SOFTMAX"):
            peak = b.select(second > first, second, first)
            powers = [exp(value - peak) for value in pair]
            counted = powers
            if self.transform == "SOFTMAX_ZERO":
                counts = [b.abs(value) > NEAR_ZERO for value in pair]
                counted = [b.select(c, p, 0.0) for c, p in zip(counts, powers, strict=True)]
                small = [value * exp(-peak) for value in pair]
                powers = [b.select(c, p, s) for c, p, s in zip(counts, powers, small, strict=True)]
            total = counted[0] + counted[1]
            pair = (powers[0] / total, powers[1] / total)
        return pair[0].to(dtypes.float32), pair[1].to(dtypes.float32)

    def _alone(self, score: Value) -> tuple[Value, Value]:
        """One score transformed, and its opposite."""
        b, narrow = score.b, score.to(dtypes.float32)
        zero = b.zero(narrow.type)
        if self.transform == "PROBIT":
            return probit(narrow), zero
        if not self.opposite:
            return narrow, zero
        if self.transform == "LOGISTIC":
            return logistic(-narrow), logistic(narrow)
        other = 1.0 - score if self.opposite == "complement" else -score
        return other.to(dtypes.float32), narrow
