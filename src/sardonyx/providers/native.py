"""The native provider: from a model to a loaded Program, by the compiler or by the cache.

Two clocks: a model seen before is made from its cache entry alone, without importing onnx or onnx_ir.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sardonyx
from sardonyx.errors import UnsupportedOpError
from sardonyx.graph.source import Source, open_source
from sardonyx.options import SessionOptions
from sardonyx.providers.stored import read_program, write_program
from sardonyx.runtime import pool
from sardonyx.runtime.cache import DiskCache, Entry, default_cache
from sardonyx.runtime.late import LateStep
from sardonyx.runtime.processors import default_memory_limit
from sardonyx.runtime.program import Program

if TYPE_CHECKING:
    from sardonyx.graph import ModelSource
    from sardonyx.targets import Target

__all__ = ["open_program"]

_SETTLED_NS = 2_000_000_000
_COMPILER_ROOMS = (
    "compiler", "graph", "kernels", "lang", "ops", "passes", "providers", "runtime", "symbols", "targets",
)  # fmt: skip


def open_program(model: ModelSource | Source, options: SessionOptions) -> Program:
    """A program that is ready to run.

    Raises InvalidModelError, UnsupportedOpError (under ``options.strict`` also for what would run in Python) or
    MemoryLimitError.
    """
    program, key, source = _obtain(model, options)
    limit = options.memory_limit if options.memory_limit is not None else default_memory_limit()
    # pages of the file are given back as packing goes on: the peak is one copy of the weights, not two
    program.load(pool.team(options.intra_op_num_threads), limit, key, source.release_pages)
    return program


def _obtain(model: ModelSource | Source, options: SessionOptions) -> tuple[Program, str, Source]:
    """A program that is yet to be loaded, its key in the cache, and what it was made from."""
    options.report("opening the model", 0, 1)
    source = model if isinstance(model, Source) else open_source(model)
    for location, data in options.supplied.files.items():
        source.external.supply(location, data)
    cacheable = options.use_cache and not options.optimized_model_filepath and not _has_user_operators(source)
    cache = default_cache() if cacheable else None
    key, program = _from_cache(source, options, cache) if cache is not None else ("", None)
    if program is None:
        _install_pool(cache)
        from sardonyx.compiler import compile_model

        program = compile_model(source, options)
        if cache is not None:
            _into_cache(key, program, source, options, cache)
    elif options.strict:
        _refuse_python(program)
    for step in program.all_steps():
        if isinstance(step, LateStep):
            step.opener = lambda part: _obtain(part, options.for_part())[0]
    return program, key, source


def _has_user_operators(source: Source) -> bool:
    """Whether the model may have operators of the user's: nothing tells whether their code is still the same."""
    registry = sys.modules.get("sardonyx.ops.registry")  # who registers one has imported it; a warm start does not
    return registry is not None and any(name.encode() in source.scan.skeleton for _, name in registry.user_operators())


def _refuse_python(program: Program) -> None:
    steps = program.python_steps
    if steps:
        listed = ", ".join(f"{step.name} ({step.kernel})" for step in steps[:8])
        raise UnsupportedOpError(
            f"{len(steps)} node(s) have no native kernel: {listed}; without strict they run on the Python fallback"
        )


def _install_pool(cache: DiskCache | None) -> None:
    """The thread pool's code, which all models share, has an entry of its own."""
    if pool.code() is not None:
        return
    from sardonyx.compiler.load import install_pool
    from sardonyx.lang.host import host_target
    from sardonyx.lang.pool import pool_object

    key = _digest("pool", _environment())
    entry = cache.get(key) if cache is not None else None
    if entry is not None and "pool" in entry.blobs:
        install_pool(bytes(entry.blobs["pool"]))
        return
    compiled = pool_object(host_target())
    install_pool(compiled)
    if cache is not None:
        cache.put(key, {"kind": "pool"}, {"pool": compiled})


def _from_cache(source: Source, options: SessionOptions, cache: DiskCache) -> tuple[str, Program | None]:
    """The key of a model's entry, and the program where there is an entry."""
    key, entry = _find(source, options, cache)
    if entry is None:
        return key, None
    _install_pool(cache)
    try:
        return key, read_program(entry.header, entry.blobs, source)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
        return key, None  # an entry that is whole but makes no sense here is compiled anew and replaced


def _find(source: Source, options: SessionOptions, cache: DiskCache) -> tuple[str, Entry | None]:
    """The entry by the file's identity where that is known to lead to its content, else by the content."""
    alias = _alias(source, options)
    known = cache.get(alias) if alias is not None else None
    if known is not None and isinstance(known.header.get("content"), str):
        key = known.header["content"]
        return key, cache.get(key)
    key = _digest("model", source.content_hash(), options.compile_key(), _environment())
    entry = cache.get(key)
    if entry is not None and alias is not None:
        cache.put(alias, {"kind": "alias", "content": key}, {})
    return key, entry


def _into_cache(key: str, program: Program, source: Source, options: SessionOptions, cache: DiskCache) -> None:
    stored = write_program(program, source)
    if stored is None:
        return
    alias = _alias(source, options)
    header, blobs = stored
    name = source.path.name if source.path is not None else ""
    if cache.put(key, header | {"kind": "model", "model": name}, blobs) and alias is not None:
        cache.put(alias, {"kind": "alias", "content": key}, {})


def _alias(source: Source, options: SessionOptions) -> str | None:
    """A key by path, times and size; None for a file that changed so lately that its times may not tell."""
    identity = source.identity()
    if identity is None or source.changed_since(time.time_ns() - _SETTLED_NS):
        return None
    return _digest("alias", identity, options.compile_key(), _environment())


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@functools.cache
def _environment() -> list[str]:
    """What compiled code depends on besides model and options: the machine and the compiler."""
    from sardonyx.lang.host import code_generator, host_target

    target: Target = host_target()
    return [sardonyx.__version__, _source_state(), code_generator(), repr(target)]


def _source_state() -> str:
    """Size and time of the compiler's own files: an entry of an edited compiler is not taken for one of this."""
    root = Path(sardonyx.__file__).parent
    digest = hashlib.sha256()
    for room in _COMPILER_ROOMS:
        for folder, folders, files in os.walk(root / room):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(folder, name))
                    digest.update(f"{folder}/{name}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()
