"""Memory shared by threads: atomic loads, stores and updates of i64 words, and what a waiting loop needs."""

from __future__ import annotations

from llvmlite import ir

from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import BOOL, I64, Type
from sardonyx.lang.value import Operand, Pointer, Value

__all__ = ["Atomics"]


class Atomics(BuilderBase):
    """Sequentially consistent unless an ordering is given (LLVM's: ``monotonic``, ``acquire``, ``release`` ...)."""

    def atomic_load(self, pointer: Pointer, ordering: str = "seq_cst") -> Value:
        type_ = Type(pointer.dtype)
        raw = self.ir.load_atomic(pointer.ir, ordering, pointer.dtype.itemsize, typ=type_.llvm)
        return self.value(raw, type_)

    def atomic_store(self, pointer: Pointer, value: Operand, ordering: str = "seq_cst") -> None:
        raw = self.coerce(value, Type(pointer.dtype)).ir
        # the builder's own method asks the pointer for its pointee, which an opaque pointer has not
        store = ir.instructions.StoreAtomicInstr(self.ir.block, raw, pointer.ir, ordering, pointer.dtype.itemsize)
        self.ir._insert(store)

    def atomic_update(self, operation: str, pointer: Pointer, value: Operand, ordering: str = "seq_cst") -> Value:
        """``operation`` is one of LLVM's atomicrmw (``add``, ``and``, ``or``, ``xchg`` ...); gives the value before."""
        raw = self.coerce(value, Type(pointer.dtype)).ir
        return self.value(self.ir.atomic_rmw(operation, pointer.ir, raw, ordering), Type(pointer.dtype))

    def compare_exchange(self, pointer: Pointer, expected: Operand, desired: Operand) -> Value:
        """Stores ``desired`` where the word equals ``expected``; gives a bool, whether it did."""
        old, new = self.coerce(expected, Type(pointer.dtype)), self.coerce(desired, Type(pointer.dtype))
        pair = self.ir.cmpxchg(pointer.ir, old.ir, new.ir, "seq_cst")
        return self.value(self.ir.extract_value(pair, 1), BOOL)

    def pause(self) -> None:
        """Tells the processor that this thread waits in a loop."""
        if self.target.triple.startswith("x86_64"):
            self.intrinsic("llvm.x86.sse2.pause", ir.VoidType(), [])
        elif self.target.triple.startswith(("aarch64", "arm64")):
            self.intrinsic("llvm.aarch64.hint", ir.VoidType(), [ir.Constant(ir.IntType(32), 1)])

    @property
    def has_futex(self) -> bool:
        """Whether ``futex_wait`` and ``futex_wake`` can be emitted: Linux on x86-64 and ARM64."""
        return "linux" in self.target.triple and self.target.triple.startswith(("x86_64", "aarch64"))

    def futex_wait(self, pointer: Pointer, expected: Operand) -> None:
        """Sleeps while the low 32 bits of the word hold ``expected``; may return early."""
        self._futex(pointer, 0, expected)

    def futex_wake(self, pointer: Pointer, count: int = 1) -> None:
        """Wakes up to ``count`` threads that sleep on the word."""
        self._futex(pointer, 1, count)

    def _futex(self, pointer: Pointer, operation: int, value: Operand) -> None:
        number = 202 if self.target.triple.startswith("x86_64") else 98
        private = 128  # the word is not shared between processes
        word = self.coerce(value, I64)
        zero, null = self.i64(0).ir, ir.Constant(ir.PointerType(), None)
        arguments = [self.i64(number).ir, pointer.ir, self.i64(operation | private).ir, word.ir, null, null, zero]
        self.intrinsic("syscall", I64.llvm, arguments)
