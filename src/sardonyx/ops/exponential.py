"""Exponentials, logarithms, powers and the error function: Exp, Log, Pow, Erf."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import Value, vmath
from sardonyx.ops.base import Elementwise, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__: list[str] = []


@op("Exp")
class Exp(Elementwise):
    """e ** x."""

    cost = 14
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.exp(x)


@op("Log")
class Log(Elementwise):
    """The natural logarithm."""

    cost = 24
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.log(x)


@op("Erf")
class Erf(Elementwise):
    """The error function."""

    cost = 30
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.erf(x)


@op("Pow")
class Pow(Elementwise):
    """x ** y, of the type of x; y may be of another type.

    Integers wrap; of an integer x and a float y the power is computed in float64 and truncated.
    """

    cost = 60
    required = 2
    same_dtype = ()
    kinds = "fi"

    def compute(self, *values: Value) -> Value:
        x, y = values
        known = x.b.constant_of(y)
        if x.dtype.is_float:
            simple = None if known is None else _simple_power(x, float(known))
            return vmath.pow(x, y.to(x.dtype)) if simple is None else simple
        if y.dtype.is_integer:
            return x.b.integer_pow(x.to(dtypes.int64), y.to(dtypes.int64)).to(x.dtype)
        return vmath.pow(x.to(dtypes.float64), y.to(dtypes.float64)).to(x.dtype)

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        x, y = inputs
        return (x is None or computable(x, self.kinds)) and (y is None or computable(y, "fiu"))

    def symbolic(self, *values: Dim) -> Dim | None:
        x, y = values
        if not isinstance(y, int) or not 0 <= y <= 4:
            return None
        result: Dim = 1
        for _ in range(y):
            result = result * x
        return result


def _simple_power(x: Value, exponent: float) -> Value | None:
    """Powers that few multiplications or a root give; x ** 0.5 of -inf is inf and of -0 is 0."""
    b = x.b
    if exponent == 0.5:
        return b.select(x == -math.inf, math.inf, b.sqrt(x + 0.0))
    if exponent == 0.0:
        return b.const(1.0, x.type)
    products = {1.0: x, 2.0: x * x, 3.0: x * x * x, 4.0: (x * x) * (x * x)}
    if abs(exponent) not in products:
        return None
    product = products[abs(exponent)]
    return product if exponent > 0 else 1.0 / product
