"""The error function, and Gelu, which is made of it.

|x| < 1: erf(x) = x + x P(x**2)
beyond:  erf(x) = 1 - exp(-P(x)) in float32, 1 - exp(-x**2) P((x - 2) / (x + 2)) in float64
"""

from __future__ import annotations

import math

from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import polynomial
from sardonyx.lang.vmath.exponential import exp, exp2_within, sigmoid

__all__ = ["erf", "gelu", "gelu_tanh"]


def erf(x: Value) -> Value:
    """The error function. Error: 1.5 ulp in float32, 2 ulp in float64."""
    b = x.b
    a = b.abs(x)
    small = b.fma(polynomial(x * x, "ERF"), a, a)
    if x.dtype.bits == 32:
        a = b.minimum(a, 4.0)
        beyond = 1.0 - exp2_within(polynomial(a, "ERFC_LOG2"))
    else:
        a = b.minimum(a, 6.0)
        beyond = 1.0 - exp(-a * a) * polynomial((a - 2.0) / (a + 2.0), "ERFCX")
    return b.copysign(b.select(a < 1.0, small, beyond), x)


def gelu(x: Value) -> Value:
    """x / 2 * (1 + erf(x / sqrt(2))), as max(x, 0) - |x| * phi(-|x|) with the normal distribution function phi.

    The error is absolute: about that of one rounding of the sum 1 + erf.
    """
    b = x.b
    if x.dtype.bits == 64:
        return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1.0)
    a = b.minimum(b.abs(x), 14.5)  # beyond, the product is 0
    return b.fma(-a, exp2_within(polynomial(a, "GELU")), b.maximum(x, 0.0))


def gelu_tanh(x: Value) -> Value:
    """x / 2 * (1 + tanh(y)) with y = sqrt(2 / pi) * (x + 0.044715 x**3), which is x * sigmoid(2 y)."""
    inner = x.b.fma(x * x * 0.044715, x, x) * (2 * math.sqrt(2 / math.pi))
    return x * sigmoid(inner)
