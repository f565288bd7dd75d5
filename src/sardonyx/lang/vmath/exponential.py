"""Exponentials and what is made of them: exp, exp2, expm1, sigmoid, tanh, sinh, cosh.

exp(x) = 2**k * e**r      k = round(x / log 2), |r| <= log(2) / 2, e**r by a polynomial of degree 6 (float64: 11)
"""

from __future__ import annotations

import math

from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import (
    LN2_HIGH,
    LN2_LOW,
    clamp,
    like,
    polynomial,
    power_of_two,
    round_to_integer,
    scale,
)

__all__ = ["cosh", "exp", "exp2", "exp2_within", "exp_negative", "expm1", "sigmoid", "sinh", "tanh"]

_RANGE = {32: (-104.0, 89.0), 64: (-746.0, 710.0)}
"""Outside, exp is 0 or infinite."""

_EXPM1_RANGE = {32: (-30.0, 89.0), 64: (-60.0, 710.0)}
"""Outside, expm1 is -1 or infinite."""


def _reduced(x: Value) -> tuple[Value, Value, Value]:
    """k as a float and as an unsigned integer, and x - k log(2) but for the last bits of log(2)."""
    power, exponent = round_to_integer(x, math.log2(math.e))
    return power, exponent, x.b.fma(power, -LN2_HIGH[x.dtype.bits], x)


def _exp(x: Value, shift: int = 0) -> Value:
    """e**x * 2**shift for |shift| <= 2 and x in (or clamped by the caller to) the range of exp."""
    b = x.b
    power, exponent, r = _reduced(x)
    r = b.fma(power, -LN2_LOW[x.dtype.bits], r)
    value = b.fma(b.fma(polynomial(r, "EXP"), r, like(r, 1.0)), r, like(r, 1.0))
    if shift:
        power, exponent = power + float(shift), exponent + shift % 2**x.dtype.bits
    return scale(value, power, exponent)


def exp(x: Value) -> Value:
    """e**x. Error: 1.5 ulp in float32 and float64, 1 with fma; denormal results included."""
    return _exp(clamp(x, *_RANGE[x.dtype.bits]))


def exp_negative(x: Value) -> Value:
    """e**x for x <= 0."""
    return _exp(x.b.maximum(x, _RANGE[x.dtype.bits][0]))


def exp2(x: Value) -> Value:
    """2**x. Error: 1.5 ulp in float32 and float64, 1 with fma."""
    return exp2_within(clamp(x, *((-151.0, 129.0) if x.dtype.bits == 32 else (-1077.0, 1025.0))))


def exp2_within(x: Value) -> Value:
    """2**x where that is neither far too large nor far too small for a float."""
    power, exponent = round_to_integer(x, 1.0)
    r = x - power
    return scale(x.b.fma(polynomial(r, "EXP2"), r, like(r, 1.0)), power, exponent)


def expm1(x: Value) -> Value:
    """e**x - 1, exact in relative terms near 0. Error: 1.5 ulp in float32, 2 ulp in float64."""
    b = x.b
    power, exponent, most = _reduced(clamp(x, *_EXPM1_RANGE[x.dtype.bits]))
    rest = power * -LN2_LOW[x.dtype.bits]
    r = most + rest
    series = r + b.fma(polynomial(r, "EXPM1"), r * r, (most - r) + rest)
    half = power_of_two(exponent - 1)  # half of 2**k, which does not overflow where the result does not
    return b.copysign(b.fma(half, series, half - 0.5) * 2.0, x)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e**-x), without overflow. Error: 2 ulp in float32 and float64."""
    b = x.b
    e = exp_negative(-b.abs(x))
    divisor = e + 1.0
    quotient = b.select(x < 0, e, 1.0) / divisor
    lost = e - (divisor - 1.0)  # by rounding the divisor, which is near 1 where it matters
    return b.fma(-quotient, lost, quotient)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent. Error: 2 ulp in float32, 3 ulp in float64."""
    b = x.b
    a = b.abs(x)
    doubled = b.minimum(a * 2.0, 40.0)
    if x.dtype.bits == 64:
        t = expm1(doubled)
        return b.copysign(t / (t + 2.0), x)
    z = x * x
    small = b.fma(polynomial(z, "TANH"), z * a, a)
    beyond = 1.0 - 2.0 / (_exp(doubled) + 1.0)
    return b.copysign(b.select(a < 0.65, small, beyond), x)


def sinh(x: Value) -> Value:
    """The hyperbolic sine. Error: 2 ulp in float32 and float64."""
    b = x.b
    magnitude = b.abs(x)
    half = _exp(b.minimum(magnitude, _RANGE[x.dtype.bits][1] + 1.0), shift=-1)
    z = x * x
    small = b.fma(polynomial(z, "SINH"), z * magnitude, magnitude)
    return b.copysign(b.select(magnitude < 1.0, small, half - 0.25 / half), x)


def cosh(x: Value) -> Value:
    """The hyperbolic cosine. Error: 2 ulp in float32 and float64."""
    b = x.b
    half = _exp(b.minimum(b.abs(x), _RANGE[x.dtype.bits][1] + 1.0), shift=-1)
    return half + 0.25 / half
