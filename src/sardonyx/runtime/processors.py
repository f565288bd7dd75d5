"""How many processors this process may use, and how much memory."""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["affinity", "default_memory_limit", "default_threads", "worker_processors"]

_CGROUPS = Path("/sys/fs/cgroup")
_MASK_BITS = 1024  # processors that the pool can bind threads to
_UNKNOWN_MEMORY = 16 << 30


def affinity() -> list[int]:
    """The processors that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@functools.cache
def default_threads() -> int:
    """Threads that pay: one per core among the allowed processors, no more than the cgroup's share of time."""
    cores = {_core(cpu) for cpu in affinity()}
    return max(1, min(len(cores), _quota()))


def worker_processors() -> tuple[int, list[int]]:
    """The processor that the calling thread is on, and places for other threads, those on other cores first.

    The list is empty where the system does not tell.
    """
    try:
        current = int(ctypes.CDLL(None).sched_getcpu())
    except (OSError, AttributeError):
        return -1, []
    taken = {_core(current)}
    first: list[int] = []
    second: list[int] = []
    for cpu in affinity():
        if cpu != current and cpu < _MASK_BITS:
            (second if _core(cpu) in taken else first).append(cpu)
            taken.add(_core(cpu))
    return current, first + second


def _core(cpu: int) -> str:
    """A name shared by the hardware threads of one core: they share its vector units."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Processors' worth of time that the tightest enclosing cgroup grants (version 2, then 1)."""
    best = math.inf
    for folder in _own_groups():
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
            best = min(best, int(words[0]) / int(words[1]))
    quota, period = _read(_CGROUPS / "cpu/cpu.cfs_quota_us"), _read(_CGROUPS / "cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        best = min(best, int(quota) / int(period))
    return 1 << 20 if best == math.inf else max(1, math.ceil(best))


def _own_groups() -> Iterator[Path]:
    """The folders of this process's cgroup and of those around it."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            folder = _CGROUPS / path.lstrip("/")
            while folder != _CGROUPS and _CGROUPS in folder.parents:
                yield folder
                folder = folder.parent
    yield _CGROUPS


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def default_memory_limit() -> int:
    """Bytes that one run may allocate unless the session says otherwise.

    Most of what the machine or cgroup has, and no more than what is left of the process's own limits.
    """
    return min(int(0.8 * _installed_memory()), _unused_address_space())


@functools.cache
def _installed_memory() -> int:
    best = _UNKNOWN_MEMORY
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        best = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for folder in _own_groups():
        limit = _read(folder / "memory.max")
        if limit.isdigit():
            best = min(best, int(limit))
    legacy = _read(_CGROUPS / "memory/memory.limit_in_bytes")
    if legacy.isdigit():
        best = min(best, int(legacy))
    return best


def _unused_address_space() -> int:
    try:
        import resource
    except ImportError:
        return 1 << 47
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return 1 << 47
    pages = _read(Path("/proc/self/statm")).split()
    used = int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0
    return max(0, soft - used)
