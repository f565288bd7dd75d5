"""Pointwise operations that the compiler itself puts into point programs."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.lang import Value

__all__ = ["Choose", "Convert", "NotNegative"]


@dataclass(frozen=True)
class Convert:
    """The value itself: the instruction's dtype does the conversion."""

    def compute(self, *values: Value) -> Value:
        return values[0]


@dataclass(frozen=True)
class NotNegative:
    """x >= 0."""

    def compute(self, *values: Value) -> Value:
        return values[0] >= 0


@dataclass(frozen=True)
class Choose:
    """The last but one operand where all ``conditions`` first operands hold, else the last."""

    conditions: int

    def compute(self, *values: Value) -> Value:
        *tests, inside, outside = values
        holds = tests[0]
        for test in tests[1:]:
            holds = holds & test
        return inside.b.select(holds, inside, outside)
