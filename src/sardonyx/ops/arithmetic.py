"""Arithmetic: Add, Sub, Mul, Div, Mod, Neg, Abs, Sign, Reciprocal, Sqrt."""

from __future__ import annotations

from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, known_nonnegative, known_positive, maximum

__all__: list[str] = []


@op("Add")
class Add(Elementwise):
    """a + b; integers wrap."""

    required = 2
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a + b

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        return a + b


@op("Sub")
class Sub(Elementwise):
    """a - b; integers wrap."""

    required = 2
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a - b

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        return a - b


@op("Mul")
class Mul(Elementwise):
    """a * b; integers wrap."""

    required = 2
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a * b

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        return a * b


@op("Div")
class Div(Elementwise):
    """a / b; integers truncate, and give 0 where the divisor is 0."""

    cost = 4
    required = 2
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a / b if a.dtype.is_float else a.b.safe_div(a, b)

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        if isinstance(a, int) and isinstance(b, int):
            return _truncated(a, b)
        return a // b if known_nonnegative(a) and known_positive(b) else None


@op("Mod")
class Mod(Elementwise):
    """Remainder with the sign of the divisor, or with that of the dividend where ``fmod`` is 1."""

    cost = 8
    required = 2
    kinds = "fiu"
    fmod: int = 0

    def compute(self, *values: Value) -> Value:
        a, b = values
        if a.dtype.is_float:
            return a.b.fmod(a, b) if self.fmod else a.b.floor_mod(a, b)
        return a.b.safe_rem(a, b) if self.fmod else a.b.floor_mod(a, b)

    def symbolic(self, *values: Dim) -> Dim | None:
        a, b = values
        if isinstance(a, int) and isinstance(b, int) and b != 0:
            return a - _truncated(a, b) * b if self.fmod else a % b
        return a % b if known_nonnegative(a) and known_positive(b) else None


def _truncated(a: int, b: int) -> int:
    """The quotient rounded towards zero; 0 for a division by zero."""
    if b == 0:
        return 0
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@op("Neg")
class Neg(Elementwise):
    """-x."""

    kinds = "fi"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return -x

    def symbolic(self, *values: Dim) -> Dim | None:
        (x,) = values
        return -x


@op("Abs")
class Abs(Elementwise):
    """The absolute value; the most negative integer stays as it is."""

    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.abs(x)

    def symbolic(self, *values: Dim) -> Dim | None:
        (x,) = values
        return x if known_nonnegative(x) else maximum(x, -x)


@op("Sign")
class Sign(Elementwise):
    """-1, 0 or 1; NaN stays NaN."""

    cost = 3
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        b = x.b
        one = b.select(x > 0, b.const(1, x.type), 0)
        if x.dtype.kind == "u":
            return one
        sign = b.select(x < 0, b.const(-1, x.type), one)
        return b.select(b.is_nan(x), x, sign) if x.dtype.is_float else sign

    def symbolic(self, *values: Dim) -> Dim | None:
        (x,) = values
        if isinstance(x, int):
            return (x > 0) - (x < 0)
        return 1 if known_positive(x) else None


@op("Reciprocal")
class Reciprocal(Elementwise):
    """1 / x."""

    cost = 4
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return 1 / x


@op("Sqrt")
class Sqrt(Elementwise):
    """The square root, correctly rounded; NaN below zero."""

    cost = 4
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.sqrt(x)
