"""Integer arithmetic that never traps: division, remainder, shifts, powers, saturation."""

from __future__ import annotations

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import BOOL
from sardonyx.lang.value import Operand, Value

__all__ = ["Integers"]


class Integers(BuilderBase):
    """What ONNX and numpy give for integers where the machine's instruction would trap or be undefined."""

    def safe_div(self, left: Operand, right: Operand) -> Value:
        """The quotient of integers rounded towards zero; x / 0 is 0 and the most negative number / -1 wraps."""
        b = self._self
        x, y = b.pair(left, right)
        exact = {8: dtypes.float32, 16: dtypes.float32, 32: dtypes.float64}.get(x.dtype.bits)
        if exact is not None:
            # a float with more than twice the bits holds the quotient closely enough for its integer part to be right
            quotient = b.convert(b.div(x.to(exact), y.to(exact)), dtypes.int64 if x.dtype.bits == 32 else dtypes.int32)
            return b.select(y == 0, b.zero(x.type), quotient.to(x.dtype))
        no_divisor, minus_one = y == 0, self._is_minus_one(y)
        unsafe = no_divisor if minus_one is None else no_divisor | minus_one
        quotient = b.div(x, b.select(unsafe, b.const(1, x.type), y))
        if minus_one is not None:
            quotient = b.select(minus_one, -x, quotient)
        return b.select(no_divisor, b.zero(x.type), quotient)

    def safe_rem(self, left: Operand, right: Operand) -> Value:
        """The remainder of integers, with the sign of the dividend; 0 for a division by zero."""
        b = self._self
        x, y = b.pair(left, right)
        return b.select(y == 0, b.zero(x.type), x - self.safe_div(x, y) * y)

    def _is_minus_one(self, value: Value) -> Value | None:
        return value == -1 if value.dtype.is_signed else None

    def overflowing(self, operation: str, left: Operand, right: Operand) -> tuple[Value, Value]:
        """The wrapped result of a scalar ``add``, ``sub`` or ``mul`` of signed integers, and whether it wrapped."""
        x, y = self._self.pair(left, right)
        both = getattr(self.ir, f"s{operation}_with_overflow")(x.ir, y.ir)
        result, flag = (self.ir.extract_value(both, k) for k in (0, 1))
        return self.value(result, x.type), self.value(flag, BOOL)

    def shift_left(self, value: Value, count: Operand) -> Value:
        """``value << count``; 0 where ``count`` is negative, or the width or more."""
        b = self._self
        x, n = b.pair(value, count)
        inside = self._as_unsigned(n) < x.dtype.bits
        return b.select(inside, x << (n & (x.dtype.bits - 1)), b.zero(x.type))

    def shift_right(self, value: Value, count: Operand) -> Value:
        """``value >> count``, with copies of the sign; nothing but these where ``count`` is negative, or the width or
        more."""
        b = self._self
        x, n = b.pair(value, count)
        inside = self._as_unsigned(n) < x.dtype.bits
        if x.dtype.is_signed:
            return x >> b.select(inside, n, b.const(x.dtype.bits - 1, n.type))
        return b.select(inside, x >> (n & (x.dtype.bits - 1)), b.zero(x.type))

    def _as_unsigned(self, value: Value) -> Value:
        return value.to(_unsigned(value.dtype))

    def integer_pow(self, base: Value, exponent: Value) -> Value:
        """``base ** exponent`` on integers of one type, wrapping; a negative exponent gives the truncated power
        (0, or 1 and -1 for a base of that absolute value)."""
        b = self._self
        x, n = b.pair(base, exponent)
        one, zero = b.const(1, x.type), b.zero(x.type)
        result = one
        if x.dtype.is_signed:
            odd = (n & 1) != 0
            unit = b.select((x == 1) | ((x == -1) & ~odd), one, b.select(x == -1, -one, zero))
            result = b.select(n < 0, unit, one)
            n = b.maximum(n, 0)
        answer, power, left = b.var(result), b.var(x), b.var(n)
        with b.while_(lambda: b.any(left.get() != 0)):
            factor = b.select((left.get() & 1) != 0, power.get(), one)
            answer.set(answer.get() * factor)
            power.set(power.get() * power.get())
            left.set((self._as_unsigned(left.get()) >> 1).to(x.dtype))
        return answer.get()

    def saturate(self, value: Value, dtype: DType) -> Value:
        """An integer, or a float rounded to an integer, clipped to the range of an integer type; NaN gives 0."""
        b = self._self
        low = -(1 << (dtype.bits - 1)) if dtype.kind == "i" else 0
        high = (1 << (dtype.bits - (dtype.kind == "i"))) - 1
        if value.dtype.is_float:
            if dtype.bits >= 32:
                return b.convert(value, dtype)
            bounded = b.minimum(b.maximum(value, float(low)), float(high))
            return b.truncated(b.select(b.is_nan(value), 0.0, bounded), dtype)
        own_low = -(1 << (value.dtype.bits - 1)) if value.dtype.kind == "i" else 0
        own_high = (1 << (value.dtype.bits - (value.dtype.kind == "i"))) - 1
        if own_low < low:
            value = b.maximum(value, low)
        if own_high > high:
            value = b.minimum(value, high)
        return value.to(dtype)


def _unsigned(dtype: DType) -> DType:
    return {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}[dtype.bits]
