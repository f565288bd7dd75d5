"""Vector mathematics: elementary functions of float32 and float64 values, of any number of lanes.

Each is straight arithmetic on the bits and digits of its operand, with no call and (but for huge arguments of sin, cos
and tan) no branch, so that it runs as wide as the target's vectors. All take the special values as C99 does: NaN,
infinities, both zeros, denormals. The bounds in the docstrings are in units in the last place of the result, and are
tested against higher precision. Half precision is computed in float32.
"""

from sardonyx.lang.vmath.errorfunction import erf, gelu, gelu_tanh
from sardonyx.lang.vmath.exponential import cosh, exp, exp2, expm1, sigmoid, sinh, tanh
from sardonyx.lang.vmath.inverse import acos, asin, atan
from sardonyx.lang.vmath.logarithm import acosh, asinh, atanh, log, log1p, log2, softplus
from sardonyx.lang.vmath.power import pow, rsqrt
from sardonyx.lang.vmath.trigonometric import cos, sin, tan

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "gelu",
    "gelu_tanh",
    "log",
    "log1p",
    "log2",
    "pow",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
]
