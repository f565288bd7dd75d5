"""Object code into this process: bare addresses of its functions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm

__all__ = ["Loaded", "load_objects"]

_LIBRARIES_EACH = 32
_counter = itertools.count()
_jit: Any = None


class Loaded:
    """Objects in executable memory; ``addresses`` maps symbols to where they are. Freed when dropped."""

    def __init__(self, addresses: Mapping[str, int], tracker: Any) -> None:
        self.addresses = addresses
        self._tracker = tracker


def _linker(number: int) -> Any:
    """LLVM's linker for the library of this number.

    A library that was dropped leaves 10 KB in its linker (the emptied JITDylib and its names; llvmlite has no call that
    removes them). So a linker takes a few libraries only, and goes with the last of them: to make one takes 0.7 ms.
    There is no lock, which another thread could hold while this process forks.
    """
    global _jit
    jit = _jit
    if jit is None or number % _LIBRARIES_EACH == 0:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        jit = _jit = llvm.create_lljit_compiler(use_jit_link=False, suppress_errors=False)
    return jit


def load_objects(objects: Sequence[bytes], symbols: Iterable[str], imports: Mapping[str, int] | None = None) -> Loaded:
    """Links object files into this process.

    ``symbols`` are the functions whose addresses are wanted, ``imports`` addresses the objects may refer to by name
    (kernels of other objects, the runtime); the C library is visible as it is. Raises RuntimeError when a symbol is
    missing or an object is damaged.
    """
    library = llvm.JITLibraryBuilder().add_current_process()
    for code in objects:
        library = library.add_object_img(code)
    wanted = list(symbols)
    for name, address in (imports or {}).items():
        library = library.import_symbol(name, address)
    for name in wanted:
        library = library.export_symbol(name)
    number = next(_counter)
    tracker = library.link(_linker(number), f"sardonyx.{number}")
    return Loaded({name: tracker[name] for name in wanted}, tracker)
