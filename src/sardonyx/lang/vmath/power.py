"""Powers: pow, rsqrt.

|x|**y = 2**(y log2 |x|)      float32: in float64; float64: log2 to some 66 bits, as the sum of two numbers
log2(m) = 2 / log(2) * (s + s**3 / 3 + ...)      s = (m - 1) / (m + 1)
"""

from __future__ import annotations

import math

from sardonyx import dtypes
from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import (
    clamp,
    fast_two_sum,
    like,
    polynomial,
    power_of_two,
    round_to_integer,
    scale,
    two_product,
)
from sardonyx.lang.vmath.logarithm import split

__all__ = ["pow", "rsqrt"]

_TWO_OVER_LN2 = (2.8853900817779268, 4.0710547481862066e-17)
_THIRD = (1 / 3, 1.850371707708594e-17)
_LARGEST_POWER = {32: 200.0, 64: 1100.0}
"""2 to this power is infinite, and to its negative 0."""


def rsqrt(x: Value) -> Value:
    """1 / sqrt(x). Error: 1.5 ulp in float32 and float64."""
    return 1.0 / x.b.sqrt(x)


def pow(x: Value, y: Value) -> Value:
    """x**y with the special cases of C99. Error: 1.5 ulp in float32 and float64, 1 with fma."""
    b, infinity = x.b, math.inf
    magnitude = _power_single(b.abs(x), y) if x.dtype.bits == 32 else _power_double(b.abs(x), y)
    whole = b.trunc(y) == y
    half = y * 0.5
    odd = whole & (b.trunc(half) != half)
    negative = b.bitcast(x, dtypes.int64 if x.dtype.bits == 64 else dtypes.int32) < 0
    value = b.select(odd & negative, -magnitude, magnitude)
    value = b.select((x < 0) & (x > -infinity) & ~whole, math.nan, value)
    return b.select((y == 0) | (x == 1), 1.0, value)


def _zero_or_infinite(x: Value, logarithm: Value) -> Value:
    """log2 of x where it is 0 or infinite, or NaN."""
    b = x.b
    logarithm = b.select(x < math.inf, logarithm, x)
    return b.select(x == 0, -math.inf, logarithm)


def _power_single(x: Value, y: Value) -> Value:
    b = x.b
    wide, y = x.to(dtypes.float64), clamp(y.to(dtypes.float64), -(2.0**80), 2.0**80)
    exponent, m = split(wide)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    logarithm = b.fma(b.fma(polynomial(z, "POW_LOG"), z * s, s), _TWO_OVER_LN2[0], exponent)
    product = clamp(y * _zero_or_infinite(wide, logarithm), -_LARGEST_POWER[32], _LARGEST_POWER[32])
    power, shift = round_to_integer(product, 1.0)
    r = product - power
    return (b.fma(polynomial(r, "POW_EXP2"), r, like(r, 1.0)) * power_of_two(shift)).to(dtypes.float32)


def _power_double(x: Value, y: Value) -> Value:
    b = x.b
    y = clamp(y, -(2.0**80), 2.0**80)
    tiny = x < 2.0**-1022
    exponent, m = split(b.select(tiny, x * 2.0**52, x))
    high, low = _log2_pair(m)
    high, rest = fast_two_sum(b.select(tiny, exponent - 52.0, exponent), high)
    high, low = fast_two_sum(high, low + rest)
    product, error = two_product(y, high)
    error = b.fma(y, low, error)
    ordinary = b.abs(product) < _LARGEST_POWER[64]
    outside = clamp(y * _zero_or_infinite(x, high), -_LARGEST_POWER[64], _LARGEST_POWER[64])
    special = (x == 0) | ~(x < math.inf) | ~ordinary
    product, error = b.select(special, outside, product), b.select(special, like(x, 0.0), error)
    power, shift = round_to_integer(product, 1.0)
    r = (product - power) + error
    return scale(b.fma(polynomial(r, "EXP2"), r, like(r, 1.0)), power, shift)


def _log2_pair(m: Value) -> tuple[Value, Value]:
    """log2 of m near 1 as the sum of two numbers."""
    b = m.b
    f = m - 1.0
    divisor, divisor_low = fast_two_sum(like(m, 2.0), f)
    s = f / divisor
    product, lost = two_product(s, divisor)
    s_low = (((f - product) - lost) - s * divisor_low) / divisor
    square, square_low = two_product(s, s)
    square_low = b.fma(s * 2.0, s_low, square_low)
    # z / 3 + z**2 P(z): the first term to double precision twice, the rest is small beside it
    third, third_low = two_product(square, like(m, _THIRD[0]))
    third_low = b.fma(square, _THIRD[1], b.fma(square_low, _THIRD[0], third_low))
    term, error = fast_two_sum(third, square * square * polynomial(square, "LOG_RATIO_5"))
    term_low = error + third_low
    product, product_low = two_product(s, term)
    product_low = product_low + b.fma(s, term_low, s_low * term)
    total, lost = fast_two_sum(s, product)
    total_low = lost + (product_low + s_low)
    high, high_low = two_product(total, like(m, _TWO_OVER_LN2[0]))
    high_low = high_low + b.fma(total, _TWO_OVER_LN2[1], total_low * _TWO_OVER_LN2[0])
    return fast_two_sum(high, high_low)
