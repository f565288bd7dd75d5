"""What the functions share: polynomials, exact sums and products, scaling by powers of two."""

from __future__ import annotations

from sardonyx import dtypes
from sardonyx.lang.types import Type
from sardonyx.lang.value import Value
from sardonyx.lang.vmath.coefficients import FLOAT32, FLOAT64

__all__ = [
    "LN2_HIGH",
    "LN2_LOW",
    "clamp",
    "fast_two_sum",
    "like",
    "polynomial",
    "power_of_two",
    "round_to_integer",
    "scale",
    "two_product",
    "two_sum",
]

LN2_HIGH = {32: 0.693145751953125, 64: 6.93147180369123816490e-01}
"""The leading bits of log(2); few enough that the product with any exponent is exact."""

LN2_LOW = {32: 1.42860682030941723212e-06, 64: 1.90821492927058770002e-10}

_MAGIC = {32: 1.5 * 2.0**23, 64: 1.5 * 2.0**52}
_DIGITS = {32: 23, 64: 52}
_BIAS = {32: 127, 64: 1023}


def like(x: Value, number: float) -> Value:
    """A constant of the type of ``x``."""
    return x.b.const(number, x.type)


def polynomial(x: Value, name: str) -> Value:
    """The polynomial of that name at ``x``, by Horner's rule."""
    coefficients = (FLOAT64 if x.dtype.bits == 64 else FLOAT32)[name]
    result = like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = x.b.fma(result, x, like(x, c))
    return result


def clamp(x: Value, low: float, high: float) -> Value:
    """``x`` held in [low, high]; NaN stays."""
    return x.b.minimum(x.b.maximum(x, low), high)


def round_to_integer(x: Value, factor: float) -> tuple[Value, Value]:
    """The integer nearest to ``x * factor`` (below 2**22) as a float, and as an unsigned integer of the same size,
    modulo its range."""
    b, bits = x.b, x.dtype.bits
    magic = _MAGIC[bits]
    shifted = b.fma(x, factor, like(x, magic))
    unsigned = dtypes.uint64 if bits == 64 else dtypes.uint32
    return shifted - magic, b.bitcast(shifted, unsigned) - b.bitcast(like(x, magic), unsigned)


def power_of_two(exponent: Value) -> Value:
    """2**exponent as a float, for an exponent (unsigned integer, modulo its range) that gives a normal number."""
    bits = exponent.dtype.bits
    return exponent.b.bitcast(
        (exponent + _BIAS[bits]) << _DIGITS[bits], dtypes.float64 if bits == 64 else dtypes.float32
    )


def scale(x: Value, power: Value, exponent: Value) -> Value:
    """``x * 2**power`` rounded once, for results that may overflow or be denormal.

    ``power`` is the exponent as a float and ``exponent`` as an unsigned integer; x lies in about [1/4, 4].
    """
    b, bits = x.b, x.dtype.bits
    width = x.lanes * bits
    if width in (128, 256, 512) and b.target.has("avx512f") and (width == 512 or b.target.has("avx512vl")):
        return _scalef(x, power, width)
    biased = exponent + 2 * _BIAS[bits]
    first = biased >> 1
    for part in (first, biased - first):
        x = x * b.bitcast(part << _DIGITS[bits], x.dtype)
    return x


def _scalef(x: Value, power: Value, width: int) -> Value:
    b = x.b
    mask = b.const(-1, Type(dtypes.int16 if x.lanes == 16 else dtypes.int8))
    arguments = [x.ir, power.ir, x.ir, mask.ir]
    if width == 512:
        arguments.append(b.const(4, Type(dtypes.int32)).ir)  # the current rounding mode
    name = f"llvm.x86.avx512.mask.scalef.{'pd' if x.dtype.bits == 64 else 'ps'}.{width}"
    return b.value(b.intrinsic(name, x.type.llvm, arguments), x.type)


def two_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """x + y rounded, and exactly what that lost."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def fast_two_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """``two_sum`` where |x| >= |y| or x is 0."""
    total = x + y
    return total, y - (total - x)


def two_product(x: Value, y: Value) -> tuple[Value, Value]:
    """x * y rounded, and exactly what that lost; by Dekker's splitting where there is no fma (|x|, |y| < 2**990)."""
    b, product = x.b, x * y
    if b.target.has_fma:
        return product, b.fma(x, y, -product)
    (x1, x2), (y1, y2) = _halves(x), _halves(y)
    return product, x2 * y2 - (((product - x1 * y1) - x2 * y1) - x1 * y2)


def _halves(x: Value) -> tuple[Value, Value]:
    scaled = x * (2.0**27 + 1 if x.dtype.bits == 64 else 2.0**12 + 1)
    high = scaled - (scaled - x)
    return high, x - high
