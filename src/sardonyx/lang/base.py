"""What every part of the builder shares: constants, broadcasting of scalars, intrinsics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llvmlite import ir

from sardonyx.lang.types import I32, I64, Type
from sardonyx.lang.value import Operand, Value

if TYPE_CHECKING:
    from sardonyx.lang.builder import Builder
    from sardonyx.targets import Target

__all__ = ["BuilderBase"]


class BuilderBase:
    """State and helpers that arithmetic, memory, vectors and control flow have in common."""

    function: Any
    module: Any
    target: Target
    entry: Any
    ir: Any

    @property
    def _self(self) -> Builder:
        return cast("Builder", self)

    def value(self, raw: Any, type_: Type) -> Value:
        """Wraps an LLVM value."""
        return Value(self._self, raw, type_)

    def const(self, number: float | int | bool, type_: Type) -> Value:
        """A constant of any type; every lane holds the same number. bfloat16 constants are given as their bits."""
        element: Any = type_.element
        if type_.dtype.is_float and not isinstance(element, ir.IntType):
            scalar = ir.Constant(element, float(number))
        else:
            scalar = ir.Constant(element, int(number))
        if type_.lanes == 1:
            return self.value(scalar, type_)
        return self.value(ir.Constant(type_.llvm, [scalar] * type_.lanes), type_)

    def constant_of(self, value: Value) -> float | int | None:
        """The number in every lane of a value made by ``const``; None for any other value."""
        if not isinstance(value.ir, ir.Constant):
            return None
        number = value.ir.constant
        if isinstance(number, list):
            number = number[0].constant
        return number if isinstance(number, int | float) else None

    def i64(self, number: int) -> Value:
        return self.const(number, I64)

    def zero(self, type_: Type) -> Value:
        return self.value(ir.Constant(type_.llvm, None), type_)

    def undef(self, type_: Type) -> Value:
        return self.value(ir.Constant(type_.llvm, ir.Undefined), type_)

    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1 or value.lanes == lanes:
            return value
        if value.lanes != 1:
            raise TypeError(f"splat of {value.type} to {lanes} lanes: only a scalar can be broadcast")
        wide = value.type.with_lanes(lanes)
        if isinstance(value.ir, ir.Constant):
            return self.value(ir.Constant(wide.llvm, [value.ir] * lanes), wide)
        one = self.ir.insert_element(ir.Constant(wide.llvm, ir.Undefined), value.ir, ir.Constant(I32.llvm, 0))
        zeros = ir.Constant(ir.VectorType(I32.llvm, lanes), None)
        return self.value(self.ir.shuffle_vector(one, ir.Constant(wide.llvm, ir.Undefined), zeros), wide)

    def coerce(self, operand: Operand, type_: Type) -> Value:
        """A number, or a scalar beside a vector, as a value of ``type_``; any other mismatch is an error."""
        if not isinstance(operand, Value):
            return self.const(operand, type_)
        if operand.type == type_:
            return operand
        if operand.dtype == type_.dtype and operand.lanes == 1:
            return self.splat(operand, type_.lanes)
        raise TypeError(f"expected {type_}, got {operand.type}; convert with .to() or splat()")

    def pair(self, left: Operand, right: Operand) -> tuple[Value, Value]:
        """Two operands brought to one type."""
        if isinstance(left, Value) and isinstance(right, Value):
            lanes = max(left.lanes, right.lanes)
            return self.coerce(left, left.type.with_lanes(lanes)), self.coerce(right, left.type.with_lanes(lanes))
        if isinstance(left, Value):
            return left, self.coerce(right, left.type)
        if isinstance(right, Value):
            return self.coerce(left, right.type), right
        raise TypeError("one operand at least must be a Value")

    def intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """Calls an LLVM intrinsic or external function by its full name, declaring it on first use."""
        callee = self.module.globals.get(name)
        if callee is None:
            callee = ir.Function(self.module, ir.FunctionType(result, [a.type for a in arguments]), name)
        return self.ir.call(callee, arguments)
