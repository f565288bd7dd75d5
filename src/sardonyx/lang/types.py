"""Types of values in the kernel language and the LLVM types that hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.dtypes import DType

__all__ = ["BOOL", "F32", "F64", "I32", "I64", "PTR", "U8", "Type"]

PTR: Any = ir.PointerType()
_INT1 = ir.IntType(1)


@dataclass(frozen=True)
class Type:
    """An element type and a number of lanes; one lane is a scalar."""

    dtype: DType
    lanes: int = 1

    @property
    def scalar(self) -> Type:
        return replace(self, lanes=1)

    def with_lanes(self, lanes: int) -> Type:
        return replace(self, lanes=lanes)

    @property
    def element(self) -> Any:
        """The LLVM type of one lane in a register: bool is i1, bfloat16 and smaller types are their bits."""
        if self.dtype is dtypes.bool_:
            return _INT1
        return self.memory_element

    @property
    def memory_element(self) -> Any:
        """The LLVM type of one element in memory: bool and types of less than a byte take a byte."""
        match self.dtype.name:
            case "float32":
                return ir.FloatType()
            case "float64":
                return ir.DoubleType()
            case "float16":
                return ir.HalfType()
            case _:
                return ir.IntType(self.dtype.itemsize * 8)

    @property
    def llvm(self) -> Any:
        return self.element if self.lanes == 1 else ir.VectorType(self.element, self.lanes)

    @property
    def llvm_memory(self) -> Any:
        return self.memory_element if self.lanes == 1 else ir.VectorType(self.memory_element, self.lanes)

    @property
    def mangled(self) -> str:
        """The suffix of overloaded intrinsics: ``f32``, ``v16i64``."""
        if self.dtype is dtypes.bool_:
            name = "i1"
        elif self.dtype.is_float and not isinstance(self.memory_element, ir.IntType):
            name = f"f{self.dtype.bits}"
        else:
            name = f"i{self.dtype.itemsize * 8}"
        return name if self.lanes == 1 else f"v{self.lanes}{name}"

    def __str__(self) -> str:
        return self.dtype.name if self.lanes == 1 else f"{self.dtype.name}x{self.lanes}"


F32 = Type(dtypes.float32)
F64 = Type(dtypes.float64)
I32 = Type(dtypes.int32)
I64 = Type(dtypes.int64)
U8 = Type(dtypes.uint8)
BOOL = Type(dtypes.bool_)
