"""The builder of the kernel language: arithmetic, memory and control flow on typed values.

``Builder`` is put together from one class per concern; a kernel sees only this one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sardonyx.lang.arithmetic import Arithmetic
from sardonyx.lang.atomics import Atomics
from sardonyx.lang.control import Control
from sardonyx.lang.conversion import Conversion
from sardonyx.lang.dots import Dots
from sardonyx.lang.integers import Integers
from sardonyx.lang.memory import Memory
from sardonyx.lang.minifloat import Minifloats
from sardonyx.lang.remainder import Remainders
from sardonyx.lang.vectors import Vectors
from sardonyx.targets import Target

__all__ = ["Builder"]


class Builder(Arithmetic, Conversion, Minifloats, Integers, Dots, Remainders, Memory, Atomics, Vectors, Control):
    """Emits instructions at the end of the current block of one function.

    ``target`` tells vector width and features, ``function`` is the LLVM function, ``ir`` the llvmlite builder.
    """

    def __init__(self, function: Any, target: Target) -> None:
        self.function = function
        self.module = function.module
        self.target = target
        self.entry = function.append_basic_block("entry")
        self.ir = ir.IRBuilder(self.entry)
