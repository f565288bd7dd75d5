"""Compiled code into this process: objects linked, the pool installed. Imports neither onnx nor onnx_ir."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sardonyx.lang.host import host_target
from sardonyx.lang.loader import load_objects
from sardonyx.lang.pool import POOL_SYMBOLS, pool_object
from sardonyx.runtime.native import NativeCode
from sardonyx.runtime.pool import PoolCode, code, install
from sardonyx.runtime.program import Region

__all__ = ["install_pool", "link_regions"]

_lock = threading.Lock()


def install_pool(compiled: bytes | None = None) -> None:
    """Makes sure that the process has its thread pool; ``compiled`` is its object code where a cache holds it."""
    if code() is not None:
        return  # without the lock, which another thread may hold while this process forks
    with _lock:
        if code() is None:
            loaded = load_objects([compiled or pool_object(host_target())], POOL_SYMBOLS)
            parallel, worker, stop, spin, now, repeat, entry = (loaded.addresses[name] for name in POOL_SYMBOLS)
            install(PoolCode(parallel, worker, stop, spin, now, repeat, entry, loaded))


def link_regions(regions: Sequence[Region], objects: Sequence[bytes]) -> NativeCode:
    """Links the objects of a model; gives the addresses of the regions' functions."""
    install_pool()
    pool = code()
    if pool is None:
        raise AssertionError("the pool was just installed")
    wanted = [name for region in regions for name in region.symbols_needed]
    loaded = load_objects(objects, wanted, pool.imports)
    return NativeCode(tuple(objects), loaded.addresses, loaded)
