"""Arithmetic, comparison and selection of values."""

from __future__ import annotations

from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import BOOL, Type
from sardonyx.lang.value import Operand, Value

__all__ = ["Arithmetic"]


class Arithmetic(BuilderBase):
    """Element-wise operations; see ``Value`` for how operands are matched."""

    def _binary(self, left: Operand, right: Operand, float_op: str, signed: str, unsigned: str = "") -> Value:
        x, y = self.pair(left, right)
        op = float_op if x.dtype.is_float else unsigned if unsigned and not x.dtype.is_signed else signed
        if not op:
            raise TypeError(f"no such operation on {x.type}")
        return self.value(getattr(self.ir, op)(x.ir, y.ir), x.type)

    def add(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "fadd", "add")

    def sub(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "fsub", "sub")

    def mul(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "fmul", "mul")

    def div(self, left: Operand, right: Operand) -> Value:
        """Division; integers truncate and must not be divided by zero (LLVM traps)."""
        return self._binary(left, right, "fdiv", "sdiv", "udiv")

    def rem(self, left: Operand, right: Operand) -> Value:
        """Remainder of integers with the sign of the dividend; traps as ``div`` does. See ``fmod`` for floats."""
        return self._binary(left, right, "", "srem", "urem")

    def index_div(self, left: Operand, right: Operand) -> Value:
        """Quotient of two integers that are not negative."""
        return self._binary(left, right, "", "udiv")

    def index_rem(self, left: Operand, right: Operand) -> Value:
        """Remainder of two integers that are not negative."""
        return self._binary(left, right, "", "urem")

    def bit_and(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "", "and_")

    def bit_or(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "", "or_")

    def bit_xor(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "", "xor")

    def shl(self, left: Operand, right: Operand) -> Value:
        return self._binary(left, right, "", "shl")

    def shr(self, left: Operand, right: Operand) -> Value:
        """Right shift, arithmetic for signed integers."""
        return self._binary(left, right, "", "ashr", "lshr")

    def bit_not(self, value: Value) -> Value:
        return self.value(self.ir.not_(value.ir), value.type)

    def neg(self, value: Value) -> Value:
        if value.dtype.is_float:
            return self.value(self.ir.fneg(value.ir), value.type)
        return self.value(self.ir.neg(value.ir), value.type)

    def fma(self, x: Value, y: Operand, z: Operand) -> Value:
        """x * y + z, rounded once where the target has the instruction; two operations where it has not."""
        a, b = self.pair(x, y)
        a, c = self.pair(a, z)
        b = self.coerce(b, a.type)
        if not self.target.has_fma:
            return a * b + c
        name = f"llvm.fma.{a.type.mangled}"
        return self.value(self.intrinsic(name, a.type.llvm, [a.ir, b.ir, c.ir]), a.type)

    def compare(self, op: str, left: Operand, right: Operand) -> Value:
        """An ordered comparison; NaN compares false except with ``!=``."""
        x, y = self.pair(left, right)
        result = BOOL.with_lanes(x.lanes)
        if x.dtype.is_float:
            if op == "!=":
                return self.value(self.ir.fcmp_unordered(op, x.ir, y.ir), result)
            return self.value(self.ir.fcmp_ordered(op, x.ir, y.ir), result)
        if x.dtype.is_signed:
            return self.value(self.ir.icmp_signed(op, x.ir, y.ir), result)
        return self.value(self.ir.icmp_unsigned(op, x.ir, y.ir), result)

    def is_nan(self, value: Value) -> Value:
        return self.value(self.ir.fcmp_unordered("uno", value.ir, value.ir), BOOL.with_lanes(value.lanes))

    def select(self, condition: Value, left: Operand, right: Operand) -> Value:
        """``left`` where the condition holds, ``right`` elsewhere, lane by lane."""
        x, y = self.pair(left, right)
        lanes = max(condition.lanes, x.lanes)
        x, y = self.coerce(x, x.type.with_lanes(lanes)), self.coerce(y, x.type.with_lanes(lanes))
        if condition.lanes != 1:
            condition = self.coerce(condition, BOOL.with_lanes(lanes))
        return self.value(self.ir.select(condition.ir, x.ir, y.ir), x.type)

    def minimum(self, left: Operand, right: Operand) -> Value:
        """The smaller operand; a NaN in either gives NaN (as numpy.minimum and ONNX Min do)."""
        return self._extremum(left, right, "<")

    def maximum(self, left: Operand, right: Operand) -> Value:
        """The larger operand; a NaN in either gives NaN."""
        return self._extremum(left, right, ">")

    def _extremum(self, left: Operand, right: Operand, op: str) -> Value:
        x, y = self.pair(left, right)
        if not x.dtype.is_float or not isinstance(right, Value):
            # with a constant on the right, NaN on the left must win: compare so that NaN keeps x
            if x.dtype.is_float:
                opposite = {"<": ">", ">": "<"}[op]
                return self.select(self.compare(opposite, x, y), y, x)
            return self.select(self.compare(op, x, y), x, y)
        smaller = self.select(self.compare(op, x, y), x, y)
        return self.select(self.is_nan(x), x, smaller)

    def abs(self, value: Value) -> Value:
        if value.dtype.is_float:
            return self.unary_intrinsic("fabs", value)
        if not value.dtype.is_signed:
            return value
        return self.select(value < 0, -value, value)

    def sqrt(self, value: Value) -> Value:
        return self.unary_intrinsic("sqrt", value)

    def floor(self, value: Value) -> Value:
        if self.target.has_rounding:
            return self.unary_intrinsic("floor", value)
        near = self.round_even(value)
        return self.select(near > value, near - 1.0, near)

    def ceil(self, value: Value) -> Value:
        if self.target.has_rounding:
            return self.unary_intrinsic("ceil", value)
        near = self.round_even(value)
        return self.copysign(self.select(near < value, near + 1.0, near), value)

    def trunc(self, value: Value) -> Value:
        if self.target.has_rounding:
            return self.unary_intrinsic("trunc", value)
        magnitude = self.abs(value)
        near = self.round_even(magnitude)
        return self.copysign(self.select(near > magnitude, near - 1.0, near), value)

    def round_even(self, value: Value) -> Value:
        """Rounded to the nearest integer, halves to even."""
        if self.target.has_rounding:
            return self.unary_intrinsic("roundeven", value)
        magnitude = self.abs(value)
        big = 2.0**52 if value.dtype.bits == 64 else 2.0**23  # from here on there are no fractions
        rounded = self.copysign((magnitude + big) - big, value)
        return self.select(magnitude < big, rounded, value)

    def copysign(self, magnitude: Value, sign: Operand) -> Value:
        x, y = self.pair(magnitude, sign)
        return self.value(self.intrinsic(f"llvm.copysign.{x.type.mangled}", x.type.llvm, [x.ir, y.ir]), x.type)

    def unary_intrinsic(self, name: str, value: Value) -> Value:
        """``llvm.<name>`` on a float value; only those that compile to instructions, never to a library call."""
        return self.value(self.intrinsic(f"llvm.{name}.{value.type.mangled}", value.type.llvm, [value.ir]), value.type)

    def bitcast(self, value: Value, dtype: DType) -> Value:
        """The same bits as another element type of the same size."""
        type_ = Type(dtype, value.lanes)
        return self.value(self.ir.bitcast(value.ir, type_.llvm), type_)

    def not_(self, condition: Value) -> Value:
        return self.value(self.ir.not_(condition.ir), condition.type)
