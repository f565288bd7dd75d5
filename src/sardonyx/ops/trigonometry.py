"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from sardonyx.lang import Value, vmath
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("Sin")
class Sin(Elementwise):
    """The sine."""

    cost = 40
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.sin(x)


@op("Cos")
class Cos(Elementwise):
    """The cosine."""

    cost = 40
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.cos(x)


@op("Tan")
class Tan(Elementwise):
    """The tangent."""

    cost = 50
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.tan(x)


@op("Asin")
class Asin(Elementwise):
    """The inverse sine."""

    cost = 20
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.asin(x)


@op("Acos")
class Acos(Elementwise):
    """The inverse cosine."""

    cost = 20
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.acos(x)


@op("Atan")
class Atan(Elementwise):
    """The inverse tangent."""

    cost = 24
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.atan(x)


@op("Sinh")
class Sinh(Elementwise):
    """The hyperbolic sine."""

    cost = 26
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.sinh(x)


@op("Cosh")
class Cosh(Elementwise):
    """The hyperbolic cosine."""

    cost = 18
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.cosh(x)


@op("Asinh")
class Asinh(Elementwise):
    """The inverse hyperbolic sine."""

    cost = 40
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.asinh(x)


@op("Acosh")
class Acosh(Elementwise):
    """The inverse hyperbolic cosine."""

    cost = 40
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.acosh(x)


@op("Atanh")
class Atanh(Elementwise):
    """The inverse hyperbolic tangent."""

    cost = 36
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.atanh(x)
