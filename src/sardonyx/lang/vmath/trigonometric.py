"""sin, cos and tan.

    x = q pi/2 + r, |r| <= pi/4      sin and cos of r by polynomials; q modulo 4 says which, and with which sign

float32 is reduced in float64. Arguments too large for subtracting parts of q pi/2 take the branch of ``reduction``.
"""

from __future__ import annotations

import math

from sardonyx import dtypes
from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import fast_two_sum, like, polynomial, round_to_integer, two_sum
from sardonyx.lang.vmath.reduction import reduce_large

__all__ = ["cos", "sin", "tan"]

_SINGLE = (1.570796325802803, 9.920935774287987e-10, 2.2517417741562176e-18)
"""pi/2 in parts of 29, 29 and 53 bits, for a 24-bit multiple; the first two products are exact."""

_DOUBLE = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
"""pi/2 in parts of 33, 33, 33 and 53 bits, for a 20-bit multiple; the first three products are exact."""

_LIMIT = {32: 2.0**22, 64: 2.0**20}


def _reduce_single(x: Value) -> tuple[Value, Value]:
    wide = x.to(dtypes.float64)
    multiple, quadrant = round_to_integer(wide, 2 / math.pi)
    for part in _SINGLE:
        wide = wide.b.fma(multiple, -part, wide)
    return wide, quadrant


def _reduce_double(x: Value) -> tuple[Value, Value, Value]:
    multiple, quadrant = round_to_integer(x, 2 / math.pi)
    first, second, third, fourth = _DOUBLE
    r, low = two_sum(x - multiple * first, multiple * -second)
    r, lower = two_sum(r, multiple * -third)
    r, low = fast_two_sum(r, low + (lower - multiple * fourth))
    return r, low, quadrant


def _reduced(x: Value) -> tuple[Value, Value | None, Value]:
    """r, what r lost (None: less than matters), and q as an unsigned integer of the size of x."""
    b, bits = x.b, x.dtype.bits
    magnitude = b.abs(x)
    large = (magnitude > _LIMIT[bits]) & (magnitude < math.inf)
    if bits == 32:
        r, quadrant = _reduce_single(x)
        low = like(r, 0.0)
    else:
        r, low, quadrant = _reduce_double(x)
    results = [b.var(v) for v in (r, low, quadrant)]
    with b.if_(b.any(large), likely=False):
        for variable, value in zip(results, reduce_large(x.to(dtypes.float64)), strict=True):
            variable.set(b.select(large, value, variable.get()))
    r, low, quadrant = (v.get() for v in results)
    if bits == 32:
        return r.to(dtypes.float32), None, quadrant.to(dtypes.uint32)
    return r, low, quadrant


def _sin(r: Value, low: Value | None) -> Value:
    """sin of r + low for |r| <= pi/4."""
    b, z = r.b, r * r
    series = polynomial(z, "SIN") * (z * r)
    return r + (series if low is None else b.fma(b.fma(z, -0.5, like(z, 1.0)), low, series))


def _cos(r: Value, low: Value | None) -> Value:
    """cos of r + low for |r| <= pi/4."""
    b, z = r.b, r * r
    half = z * 0.5
    high = 1.0 - half
    series = b.fma(polynomial(z, "COS") * z, z, (1.0 - high) - half)
    return high + (series if low is None else series - r * low)


def _rotated(x: Value, turns: int) -> Value:
    """sin(x + turns * pi/2), but for the sign of a zero."""
    b = x.b
    r, low, quadrant = _reduced(x)
    if turns:
        quadrant = quadrant + turns
    value = b.select((quadrant & 1) != 0, _cos(r, low), _sin(r, low))
    return b.select((quadrant & 2) != 0, -value, value)


def sin(x: Value) -> Value:
    """The sine, for every finite x; NaN for infinities. Error: 2 ulp in float32, 1 ulp in float64."""
    return x.b.select(x == 0, x, _rotated(x, 0))


def cos(x: Value) -> Value:
    """The cosine, for every finite x; NaN for infinities. Error: 2 ulp in float32, 1 ulp in float64."""
    return _rotated(x, 1)


def tan(x: Value) -> Value:
    """The tangent, for every finite x; NaN for infinities. Error: 3 ulp in float32 and float64."""
    b = x.b
    r, low, quadrant = _reduced(x)
    sine, cosine = _sin(r, low), _cos(r, low)
    odd = (quadrant & 1) != 0
    return b.select(x == 0, x, b.select(odd, -cosine, sine) / b.select(odd, sine, cosine))
