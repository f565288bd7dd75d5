"""Logarithms and what is made of them: log, log2, log1p, softplus, asinh, acosh, atanh.

log(x) = e log(2) + log(1 + f)      x = 2**e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)
float32: log(1 + f) = f - f**2 / 2 + f**3 P(f)
float64: log(1 + f) = f - (f**2 / 2 - s (f**2 / 2 + R(s**2)))      s = f / (2 + f)
"""

from __future__ import annotations

import math

from sardonyx import dtypes
from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import LN2_HIGH, LN2_LOW, like, polynomial
from sardonyx.lang.vmath.exponential import exp_negative

__all__ = ["acosh", "asinh", "atanh", "log", "log1p", "log2", "softplus", "split"]

_ROOT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}
"""The bits of sqrt(1/2)."""


def split(x: Value) -> tuple[Value, Value]:
    """e as a float, and m, of x = 2**e m with sqrt(1/2) <= m < sqrt(2); for positive, finite, normal numbers."""
    b, bits = x.b, x.dtype.bits
    digits, integer = (52, dtypes.int64) if bits == 64 else (23, dtypes.int32)
    raw = b.bitcast(x, integer)
    exponent = (raw - _ROOT_HALF[bits]) >> digits
    return exponent.to(x.dtype), b.bitcast(raw - (exponent << digits), x.dtype)


def _split_any(x: Value) -> tuple[Value, Value]:
    """``split``, for denormal numbers too."""
    b, bits = x.b, x.dtype.bits
    least, digits = (2.0**-1022, 52) if bits == 64 else (2.0**-126, 23)
    tiny = x < least
    exponent, m = split(b.select(tiny, x * 2.0**digits, x))
    return b.select(tiny, exponent - float(digits), exponent), m


def _log(f: Value, exponent: Value, correction: Value | None = None) -> Value:
    """exponent * log(2) + log(1 + f) + correction, where the correction is tiny."""
    b, bits = f.b, f.dtype.bits
    half_square = f * f * 0.5
    if bits == 32:
        cubic = polynomial(f, "LOG") * (f * f * f)
    else:
        s = f / (f + 2.0)
        z = s * s
        cubic = s * (half_square + z * polynomial(z, "LOG_RATIO"))
    low = b.fma(exponent, LN2_LOW[bits], cubic)
    if correction is not None:
        low = low + correction
    return b.fma(exponent, LN2_HIGH[bits], (low - half_square) + f)


def _outside(x: Value, value: Value) -> Value:
    """``value``, or what a logarithm is of what is not positive and finite."""
    b = x.b
    value = b.select(x < math.inf, value, x)
    return b.select(x > 0, value, b.select(x == 0, like(x, -math.inf), math.nan))


def log(x: Value) -> Value:
    """The natural logarithm. Error: 1 ulp in float32 and float64, denormals included."""
    exponent, m = _split_any(x)
    return _outside(x, _log(m - 1.0, exponent))


def log2(x: Value) -> Value:
    """The logarithm to base 2; exact for powers of two. Error: 2 ulp in float32 and float64."""
    exponent, m = _split_any(x)
    return _outside(x, x.b.fma(_log(m - 1.0, like(x, 0.0)), math.log2(math.e), exponent))


def log1p(x: Value) -> Value:
    """log(1 + x), exact in relative terms near 0. Error: 1.5 ulp in float32 and float64."""
    b = x.b
    u = x + 1.0
    # what 1 + x lost: beyond 2 it is (1 - (u - x)) that is exact
    lost = b.select(u < 2.0, x - (u - 1.0), 1.0 - (u - x))
    value = b.select(x == 0, x, _log_of_sum(u, lost))
    value = b.select(x < math.inf, value, x)
    return b.select(u > 0, value, b.select(u == 0, like(x, -math.inf), math.nan))


def _log_of_sum(u: Value, lost: Value) -> Value:
    """log(u + lost), where u is positive, finite and normal, and lost is what rounding took from it."""
    exponent, m = split(u)
    return _log(m - 1.0, exponent, lost / u)


def softplus(x: Value) -> Value:
    """log(1 + e**x), without overflow. Error: 2.5 ulp in float32, 2 ulp in float64."""
    b = x.b
    e = exp_negative(-b.abs(x))
    if x.dtype.bits == 32:
        return b.maximum(x, 0.0) + b.fma(polynomial(e, "LOG1P"), e * e, e)
    u = e + 1.0
    return b.maximum(x, 0.0) + _log_of_sum(u, e - (u - 1.0))


def asinh(x: Value) -> Value:
    """The inverse hyperbolic sine. Error: 4 ulp in float32 and float64."""
    b = x.b
    a = b.abs(x)
    large = a > _square_limit(x)
    inner = a + a * a / (b.sqrt(b.fma(a, a, like(x, 1.0))) + 1.0)
    value = log1p(b.select(large, a, inner)) + b.select(large, like(x, math.log(2)), 0.0)
    return b.copysign(value, x)


def acosh(x: Value) -> Value:
    """The inverse hyperbolic cosine; NaN below 1. Error: 4 ulp in float32 and float64."""
    b = x.b
    large = x > _square_limit(x)
    t = x - 1.0
    inner = t + b.sqrt(b.fma(t, t, t + t))
    value = log1p(b.select(large, x, inner)) + b.select(large, like(x, math.log(2)), 0.0)
    return b.select(x >= 1.0, value, math.nan)


def atanh(x: Value) -> Value:
    """The inverse hyperbolic tangent; infinite at 1, NaN beyond. Error: 4 ulp in float32 and float64."""
    b = x.b
    a = b.abs(x)
    return b.copysign(log1p((a + a) / (1.0 - a)) * 0.5, x)


def _square_limit(x: Value) -> float:
    """Beyond this, x + 1 is x; x**2 does not overflow yet."""
    return 2.0**60 if x.dtype.bits == 64 else 2.0**30
