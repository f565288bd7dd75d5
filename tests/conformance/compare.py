"""Is a result what the specification's test expects?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Mismatch", "compare"]

# bfloat16 keeps 8 significant bits: one rounding is 2**-8, and a chain of a few operators rounds more than once.
BFLOAT16_RTOL = 2.0**-6


class Mismatch(Exception):
    """A result differs from what is expected."""


def compare(got: Any, expected: Any, *, rtol: float, atol: float, values: bool = True, where: str = "output") -> None:
    """Raises Mismatch unless ``got`` has the kind, dtype, shape and, where ``values``, the contents of ``expected``."""
    if expected is None or got is None:
        _require(expected is None and got is None, f"{where}: got {_kind(got)}, expected {_kind(expected)}")
    elif isinstance(expected, dict):
        _require(isinstance(got, dict), f"{where}: got {_kind(got)}, expected a map")
        _require(list(got) == list(expected), f"{where}: keys {list(got)}, expected {list(expected)}")
        for key, item in expected.items():
            compare(got[key], item, rtol=rtol, atol=atol, values=values, where=f"{where}[{key!r}]")
    elif isinstance(expected, list | tuple):
        _require(isinstance(got, list | tuple), f"{where}: got {_kind(got)}, expected a sequence")
        compare_all(got, expected, rtol=rtol, atol=atol, values=values, where=where)
    else:
        _compare_arrays(np.asarray(got), np.asarray(expected), rtol, atol, values, where)


def compare_all(
    got: Sequence[Any], expected: Sequence[Any], *, rtol: float, atol: float, values: bool = True, where: str = "output"
) -> None:
    """Compares two sequences element by element; raises Mismatch, also where their lengths differ."""
    _require(len(got) == len(expected), f"{where}: {len(got)} items, expected {len(expected)}")
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        compare(one, other, rtol=rtol, atol=atol, values=values, where=f"{where}[{index}]")


def _compare_arrays(got: np.ndarray, expected: np.ndarray, rtol: float, atol: float, values: bool, where: str) -> None:
    _require(got.shape == expected.shape, f"{where}: shape {got.shape}, expected {expected.shape}")
    if expected.dtype.kind in "OSU":
        _require(_strings(got) == _strings(expected), f"{where}: strings differ")
        return
    _require(got.dtype == expected.dtype, f"{where}: dtype {got.dtype}, expected {expected.dtype}")
    if not values:
        return
    if expected.dtype.kind not in "biufc":  # the small types of ml_dtypes know no isclose
        if expected.dtype.name == "bfloat16":
            rtol = max(rtol, BFLOAT16_RTOL)
        got, expected = got.astype(np.float32), expected.astype(np.float32)
    close = np.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if not close.all():
        first = tuple(int(i) for i in np.argwhere(~close)[0])
        raise Mismatch(
            f"{where}: {int((~close).sum())} of {close.size} differ, first at {first}: "
            f"{got[first]!s}, expected {expected[first]!s}"
        )


def _strings(array: np.ndarray) -> list[str]:
    return [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel().tolist()]


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Mismatch(message)
