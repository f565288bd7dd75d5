"""Operators of any number of inputs, and Clip: Sum, Mean, Min, Max, Clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from sardonyx.dtypes import DType
from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, maximum, minimum

__all__: list[str] = []


@op("Sum")
class Sum(Elementwise):
    """The sum of all inputs, from the first to the last."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        return reduce(lambda a, b: a + b, values)


@op("Mean")
class Mean(Elementwise):
    """The arithmetic mean of all inputs."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        total = reduce(lambda a, b: a + b, values)
        return total / float(len(values)) if len(values) > 1 else total


@op("Min")
class Min(Elementwise):
    """The smallest of all inputs; NaN where one is NaN."""

    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        return reduce(values[0].b.minimum, values)

    def symbolic(self, *values: Dim) -> Dim | None:
        return reduce(minimum, values)


@op("Max")
class Max(Elementwise):
    """The largest of all inputs; NaN where one is NaN."""

    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        return reduce(values[0].b.maximum, values)

    def symbolic(self, *values: Dim) -> Dim | None:
        return reduce(maximum, values)


@op("Clip")
class Clip(Elementwise):
    """min(max(x, low), high); either bound may be left out."""

    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        x, *limits = values
        if limits:
            x = x.b.maximum(x, limits[0])
        return x.b.minimum(x, limits[1]) if len(limits) > 1 else x

    def specialise(self, inputs: Sequence[DType | None]) -> tuple[Elementwise, tuple[int, ...]]:
        low_is_missing = len(inputs) > 2 and inputs[1] is None and inputs[2] is not None
        return (Min(), (0, 2)) if low_is_missing else super().specialise(inputs)
