"""The thread pool of the process: memory, threads and teams around the native code of ``lang.pool``.

The threads are Python daemon threads that enter the native loop once and stay there, without the interpreter's lock.
They spin for about 50 us after a job and then sleep in the kernel. Each is bound to a processor of its own as long as
there are enough of them; one is left to the caller. A fork leaves the child without threads: it makes
new ones at its first run. At exit the threads are told to return before the code they run is unloaded.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from dataclasses import dataclass

from sardonyx.runtime.processors import default_threads, worker_processors

__all__ = ["SERIAL", "PoolCode", "ThreadTeam", "code", "install", "team"]

MAX_THREADS = 256
_SPIN_SECONDS = 50e-6
_STACK = 4 << 20  # kernels keep their scratch space under 64 KiB; this is room for the C library as well

# Positions of words; the numbers of sardonyx.lang.pool.
_LINE = 8
_SEGMENTS = 56
_SPIN, _FREE = 49, 51
_PROCESSOR = 2
_CACHE_LINE = 64

_WORKER = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)


@dataclass(frozen=True)
class PoolCode:
    """Addresses of the pool's native functions; ``owner`` keeps the loaded object alive.

    ``parallel`` and ``now`` are to be imported by regions under the names ``sardonyx_parallel`` and ``sardonyx_now``;
    ``repeat`` is called by ``runtime.repeat``, ``entry`` is the C function of ``runtime.entry``.
    """

    parallel: int
    worker: int
    stop: int
    spin: int
    now: int
    repeat: int
    entry: int
    owner: object

    @property
    def imports(self) -> dict[str, int]:
        """The functions that regions call, by linker symbol."""
        return {"sardonyx_parallel": self.parallel, "sardonyx_now": self.now}


class _Pool:
    """The words the native code works on, and the threads in it."""

    def __init__(self, native: PoolCode) -> None:
        words = _SEGMENTS + MAX_THREADS * _LINE
        self._memory = (ctypes.c_int64 * (words + _LINE))()
        start = ctypes.addressof(self._memory)
        self.address = start + -start % _CACHE_LINE
        self._native = native
        self._worker = _WORKER(native.worker)
        self._threads: list[threading.Thread] = []
        self._set(_SPIN, self._spin_turns())
        caller, self._places = worker_processors()
        self._set(_FREE, caller)

    def _set(self, word: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + 8 * word).value = value

    def _spin_turns(self) -> int:
        """Turns of the waiting loop in ``_SPIN_SECONDS``."""
        spin, turns, word = _WORKER(self._native.spin), 1000, ctypes.c_int64(0)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            spin(ctypes.addressof(word), turns)
            best = min(best, time.perf_counter() - start)
        return max(1, int(turns * _SPIN_SECONDS / max(best, 1e-7)))

    def grow(self, threads: int) -> None:
        """Starts workers until the pool has ``threads`` threads with the caller; fewer where the system refuses."""
        previous = threading.stack_size(_STACK)
        try:
            while len(self._threads) < threads - 1:
                index = len(self._threads)
                place = self._places[index] if index < len(self._places) else -1
                self._set(_SEGMENTS + (index + 1) * _LINE + _PROCESSOR, place)
                thread = threading.Thread(
                    target=self._worker, args=(self.address, index), name=f"sardonyx-{index + 1}", daemon=True
                )
                thread.start()
                self._threads.append(thread)
        except RuntimeError:
            pass  # the limit of threads is reached, or the interpreter is shutting down: fewer workers do the same work
        finally:
            threading.stack_size(previous)

    def stop(self) -> None:
        """Makes idle workers return; waits for them a moment."""
        _WORKER(self._native.stop)(self.address, len(self._threads))
        for thread in self._threads:
            thread.join(1.0)


class ThreadTeam:
    """The right to use ``threads`` threads of the pool; its ``address`` is what native code takes."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._words = (ctypes.c_int64 * 2)(0, 1)
        self._pool: _Pool | None = None

    @property
    def address(self) -> int:
        """The team for ``sardonyx_parallel``: 0 for one thread. Makes the threads when they are needed first."""
        if self.threads == 1:
            return 0
        if self._pool is None or self._pool is not _pool:
            self._attach()
        return ctypes.addressof(self._words)

    def _attach(self) -> None:
        self._pool = _shared_pool(self.threads)
        self._words[0], self._words[1] = self._pool.address, self.threads


SERIAL = ThreadTeam(1)

_lock = threading.Lock()
_code: PoolCode | None = None
_pool: _Pool | None = None


def install(native: PoolCode) -> None:
    """Gives the process its pool code; the first one stays, so that all regions share one pool."""
    global _code
    with _lock:
        if _code is None:
            _code = native


def code() -> PoolCode | None:
    """The installed code, or None before the first ``install``."""
    return _code


def team(threads: int = 0) -> ThreadTeam:
    """A team of ``threads`` threads with the caller; 0 takes one per core that the process may use."""
    wanted = threads if threads > 0 else default_threads()
    return ThreadTeam(max(1, min(wanted, MAX_THREADS)))


def _shared_pool(threads: int) -> _Pool:
    global _pool
    with _lock:
        if _code is None:
            raise RuntimeError("the pool's native code is not installed")
        if _pool is None:
            _pool = _Pool(_code)
        _pool.grow(threads)
        return _pool


def _forget_after_fork() -> None:
    global _lock, _pool
    _lock = threading.Lock()  # another thread of the parent may have held it
    _pool = None


def _stop_at_exit() -> None:
    if _pool is not None:
        _pool.stop()


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
