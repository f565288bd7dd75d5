"""Values and pointers of the kernel language: LLVM SSA values with a type and Python operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.types import Type

if TYPE_CHECKING:
    from sardonyx.lang.builder import Builder

__all__ = ["Operand", "Pointer", "Value", "Var", "promoted"]

Operand: TypeAlias = "Value | int | float | bool"


class Value:
    """A scalar or vector in a register.

    Operators build instructions at the builder's current position. The other operand may be a Python number, which
    takes this value's type, or a scalar beside a vector, which is broadcast. ``/`` is the division of the dtype
    (truncating for integers); ``//`` and ``%`` are for sizes and indices that are not negative. Comparisons give bools.
    """

    __hash__ = object.__hash__
    __slots__ = ("b", "ir", "stored", "type")

    def __init__(self, builder: Builder, value: Any, type_: Type) -> None:
        self.b = builder
        self.ir = value
        self.type = type_
        self.stored: Value | None = None
        """What this was widened from, where it was: to narrow it again needs no instruction."""

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def lanes(self) -> int:
        return self.type.lanes

    def __add__(self, other: Operand) -> Value:
        return self.b.add(self, other)

    def __radd__(self, other: Operand) -> Value:
        return self.b.add(other, self)

    def __sub__(self, other: Operand) -> Value:
        return self.b.sub(self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.b.sub(other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.b.mul(self, other)

    def __rmul__(self, other: Operand) -> Value:
        return self.b.mul(other, self)

    def __truediv__(self, other: Operand) -> Value:
        return self.b.div(self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.b.div(other, self)

    def __floordiv__(self, other: Operand) -> Value:
        return self.b.index_div(self, other)

    def __rfloordiv__(self, other: Operand) -> Value:
        return self.b.index_div(other, self)

    def __mod__(self, other: Operand) -> Value:
        return self.b.index_rem(self, other)

    def __rmod__(self, other: Operand) -> Value:
        return self.b.index_rem(other, self)

    def __neg__(self) -> Value:
        return self.b.neg(self)

    def __invert__(self) -> Value:
        return self.b.bit_not(self)

    def __and__(self, other: Operand) -> Value:
        return self.b.bit_and(self, other)

    def __rand__(self, other: Operand) -> Value:
        return self.b.bit_and(other, self)

    def __or__(self, other: Operand) -> Value:
        return self.b.bit_or(self, other)

    def __ror__(self, other: Operand) -> Value:
        return self.b.bit_or(other, self)

    def __xor__(self, other: Operand) -> Value:
        return self.b.bit_xor(self, other)

    def __rxor__(self, other: Operand) -> Value:
        return self.b.bit_xor(other, self)

    def __lshift__(self, other: Operand) -> Value:
        return self.b.shl(self, other)

    def __rshift__(self, other: Operand) -> Value:
        return self.b.shr(self, other)

    def __lt__(self, other: Operand) -> Value:
        return self.b.compare("<", self, other)

    def __le__(self, other: Operand) -> Value:
        return self.b.compare("<=", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.b.compare(">", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.b.compare(">=", self, other)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]  # a comparison of lanes, not of objects
        return self.b.compare("==", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Value:  # type: ignore[override]  # a comparison of lanes, not of objects
        return self.b.compare("!=", self, other)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        raise TypeError("a Value has no truth at build time; use b.select, b.if_ or b.if_else")

    def to(self, dtype: DType | Type) -> Value:
        """This value converted to another element type (C semantics; see ``Builder.convert``)."""
        return self.b.convert(self, dtype.dtype if isinstance(dtype, Type) else dtype)

    def __repr__(self) -> str:
        return f"Value({self.type})"


class Pointer:
    """The address of an array of ``dtype`` elements; offsets count elements.

    ``bounds`` are the addresses of the first byte of the memory it points into and of the first one behind, in code
    that checks its accesses.
    """

    __slots__ = ("b", "bounds", "dtype", "ir")

    def __init__(self, builder: Builder, value: Any, dtype: DType, bounds: tuple[Any, Any] | None = None) -> None:
        self.b = builder
        self.ir = value
        self.dtype = dtype
        self.bounds = bounds

    def at(self, offset: Operand) -> Pointer:
        """The address ``offset`` elements further on."""
        return self if isinstance(offset, int) and offset == 0 else self.b.offset(self, offset)

    def load(self, offset: Operand = 0, lanes: int = 1, mask: Value | None = None) -> Value:
        """``lanes`` consecutive elements; lanes whose mask is false are not read and give zero."""
        return self.b.load(self.at(offset), lanes, mask)

    def store(self, value: Value, offset: Operand = 0, mask: Value | None = None) -> None:
        """Writes all lanes of ``value`` to consecutive elements; lanes whose mask is false are left alone."""
        self.b.store(self.at(offset), value, mask)

    def gather(self, offsets: Value, mask: Value | None = None) -> Value:
        """One element per lane of ``offsets`` (i32 or i64); masked lanes are not read and give zero."""
        return self.b.gather(self, offsets, mask)

    def scatter(self, value: Value, offsets: Value, mask: Value | None = None) -> None:
        """Writes one element per lane, in lane order."""
        self.b.scatter(self, value, offsets, mask)

    def cast(self, dtype: DType) -> Pointer:
        """The same address seen as an array of another element type."""
        return Pointer(self.b, self.ir, dtype, self.bounds)

    def __repr__(self) -> str:
        return f"Pointer({self.dtype})"


class Var:
    """A mutable local variable; LLVM's mem2reg turns it into registers and phis."""

    __slots__ = ("_slot", "b", "type")

    def __init__(self, builder: Builder, slot: Any, type_: Type) -> None:
        self.b = builder
        self._slot = slot
        self.type = type_

    def get(self) -> Value:
        return Value(self.b, self.b.ir.load(self._slot, typ=self.type.llvm), self.type)

    def set(self, value: Operand) -> None:
        self.b.ir.store(self.b.coerce(value, self.type).ir, self._slot)


def is_float(value: Value) -> bool:
    """Whether arithmetic on this value is floating point."""
    return value.dtype.is_float


def promoted(dtype: DType) -> DType | None:
    """The dtype that values of a dtype which is only stored are computed in; None where they are as they are.

    Half precision and smaller floats become float32, integers of less than a byte fill one.
    """
    if dtype.is_float:
        return dtypes.float32 if dtype.bits < 32 else None
    if dtype.bits >= 8:
        return None
    return dtypes.int8 if dtype.kind == "i" else dtypes.uint8
