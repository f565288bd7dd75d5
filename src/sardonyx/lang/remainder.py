"""Remainders of floats and integers, exact and without a library call."""

from __future__ import annotations

from sardonyx import dtypes
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.value import Operand, Value

__all__ = ["Remainders"]

_STEP = 11
"""A remainder below 2^53 can be shifted by this many bits within an unsigned 64-bit integer."""


class Remainders(BuilderBase):
    """C's ``fmod`` and Python's ``%``."""

    def fmod(self, left: Operand, right: Operand) -> Value:
        """The exact remainder of two floats, with the sign of the dividend; NaN if that is infinite or the divisor 0.

        Long division on the significands, 11 quotient bits a turn: as many turns as the lane whose exponents differ
        most needs.
        """
        x, y = self.pair(left, right)
        if x.dtype is not dtypes.float64:
            return self.fmod(x.to(dtypes.float64), y.to(dtypes.float64)).to(x.dtype)
        b = self._self
        (digits, exponent), (divisor, scale) = self._split(x), self._split(y)
        magnitude, modulus = b.abs(x), b.abs(y)
        invalid = ~(magnitude < float("inf")) | b.is_nan(y) | (y == 0)
        divisor = b.select(y == 0, b.const(1, divisor.type), divisor)
        small = (magnitude < modulus) | invalid
        left_over = b.var(b.select(small, b.zero(digits.type), digits % divisor))
        todo = b.var(b.select(small, b.zero(exponent.type), exponent - scale))
        with b.while_(lambda: b.any(todo.get() > 0)):
            step = b.minimum(todo.get(), _STEP)
            left_over.set((left_over.get() << step.to(dtypes.uint64)) % divisor)
            todo.set(todo.get() - step)
        result = self._scaled(left_over.get().to(dtypes.int64).to(dtypes.float64), scale - 1075)
        result = b.copysign(b.select(small, magnitude, result), x)
        return b.select(invalid, b.const(float("nan"), x.type), result)

    def _split(self, value: Value) -> tuple[Value, Value]:
        """The 53 bits of a float64 as uint64 and its biased exponent as int64, also for denormals."""
        b = self._self
        magnitude = b.abs(value)
        tiny = magnitude < 2.0**-1022
        bits = b.bitcast(b.select(tiny, magnitude * 2.0**54, magnitude), dtypes.uint64)
        exponent = (bits >> 52).to(dtypes.int64)
        digits = (bits & ((1 << 52) - 1)) | (1 << 52)
        return digits, b.select(tiny, exponent - 54, exponent)

    def _scaled(self, value: Value, exponent: Value) -> Value:
        """value * 2**exponent for float64, with exponents down to -1200."""
        b = self._self
        half = exponent >> 1
        for part in (half, exponent - half):
            value = value * b.bitcast((part + 1023) << 52, dtypes.float64)
        return value

    def floor_mod(self, left: Operand, right: Operand) -> Value:
        """The remainder with the sign of the divisor (numpy's ``%``); integers give 0 for a zero divisor."""
        b = self._self
        x, y = b.pair(left, right)
        if not x.dtype.is_signed:
            return b.safe_rem(x, y)
        remainder = b.fmod(x, y) if x.dtype.is_float else b.safe_rem(x, y)
        moved = b.select((remainder < 0) ^ (y < 0), remainder + y, remainder)
        zero = b.copysign(b.zero(x.type), y) if x.dtype.is_float else b.zero(x.type)
        return b.select(remainder == 0, zero, moved)
