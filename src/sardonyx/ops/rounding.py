"""Rounding to integers: Floor, Ceil, Round."""

from __future__ import annotations

from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("Floor")
class Floor(Elementwise):
    """The largest integer that is not greater."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.floor(x)


@op("Ceil")
class Ceil(Elementwise):
    """The smallest integer that is not less."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.ceil(x)


@op("Round")
class Round(Elementwise):
    """The nearest integer, halves to even."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.round_even(x)
