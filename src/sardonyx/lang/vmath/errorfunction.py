"""The error function, and Gelu, which is made of it.

|x| < 1: erf(x) = x + x P(x**2)
beyond:  erf(x) = 1 - exp(-P(x)) in float32, 1 - exp(-x**2) P((x - 2) / (x + 2)) in float64
"""

from __future__ import annotations

import math

from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import polynomial
from sardonyx.lang.vmath.exponential import exp, tanh

__all__ = ["erf", "gelu", "gelu_tanh"]


def erf(x: Value) -> Value:
    """The error function. Error: 1.5 ulp in float32, 2 ulp in float64."""
    b = x.b
    a = b.abs(x)
    small = b.fma(polynomial(x * x, "ERF"), a, a)
    if x.dtype.bits == 32:
        a = b.minimum(a, 4.0)
        beyond = 1.0 - exp(-polynomial(a, "ERFC_LOG"))
    else:
        a = b.minimum(a, 6.0)
        beyond = 1.0 - exp(-a * a) * polynomial((a - 2.0) / (a + 2.0), "ERFCX")
    return b.copysign(b.select(a < 1.0, small, beyond), x)


def gelu(x: Value) -> Value:
    """x / 2 * (1 + erf(x / sqrt(2)))."""
    return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1.0)


def gelu_tanh(x: Value) -> Value:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))."""
    inner = x.b.fma(x * x * 0.044715, x, x) * math.sqrt(2 / math.pi)
    return x * 0.5 * (tanh(inner) + 1.0)
