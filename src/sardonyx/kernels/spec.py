"""What a kernel is: a frozen description that can emit itself, and the operands of one call of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sardonyx.dtypes import DType
from sardonyx.lang import KernelBuilder, Module
from sardonyx.symbols import Dim
from sardonyx.targets import Target

__all__ = ["Kernel", "Operand", "kernel_text", "symbol_name"]


@runtime_checkable
class Kernel(Protocol):
    """A frozen dataclass whose ``repr`` says everything that its code depends on; equal kernels share code.

    ``emit`` builds the body of ``i64 kernel(ptr bufs, ptr sizes, i64 begin, i64 end)``: the tasks ``begin`` to ``end``.
    Results must not depend on how the tasks are split over calls. A failed check returns a status above zero.
    """

    @property
    def name(self) -> str:
        """A short name for people: ``gemm``, ``softmax``."""

    def emit(self, b: KernelBuilder) -> None: ...


@dataclass(frozen=True)
class Operand:
    """A strided view of a buffer: element (i, j ...) lies at ``offset + i * strides[0] + j * strides[1] ...`` elements.

    ``buffer`` is the compiler's number of the memory it lies in. Sizes, strides and offset may be symbolic.
    """

    buffer: int
    dtype: DType
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    offset: Dim = 0

    @property
    def rank(self) -> int:
        return len(self.shape)


def symbol_name(kernel: Kernel, target: Target) -> str:
    """The linker symbol of a kernel: its name and a hash of its description and target."""
    digest = hashlib.sha256(f"{kernel!r}|{target!r}".encode()).hexdigest()[:20]
    return f"sx_{kernel.name}_{digest}"


def kernel_text(kernel: Kernel, target: Target) -> str:
    """The kernel's module as LLVM assembly, before LLVM's passes."""
    module = Module(target, kernel.name)
    with module.kernel(symbol_name(kernel, target)) as b:
        kernel.emit(b)
    return module.text()
