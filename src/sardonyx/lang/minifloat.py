"""Floating point types of eight bits and less: widening to float32 and rounding from it.

A number of ``exponent`` and ``mantissa`` bits under a sign is its digits times a power of two that depends on the
exponent field, as in the larger types; what the types do at the top of their range is said by ``Format``. The tables
are those of ONNX's Cast; the encodings are those of the OCP 8-bit and microscaling formats, and of ``ml_dtypes``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import Type
from sardonyx.lang.value import Value

__all__ = ["Minifloats"]

_DIGITS = 23
_BIAS = 127


@dataclass(frozen=True)
class Format:
    """How a type keeps its numbers.

    ``largest`` is the code of the greatest finite number, ``infinity`` that of what lies beyond (an infinity, or NaN
    where there is none; the greatest number itself where there is neither), ``nan`` that of NaN without its sign.
    Without ``signed_zero`` the code of -0 is NaN's, the only one.
    """

    exponent: int
    mantissa: int
    bias: int
    largest: int
    infinity: int
    nan: int
    signed_zero: bool = True

    @property
    def sign(self) -> int:
        """The place of the sign bit."""
        return self.exponent + self.mantissa


_FORMATS = {
    "float8_e4m3fn": Format(4, 3, 7, 0x7E, 0x7F, 0x7F),
    "float8_e4m3fnuz": Format(4, 3, 8, 0x7F, 0x80, 0x80, signed_zero=False),
    "float8_e5m2": Format(5, 2, 15, 0x7B, 0x7C, 0x7E),
    "float8_e5m2fnuz": Format(5, 2, 16, 0x7F, 0x80, 0x80, signed_zero=False),
    "float6_e2m3fn": Format(2, 3, 1, 0x1F, 0x1F, 0),
    "float6_e3m2fn": Format(3, 2, 3, 0x1F, 0x1F, 0),
    "float4_e2m1fn": Format(2, 1, 1, 0x7, 0x7, 0),
}


class Minifloats(BuilderBase):
    """Conversion between float32 and the small types, whose values are held as their codes."""

    def widen(self, value: Value) -> Value:
        """A small float as float32, exactly."""
        b = self._self
        words = Type(dtypes.uint32, value.lanes)
        code = self.value(self.ir.zext(value.ir, words.llvm), words)
        if value.dtype is dtypes.float8_e8m0fnu:
            bits = b.select(code == 0, 1 << (_DIGITS - 1), code << _DIGITS)  # 2^-127 is a denormal
            return b.bitcast(b.select(code == 0xFF, 0x7FC00000, bits), dtypes.float32)
        form = _FORMATS[value.dtype.name]
        shift = _DIGITS - form.mantissa
        magnitude = (code & ((1 << form.sign) - 1)) << shift
        sign = (code & (1 << form.sign)) << (31 - form.sign)
        normal = magnitude + ((_BIAS - form.bias) << _DIGITS)
        # a denormal is its digits put below the smallest normal number, minus that number
        least = _BIAS + 1 - form.bias
        tiny = b.bitcast(b.bitcast(magnitude + (least << _DIGITS), dtypes.float32) - 2.0 ** (least - _BIAS), code.dtype)
        bits = b.select(magnitude < (1 << _DIGITS), tiny, normal) | sign
        if not form.signed_zero:
            bits = b.select(code == form.nan, 0x7FC00000, bits)
        elif form.infinity != form.largest:
            if form.infinity != form.nan:
                top = form.infinity << shift
                bits = b.select(magnitude >= top, (magnitude - top) | 0x7F800000 | sign, bits)
            else:
                bits = b.select(magnitude == (form.nan << shift), sign | 0x7FC00000, bits)
        return b.bitcast(bits, dtypes.float32)

    def narrow(self, value: Value, dtype: DType, *, saturate: bool = False, round_mode: str = "nearest") -> Value:
        """A float32 rounded to nearest even in a small type.

        Beyond the greatest number lies infinity or NaN, or under ``saturate`` nothing but that number. ``round_mode``
        (nearest, up, down) is for float8_e8m0fnu, which has powers of two only.
        """
        b = self._self
        bits = b.bitcast(value, dtypes.uint32)
        magnitude = bits & 0x7FFFFFFF
        if dtype is dtypes.float8_e8m0fnu:
            chosen = self._power_of_two(value, magnitude, saturate, round_mode)
        else:
            chosen = self._rounded(value, bits, magnitude, _FORMATS[dtype.name], saturate)
        type_ = Type(dtype, value.lanes)
        return self.value(self.ir.trunc(chosen.ir, type_.llvm), type_)

    def _rounded(self, value: Value, bits: Value, magnitude: Value, form: Format, saturate: bool) -> Value:
        b = self._self
        shift = _DIGITS - form.mantissa
        half = (1 << (shift - 1)) - 1
        normal = (magnitude + (((magnitude >> shift) & 1) + (half - ((_BIAS - form.bias) << _DIGITS)) % 2**32)) >> shift
        # in the sum the last digit of a float is worth as much as that of a denormal here: the addition rounds
        top = 2.0 ** (_DIGITS + 1 - form.bias - form.mantissa)
        exponent = _BIAS + _DIGITS + 1 - form.bias - form.mantissa
        tiny = b.bitcast(b.bitcast(magnitude, dtypes.float32) + top, dtypes.uint32) - (exponent << _DIGITS)
        code = b.select(magnitude < ((_BIAS + 1 - form.bias) << _DIGITS), tiny, normal)
        code = b.select(code > form.largest, form.largest if saturate else form.infinity, code)
        sign = (bits >> 31) << form.sign
        if not form.signed_zero:
            signed = b.select(code == 0, code, code | sign)
            return b.select(b.is_nan(value), form.nan, signed)
        if form.nan == 0:  # ml_dtypes gives a zero of the opposite sign
            return b.select(b.is_nan(value), sign ^ (1 << form.sign), code | sign)
        return b.select(b.is_nan(value), form.nan, code) | sign

    def _power_of_two(self, value: Value, magnitude: Value, saturate: bool, round_mode: str) -> Value:
        """The exponent of the power of two; the sign is ignored."""
        b = self._self
        exponent, digits = magnitude >> _DIGITS, magnitude & ((1 << _DIGITS) - 1)
        least = 1 << (_DIGITS - 1)  # 2^-127 in a denormal
        # the smallest powers are a factor of two apart as all are, but float32 writes the lower one as a denormal
        digits = b.select(exponent == 0, b.select(digits > least, (digits - least) << 1, 0), digits)
        if round_mode == "up":
            code = b.select(digits > 0, exponent + 1, exponent)
        elif round_mode == "nearest":
            code = b.select(digits >= least, exponent + 1, exponent)
        else:
            code = exponent
        if saturate:
            code = b.minimum(code, b.const(0xFE, code.type))
        else:
            code = b.select(magnitude < least, 0xFF, code)
        return b.select(b.is_nan(value), 0xFF, code)
