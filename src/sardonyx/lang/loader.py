"""Object code into this process: bare addresses of its functions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm

__all__ = ["Loaded", "load_objects"]

_counter = itertools.count()
_jit: Any = None


class Loaded:
    """Objects in executable memory; ``addresses`` maps symbols to where they are. Freed when dropped."""

    def __init__(self, addresses: Mapping[str, int], tracker: Any) -> None:
        self.addresses = addresses
        self._tracker = tracker


def _compiler() -> Any:
    global _jit
    if _jit is None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        _jit = llvm.create_lljit_compiler(use_jit_link=False, suppress_errors=False)
    return _jit


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
    tracker = library.link(_compiler(), f"sardonyx.{next(_counter)}")
    return Loaded({name: tracker[name] for name in wanted}, tracker)
