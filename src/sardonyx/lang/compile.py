"""LLVM assembly to object code. Needs nothing but text and a target, so that it can run in a worker process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import NewPassManager

from sardonyx.targets import Target

__all__ = ["assembly", "compile_text", "optimised_text"]


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.lru_cache(maxsize=16)
def target_machine(target: Target) -> Any:
    """LLVM's code generator for a target: position independent, small code model."""
    _initialise()
    found = llvm.Target.from_triple(target.triple)
    machine = found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
    )
    machine.set_asm_verbosity(False)
    return machine


@contextmanager
def _optimised(text: str, target: Target, level: int) -> Iterator[Any]:
    """The module after LLVM's passes; it and its context (all types and constants ever met) are freed on leaving."""
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        machine = target_machine(target)
        module.data_layout = str(machine.target_data)
        module.verify()
        tuning = llvm.create_pipeline_tuning_options(speed_level=level)
        tuning.loop_vectorization = False  # kernels are written with explicit vectors
        tuning.slp_vectorization = False
        with llvm.create_pass_builder(machine, tuning) as builder:
            passes = builder.getModulePassManager()
            try:
                passes.run(module, builder)
            finally:
                NewPassManager._dispose(passes)  # llvmlite's own inherits a _dispose that does nothing: 80 KB a module
                passes.detach()
        yield module


def compile_text(text: str, target: Target, level: int = 2) -> bytes:
    """Compiles one module to a relocatable object file of the target.

    Raises RuntimeError with LLVM's message when the text is not valid. Leaves 1.5 KB behind, LLVM's
    PassInstrumentationCallbacks, which llvmlite makes for each module and has no way to free.
    """
    with _optimised(text, target, level) as module:
        return bytes(target_machine(target).emit_object(module))


def optimised_text(text: str, target: Target, level: int = 2) -> str:
    """The module after LLVM's passes, for people who look into it."""
    with _optimised(text, target, level) as module:
        return str(module)


def assembly(text: str, target: Target, level: int = 2) -> str:
    """The module as assembly of the target, for people who look into it."""
    with _optimised(text, target, level) as module:
        return str(target_machine(target).emit_assembly(module))
