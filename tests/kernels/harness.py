"""Runs one kernel on numpy arrays, on one thread or with its tasks split in several ways."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lang.harness import addresses, chosen
from sardonyx.kernels.spec import Kernel, kernel_text, symbol_name
from sardonyx.lang.compile import compile_text
from sardonyx.lang.loader import load_objects
from sardonyx.targets import Target

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_loaded: dict[str, Any] = {}


def function(kernel: Kernel, target: Target | None = None) -> Any:
    """The compiled kernel as a ctypes function."""
    target = chosen(target)
    name = symbol_name(kernel, target)
    if name not in _loaded:
        loaded = load_objects([compile_text(kernel_text(kernel, target), target)], [name])
        _loaded[name] = (loaded, _SIGNATURE(loaded.addresses[name]))
    return _loaded[name][1]


def run_kernel(
    kernel: Kernel,
    buffers: Sequence[npt.NDArray[Any]],
    sizes: Sequence[int],
    tasks: int,
    splits: int = 1,
    target: Target | None = None,
    bounds: Sequence[tuple[int, int]] | None = None,
) -> int:
    """Runs all tasks, in ``splits`` calls of about equal length; returns the first status that is not zero.

    ``bounds`` are those of the memory that each buffer is part of (see ``lang.harness.addresses``).
    """
    call = function(kernel, target)
    pointers, _words = addresses(buffers, bounds)
    numbers = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
    edges = np.linspace(0, tasks, splits + 1).astype(int)
    for begin, end in itertools.pairwise(edges):
        status = int(call(pointers, numbers, int(begin), int(end)))
        if status:
            return status
    return 0
