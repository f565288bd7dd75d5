"""Inverse trigonometric functions: asin, acos, atan.

|x| <= 1/2: asin(x) = x + x**3 P(x**2)      beyond: asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2))
atan(x) = base + t + t**3 P(t**2)           t = x, (x - 1) / (x + 1) or -1 / x, so that |t| <= tan(pi/8)
"""

from __future__ import annotations

import math

from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import like, polynomial

__all__ = ["acos", "asin", "atan"]

_HALF_PI_LOW = {32: -4.37113900018624283e-8, 64: 6.123233995736766036e-17}
"""pi/2 less its nearest float."""


def _asin_of_part(x: Value) -> tuple[Value, Value]:
    """Whether |x| > 1/2, and asin of |x|, or there of sqrt((1 - |x|) / 2)."""
    b = x.b
    a = b.abs(x)
    large = a > 0.5
    z = b.select(large, (1.0 - a) * 0.5, a * a)
    s = b.select(large, b.sqrt(z), a)
    return large, b.fma(polynomial(z, "ASIN"), z * s, s)


def asin(x: Value) -> Value:
    """The inverse sine; NaN beyond 1. Error: 2.5 ulp in float32 and float64."""
    b = x.b
    large, part = _asin_of_part(x)
    beyond = math.pi / 2 - (part * 2.0 - _HALF_PI_LOW[x.dtype.bits])
    return b.copysign(b.select(large, beyond, part), x)


def acos(x: Value) -> Value:
    """The inverse cosine; NaN beyond 1. Error: 2 ulp in float32 and float64."""
    b = x.b
    low = _HALF_PI_LOW[x.dtype.bits]
    large, part = _asin_of_part(x)
    near_end = b.select(x < 0, math.pi - (part * 2.0 - 2 * low), part * 2.0)
    return b.select(large, near_end, math.pi / 2 - (b.copysign(part, x) - low))


def atan(x: Value) -> Value:
    """The inverse tangent. Error: 2 ulp in float32 and float64."""
    b, low = x.b, _HALF_PI_LOW[x.dtype.bits]
    a = b.abs(x)
    middle, large = a > math.sqrt(2) - 1, a > math.sqrt(2) + 1
    numerator = b.select(large, like(x, -1.0), b.select(middle, a - 1.0, a))
    denominator = b.select(large, a, b.select(middle, a + 1.0, 1.0))
    t = numerator / denominator
    z = t * t
    base = b.select(large, like(x, math.pi / 2), b.select(middle, like(x, math.pi / 4), 0.0))
    rest = b.select(large, like(x, low), b.select(middle, like(x, low / 2), 0.0))
    return b.copysign(base + (t + b.fma(polynomial(z, "ATAN"), z * t, rest)), x)
