"""The kernel language: Python that emits LLVM IR. The only part of sardonyx that imports llvmlite."""

from sardonyx.lang.module import FunctionBuilder, KernelBuilder, Module
from sardonyx.lang.types import BOOL, F32, F64, I32, I64, U8, Type
from sardonyx.lang.value import Operand, Pointer, Value, Var, promoted

__all__ = [
    "BOOL",
    "F32",
    "F64",
    "I32",
    "I64",
    "U8",
    "FunctionBuilder",
    "KernelBuilder",
    "Module",
    "Operand",
    "Pointer",
    "Type",
    "Value",
    "Var",
    "promoted",
]
