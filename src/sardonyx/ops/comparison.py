"""Comparisons and tests: Equal, Less, Greater, LessOrEqual, GreaterOrEqual, IsNaN, IsInf."""

from __future__ import annotations

from typing import ClassVar

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import BOOL, Value
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.contents import symbolic_equal, symbolic_less
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__: list[str] = []


class Comparison(Elementwise):
    """Two operands of one type, compared; NaN compares false."""

    required = 2
    kinds = "fiu"
    operator: ClassVar[str]

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a.b.compare(self.operator, a, b)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        return (dtypes.bool_,)


@op("Equal")
class Equal(Comparison):
    """a == b."""

    kinds = "fiub"
    operator = "=="

    def carries(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype is dtypes.string

    def symbolic(self, *values: Dim) -> Dim | None:
        return symbolic_equal(*values)


@op("Less")
class Less(Comparison):
    """a < b."""

    operator = "<"

    def symbolic(self, *values: Dim) -> Dim | None:
        return symbolic_less(*values)


@op("Greater")
class Greater(Comparison):
    """a > b."""

    operator = ">"

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        return symbolic_less(b, a)


@op("LessOrEqual")
class LessOrEqual(Comparison):
    """a <= b."""

    operator = "<="

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        return None if (greater := symbolic_less(b, a)) is None else 1 - greater


@op("GreaterOrEqual")
class GreaterOrEqual(Comparison):
    """a >= b."""

    operator = ">="

    def symbolic(self, *values: Dim) -> Dim | None:
        return None if (less := symbolic_less(*values)) is None else 1 - less


@op("IsNaN")
class IsNaN(Elementwise):
    """Whether x is NaN."""

    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.is_nan(x)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        return (dtypes.bool_,)


@op("IsInf")
class IsInf(Elementwise):
    """Whether x is infinite, of a sign that is asked for."""

    kinds = "f"
    detect_negative: int = 1
    detect_positive: int = 1

    def compute(self, *values: Value) -> Value:
        (x,) = values
        infinity = float("inf")
        if self.detect_negative and self.detect_positive:
            return x.b.abs(x) == infinity
        if self.detect_positive:
            return x == infinity
        if self.detect_negative:
            return x == -infinity
        return x.b.const(False, BOOL.with_lanes(x.lanes))

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        return (dtypes.bool_,)
