"""Loads, stores, gathers, scatters and local storage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.checking import check_access
from sardonyx.lang.types import BOOL, I64, PTR, Type
from sardonyx.lang.value import Operand, Pointer, Value, Var

__all__ = ["Memory"]


class Memory(BuilderBase):
    """Access to memory through typed pointers; addresses are made by getelementptr only."""

    def pointer(self, raw: Any, dtype: DType, bounds: tuple[Any, Any] | None = None) -> Pointer:
        return Pointer(self._self, raw, dtype, bounds)

    def offset(self, pointer: Pointer, offset: Operand) -> Pointer:
        """The address ``offset`` elements after ``pointer``."""
        index = self.coerce(offset, I64).ir
        raw = self.ir.gep(pointer.ir, [index], source_etype=Type(pointer.dtype).memory_element)
        return self.pointer(raw, pointer.dtype, pointer.bounds)

    def load(self, pointer: Pointer, lanes: int = 1, mask: Value | None = None) -> Value:
        """``lanes`` elements from consecutive addresses (no alignment beyond the element's is assumed)."""
        type_ = Type(pointer.dtype, lanes)
        align = _alignment(pointer.dtype)
        check_access(self._self, pointer, None, lanes, mask)
        if mask is None:
            raw = self.ir.load(pointer.ir, typ=type_.llvm_memory, align=align)
        elif lanes == 1:
            raise TypeError("a masked scalar load: branch with b.if_ instead")
        else:
            name = f"llvm.masked.load.{self._memory_name(type_)}.p0"
            zero = ir.Constant(type_.llvm_memory, None)
            raw = self.intrinsic(
                name, type_.llvm_memory, [pointer.ir, ir.Constant(ir.IntType(32), align), mask.ir, zero]
            )
        return self._from_memory(raw, type_)

    def store(self, pointer: Pointer, value: Value, mask: Value | None = None) -> None:
        """All lanes to consecutive addresses; the value's dtype must be the pointer's."""
        self._check_dtype(pointer, value)
        check_access(self._self, pointer, None, value.lanes, mask)
        raw, align = self._to_memory(value), _alignment(pointer.dtype)
        if mask is None:
            self.ir.store(raw, pointer.ir, align=align)
            return
        if isinstance(Type(pointer.dtype).memory_element, ir.IntType) and align < 8:
            mask = self._never_constant(mask)
        name = f"llvm.masked.store.{self._memory_name(value.type)}.p0"
        self.intrinsic(name, ir.VoidType(), [raw, pointer.ir, ir.Constant(ir.IntType(32), align), mask.ir])

    def _never_constant(self, mask: Value) -> Value:
        """The same mask, hidden from LLVM's constant folding.

        LLVM 22 makes a scalar store of a masked store with one constant lane and forgets that the value was truncated:
        the untruncated integer is written, over the elements behind it.
        """
        word = ir.IntType(32)
        hidden = self.ir.asm(ir.FunctionType(word, [word]), "", "=r,0", [ir.Constant(word, 1)], False)
        true = self.value(self.ir.trunc(hidden, ir.IntType(1)), BOOL)
        return mask & self._self.splat(true, mask.lanes)

    def gather(self, pointer: Pointer, offsets: Value, mask: Value | None = None) -> Value:
        """One element per lane of ``offsets``."""
        lanes = offsets.lanes
        if lanes == 1:
            return self.load(self.offset(pointer, offsets.to(dtypes.int64)))
        type_ = Type(pointer.dtype, lanes)
        every = self.const(True, BOOL.with_lanes(lanes)) if mask is None else mask
        check_access(self._self, pointer, offsets, lanes, mask)
        addresses = self._addresses(pointer, offsets)
        name = f"llvm.masked.gather.{self._memory_name(type_)}.v{lanes}p0"
        align = ir.Constant(ir.IntType(32), pointer.dtype.itemsize)
        zero = ir.Constant(type_.llvm_memory, None)
        return self._from_memory(self.intrinsic(name, type_.llvm_memory, [addresses, align, every.ir, zero]), type_)

    def scatter(self, pointer: Pointer, value: Value, offsets: Value, mask: Value | None = None) -> None:
        """One element per lane; of several lanes with one address the last wins."""
        self._check_dtype(pointer, value)
        lanes = value.lanes
        if lanes == 1:
            self.store(self.offset(pointer, offsets), value)
            return
        every = self.const(True, BOOL.with_lanes(lanes)) if mask is None else mask
        check_access(self._self, pointer, offsets, lanes, mask)
        name = f"llvm.masked.scatter.{self._memory_name(value.type)}.v{lanes}p0"
        align = ir.Constant(ir.IntType(32), pointer.dtype.itemsize)
        self.intrinsic(
            name, ir.VoidType(), [self._to_memory(value), self._addresses(pointer, offsets), align, every.ir]
        )

    def _addresses(self, pointer: Pointer, offsets: Value) -> Any:
        raw = self.ir.gep(pointer.ir, [offsets.ir], source_etype=Type(pointer.dtype).memory_element)
        raw.type = ir.VectorType(PTR, offsets.lanes)  # llvmlite types a vector getelementptr as one pointer
        return raw

    def prefetch(self, pointer: Pointer, *, locality: int = 3) -> None:
        """Asks for a cache line that will be read soon."""
        read, near, data = (ir.Constant(ir.IntType(32), n) for n in (0, locality, 1))
        self.intrinsic("llvm.prefetch.p0", ir.VoidType(), [pointer.ir, read, near, data])

    def table(self, dtype: DType, numbers: Sequence[int | float]) -> Pointer:
        """A constant array that lies beside the code; equal ones are shared."""
        array = ir.ArrayType(Type(dtype).memory_element, len(numbers))
        name = f"table_{dtype.name}_{hashlib.sha256(repr(tuple(numbers)).encode()).hexdigest()[:16]}"
        known = self.module.globals.get(name)
        if known is None:
            known = ir.GlobalVariable(self.module, array, name)
            known.linkage, known.global_constant, known.unnamed_addr = "private", True, True
            known.align = 64
            known.initializer = ir.Constant(array, list(numbers))
        return self.pointer(known, dtype)

    def var(self, initial: Value) -> Var:
        """A mutable variable with a first value; lives in registers after mem2reg."""
        variable = Var(self._self, self._entry_alloca(initial.type.llvm, 1, 0), initial.type)
        variable.set(initial)
        return variable

    def local(self, dtype: DType, count: int, align: int = 64) -> Pointer:
        """An array on the stack of the function (keep it under some 64 KiB)."""
        return self.pointer(self._entry_alloca(Type(dtype).memory_element, count, align), dtype)

    def _entry_alloca(self, element: Any, count: int, align: int) -> Any:
        block = self.ir.block
        first = self.entry.instructions[0] if self.entry.instructions else None
        if first is None:
            self.ir.position_at_end(self.entry)
        else:
            self.ir.position_before(first)
        slot = self.ir.alloca(element, ir.Constant(ir.IntType(64), count) if count != 1 else None)
        slot.type = PTR  # llvmlite types an alloca as a pointer to its element, which vectors could not be stored to
        if align:
            slot.align = align
        self.ir.position_at_end(block)
        return slot

    def _memory_name(self, type_: Type) -> str:
        return f"v{type_.lanes}i8" if type_.dtype is dtypes.bool_ else type_.mangled

    def _from_memory(self, raw: Any, type_: Type) -> Value:
        if type_.dtype is dtypes.bool_:
            zero = ir.Constant(type_.llvm_memory, None)
            return self.value(self.ir.icmp_unsigned("!=", raw, zero), type_)
        return self.value(raw, type_)

    def _to_memory(self, value: Value) -> Any:
        return self.ir.zext(value.ir, value.type.llvm_memory) if value.dtype is dtypes.bool_ else value.ir

    def _check_dtype(self, pointer: Pointer, value: Value) -> None:
        if value.dtype != pointer.dtype:
            raise TypeError(f"store of {value.type} through a pointer to {pointer.dtype}")


def _alignment(dtype: DType) -> int:
    """What memory surely is aligned to; numpy aligns complex numbers as their parts."""
    return min(dtype.itemsize, 8)
