"""Seeds of the runs of models that draw random numbers."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["run_keys", "set_seed"]

_chosen: random.Random | None = None


def set_seed(seed: int | None) -> None:
    """Makes the random numbers of all later runs in this process depend on ``seed`` and the order of runs alone.

    With None, as at the beginning, every run draws numbers of its own. Nodes with a ``seed`` attribute keep to that.
    """
    global _chosen
    _chosen = None if seed is None else random.Random(seed)


def run_keys(count: int) -> npt.NDArray[Any]:
    """A generator's keys for one run of a region (uint64)."""
    chosen = _chosen
    raw = os.urandom(8 * count) if chosen is None else chosen.randbytes(8 * count)
    return np.frombuffer(raw, np.uint64)
