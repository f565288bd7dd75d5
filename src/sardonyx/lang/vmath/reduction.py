"""Reduction of huge arguments modulo pi/2, after Payne and Hanek (1983).

With x = m 2**e, only the bits of 2/pi whose product with x is neither a multiple of 4 nor negligible matter: 192 bits
from a place that e tells. Their product with the 53 bits of m, modulo 2**192, is q modulo 4 and 190 bits of fraction.
"""

from __future__ import annotations

from sardonyx import dtypes
from sardonyx.lang.value import Value
from sardonyx.lang.vmath.core import fast_two_sum, two_product

__all__ = ["reduce_large"]

_WORDS = 6
_PADDING = 64
"""Zero bits in the table before those of 2/pi."""

_HALF_PI = (1.57079632679489655800e00, 6.12323399573676603587e-17)
_LEAST_EXPONENT = -34
"""The exponent of the last bit of 2**19; smaller arguments are not reduced here."""


def _two_over_pi(words: int) -> tuple[int, ...]:
    """The fraction bits of 2/pi in words of 32, by Machin's formula in integers."""
    guard = 64
    bits = 32 * words + guard
    one = 1 << bits

    def inverse_tangent(n: int) -> int:
        term, total, k = one // n, 0, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= n * n
            k += 1
        return total

    pi = 4 * (4 * inverse_tangent(5) - inverse_tangent(239))
    fraction = ((2 * one * one) // pi) >> guard
    return tuple((fraction >> (32 * (words - 1 - k))) & 0xFFFFFFFF for k in range(words))


_TABLE = (0,) * (_PADDING // 32) + _two_over_pi(38)


def reduce_large(x: Value) -> tuple[Value, Value, Value]:
    """r and its low part (float64) and q (uint64) of x = q pi/2 + r + low, for finite float64 of at least 2**19.

    Other lanes get any numbers.
    """
    b = x.b
    raw = b.bitcast(b.abs(x), dtypes.uint64)
    exponent = b.maximum(b.minimum((raw >> 52).to(dtypes.int64) - 1075, 971), _LEAST_EXPONENT)
    digits = (raw & ((1 << 52) - 1)) | (1 << 52)
    limbs = _product(digits, _window(exponent))
    high, low = (limbs[5] << 32) | limbs[4], (limbs[3] << 32) | limbs[2]
    # the top two bits are q; the rest, read as a signed number, is the fraction in [-1/2, 1/2)
    fraction = ((high << 2) | (low >> 62)).to(dtypes.int64)
    quadrant = (high >> 62) + b.select(fraction < 0, b.const(1, high.type), 0)
    leading = (fraction & ~0x7FF).to(dtypes.float64) * 2.0**-64
    rest = (fraction & 0x7FF).to(dtypes.float64) * 2.0**-64 + (low << 2).to(dtypes.float64) * 2.0**-128
    leading, rest = fast_two_sum(leading, rest)
    r, error = two_product(leading, b.const(_HALF_PI[0], leading.type))
    r, error = fast_two_sum(r, error + (leading * _HALF_PI[1] + rest * _HALF_PI[0]))
    negative = x < 0
    quadrant = b.select(negative, b.zero(quadrant.type) - quadrant, quadrant)
    return b.select(negative, -r, r), b.select(negative, -error, error), quadrant


def _window(exponent: Value) -> list[Value]:
    """192 bits of 2/pi as words, the last first; the first bit's product with the argument counts 2**1."""
    b = exponent.b
    table = b.table(dtypes.uint32, _TABLE)
    start = (exponent + (_PADDING - 2)).to(dtypes.uint64)
    word, shift = (start >> 5).to(dtypes.int64), 32 - (start & 31)
    words = [table.gather(word + k).to(dtypes.uint64) for k in range(_WORDS + 1)]
    aligned = [(((words[k] << 32) | words[k + 1]) >> shift) & 0xFFFFFFFF for k in range(_WORDS)]
    return aligned[::-1]


def _product(digits: Value, words: list[Value]) -> list[Value]:
    """The low 192 bits of the product of a 53-bit number and the words, as words, the last first."""
    b = digits.b
    result = [b.zero(digits.type)] * len(words)
    for place, limb in enumerate((digits & 0xFFFFFFFF, digits >> 32)):
        carry = b.zero(digits.type)
        for k in range(len(words) - place):
            total = limb * words[k] + result[k + place] + carry
            result[k + place] = total & 0xFFFFFFFF
            carry = total >> 32
    return result
