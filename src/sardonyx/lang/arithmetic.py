"""Arithmetic, comparison, selection and conversion of values."""

from __future__ import annotations

from typing import Any

from sardonyx import dtypes
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
        """Remainder with the sign of the dividend (C's ``%`` and ``fmod``)."""
        return self._binary(left, right, "frem", "srem", "urem")

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
        return self.unary_intrinsic("floor", value)

    def ceil(self, value: Value) -> Value:
        return self.unary_intrinsic("ceil", value)

    def trunc(self, value: Value) -> Value:
        return self.unary_intrinsic("trunc", value)

    def round_even(self, value: Value) -> Value:
        """Rounded to the nearest integer, halves to even."""
        return self.unary_intrinsic("roundeven", value)

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

    def convert(self, value: Value, dtype: DType) -> Value:
        """Converts the element type.

        Integers wrap; float to integer truncates and saturates (NaN gives 0), so that no input is undefined
        behaviour; to bool tests for non-zero; float to a narrower float rounds to nearest even.
        """
        source, target = value.type, Type(dtype, value.lanes)
        if source == target:
            return value
        if dtype is dtypes.bool_:
            return value != 0
        if source.dtype is dtypes.bfloat16:
            wide = self.ir.zext(value.ir, Type(dtypes.int32, value.lanes).llvm)
            shifted = self.value(self.ir.shl(wide, self.const(16, Type(dtypes.int32, value.lanes)).ir), Type(dtypes.int32, value.lanes))
            return self.convert(self.bitcast(shifted, dtypes.float32), dtype)
        if dtype is dtypes.bfloat16:
            return self._to_bfloat16(self.convert(value, dtypes.float32))
        return self.value(self._convert(value, source, target), target)

    def _to_bfloat16(self, value: Value) -> Value:
        bits = self.bitcast(value, dtypes.uint32)
        rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
        quiet = (bits >> 16) | 0x40
        chosen = self.select(self.is_nan(value), quiet, rounded)
        type_ = Type(dtypes.bfloat16, value.lanes)
        return self.value(self.ir.trunc(chosen.ir, type_.llvm), type_)

    def _convert(self, value: Value, source: Type, target: Type) -> Any:
        build = self.ir
        if source.dtype.is_float and target.dtype.is_float:
            if target.dtype.bits > source.dtype.bits:
                return build.fpext(value.ir, target.llvm)
            return build.fptrunc(value.ir, target.llvm)
        if source.dtype.is_float:
            name = "fptosi" if target.dtype.is_signed else "fptoui"
            full = f"llvm.{name}.sat.{target.mangled}.{source.mangled}"
            return self.intrinsic(full, target.llvm, [value.ir])
        if target.dtype.is_float:
            convert = build.sitofp if source.dtype.kind == "i" else build.uitofp
            return convert(value.ir, target.llvm)
        source_bits = 1 if source.dtype is dtypes.bool_ else source.dtype.itemsize * 8
        target_bits = target.dtype.itemsize * 8
        if source_bits == target_bits:
            return value.ir
        if source_bits > target_bits:
            return build.trunc(value.ir, target.llvm)
        extend = build.sext if source.dtype.kind == "i" else build.zext
        return extend(value.ir, target.llvm)

    def not_(self, condition: Value) -> Value:
        return self.value(self.ir.not_(condition.ir), condition.type)
