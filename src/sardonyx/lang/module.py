"""Modules and functions: where kernels are emitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.builder import Builder
from sardonyx.lang.checking import bound_slots
from sardonyx.lang.types import BOOL, I64, PTR, Type
from sardonyx.lang.value import Pointer, Value
from sardonyx.targets import Target

__all__ = ["FunctionBuilder", "KernelBuilder", "Module"]


class FunctionBuilder(Builder):
    """Builds one function; ``args`` are its parameters as raw values (``Value`` for i64, ``Pointer`` for pointers)."""

    def __init__(self, function: Any, target: Target) -> None:
        super().__init__(function, target)

    def argument(self, index: int, type_: Type = I64) -> Value:
        return self.value(self.function.args[index], type_)

    def pointer_argument(self, index: int, dtype: DType) -> Pointer:
        return self.pointer(self.function.args[index], dtype)

    def call_pointer(self, callee: Any, arguments: Sequence[Any]) -> Value:
        """Calls a function given by address with the kernel ABI's types (pointers and i64); gives its i64 result."""
        return self.value(self.call_address(callee, arguments, I64.llvm), I64)

    def call_address(self, callee: Any, arguments: Sequence[Any], result: Any) -> Any:
        """Calls a C function given by address; gives its result of an LLVM type, as it is."""
        signature = ir.FunctionType(result, [a.type for a in arguments])
        instruction = ir.instructions.CallInstr(self.ir.block, _TypedCallee(callee, signature), list(arguments))
        self.ir._insert(instruction)
        return instruction

    def call(self, callee: Any, arguments: Sequence[Any]) -> Value:
        """Calls a function of this module or an external one; gives its i64 result."""
        return self.value(self.ir.call(callee, list(arguments)), I64)

    def address_array(self, count: int) -> Any:
        """Room on the stack for addresses, and in front of them for their bounds where code is checked."""
        count = max(1, count)
        if not self.target.checked:
            return self._entry_alloca(PTR, count, 8)
        return self._address_slot(self._entry_alloca(PTR, 3 * count, 8), 2 * count)

    def load_address(self, array: Any, index: int) -> Any:
        """The address at a place of an array of addresses."""
        return self.ir.load(self._address_slot(array, index), typ=PTR, align=8)

    def store_address(self, array: Any, index: int, address: Any) -> None:
        """Puts an address into an array of addresses."""
        self.ir.store(address, self._address_slot(array, index), align=8)

    def _address_slot(self, array: Any, index: int) -> Any:
        return self.ir.gep(array, [self.i64(index).ir], source_etype=PTR)

    def advance(self, address: Any, offset: Value) -> Any:
        """The address ``offset`` bytes further on."""
        return self.ir.gep(address, [offset.ir], source_etype=ir.IntType(8))

    def is_null(self, address: Any) -> Value:
        return self.value(self.ir.icmp_unsigned("==", address, ir.Constant(PTR, None)), BOOL)


class _TypedCallee:
    """An opaque pointer with the signature it is called by; llvmlite wants both in one object."""

    def __init__(self, pointer: Any, signature: Any) -> None:
        self.pointer = pointer
        self.function_type = signature
        self.type = ir.PointerType()
        self.name = pointer.name if hasattr(pointer, "name") else ""

    def get_reference(self) -> str:
        return str(self.pointer.get_reference())


class KernelBuilder(FunctionBuilder):
    """Builds a kernel: ``i64 kernel(ptr bufs, ptr sizes, i64 begin, i64 end)``.

    ``bufs`` points to the operands' addresses, ``sizes`` to the i64 arguments; the call does the parallel tasks
    ``begin`` to ``end`` and returns 0, or the status of a failed check.
    """

    def __init__(self, function: Any, target: Target) -> None:
        super().__init__(function, target)
        function.args[0].name, function.args[1].name = "bufs", "sizes"
        for argument in function.args[:2]:
            argument.add_attribute("noalias")
        self._buffers: dict[int, Any] = {}
        self._bounds: dict[int, tuple[Any, Any]] = {}
        self._sizes: dict[int, Value] = {}

    @property
    def begin(self) -> Value:
        return self.argument(2)

    @property
    def end(self) -> Value:
        return self.argument(3)

    def buffer(self, index: int, dtype: DType) -> Pointer:
        """The operand in slot ``index``; loaded once, in the function's entry."""
        if index not in self._buffers:
            addresses = self.function.args[0]
            with self._in_entry():
                self._buffers[index] = self.load_address(addresses, index)
                if self.target.checked:
                    first, behind = bound_slots(index)
                    self._bounds[index] = self.load_address(addresses, first), self.load_address(addresses, behind)
        return self.pointer(self._buffers[index], dtype, self._bounds.get(index))

    def local(self, dtype: DType, count: int, align: int = 64) -> Pointer:
        return self._bounded(super().local(dtype, count, align), count)

    def table(self, dtype: DType, numbers: Sequence[int | float]) -> Pointer:
        return self._bounded(super().table(dtype, numbers), len(numbers))

    def _bounded(self, pointer: Pointer, count: int) -> Pointer:
        """The same address of ``count`` elements, with its bounds where code is checked."""
        if not self.target.checked:
            return pointer
        with self._in_entry():
            behind = self.advance(pointer.ir, self.i64(count * pointer.dtype.itemsize))
        return self.pointer(pointer.ir, pointer.dtype, (pointer.ir, behind))

    def size(self, index: int) -> Value:
        """The i64 argument in slot ``index``; loaded once, in the function's entry."""
        if index not in self._sizes:
            with self._in_entry():
                self._sizes[index] = self.pointer(self.function.args[1], dtypes.int64).load(index)
        return self._sizes[index]

    @contextmanager
    def _in_entry(self) -> Iterator[None]:
        block = self.ir.block
        if block is self.entry:
            yield
            return
        terminator = self.entry.terminator
        self.ir.position_before(terminator)
        yield
        self.ir.position_at_end(block)

    @contextmanager
    def tasks(self) -> Iterator[Value]:
        """The loop over this call's parallel tasks."""
        with self.loop(self.end, self.begin) as task:
            yield task


class Module:
    """One LLVM module for one target; becomes one object file."""

    def __init__(self, target: Target, name: str = "module") -> None:
        self.target = target
        self.raw = ir.Module(name)
        self.raw.triple = target.triple

    @contextmanager
    def kernel(self, name: str) -> Iterator[KernelBuilder]:
        """``with module.kernel("gemm") as b:`` builds an exported kernel; it returns 0 at the end of the block."""
        function = self._function(name, I64.llvm, [PTR, PTR, I64.llvm, I64.llvm])
        builder = KernelBuilder(function, self.target)
        yield builder
        builder.return_(0)

    @contextmanager
    def function(
        self, name: str, result: Any, parameters: Sequence[Any], *, internal: bool = False
    ) -> Iterator[FunctionBuilder]:
        """Builds a function of any LLVM signature; the block must end with a return."""
        function = self._function(name, result, parameters)
        if internal:
            function.linkage = "internal"
        yield FunctionBuilder(function, self.target)

    def _function(self, name: str, result: Any, parameters: Sequence[Any]) -> Any:
        function = ir.Function(self.raw, ir.FunctionType(result, list(parameters)), name)
        function.attributes.add("nounwind")
        return function

    def external(self, name: str, result: Any, parameters: Sequence[Any]) -> Any:
        """A function defined elsewhere (another object, the C library), declared on first use."""
        known = self.raw.globals.get(name)
        return known if known is not None else ir.Function(self.raw, ir.FunctionType(result, list(parameters)), name)

    def text(self) -> str:
        """The module as LLVM assembly."""
        return str(self.raw)
