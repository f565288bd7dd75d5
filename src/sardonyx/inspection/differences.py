"""How far two results are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes

__all__ = ["Difference", "Tolerance", "difference"]


@dataclass(frozen=True)
class Tolerance:
    """``|a - b| <= absolute + relative * |b|`` for floating-point numbers of 32 bits and more; everything else but
    floats of fewer bits must be equal. Those get as much more as their rounding is coarser."""

    relative: float = 1e-3
    absolute: float = 1e-4

    def of(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """(relative, absolute) for an element type."""
        kind = dtypes.from_numpy(dtype)
        if kind.kind not in "fc":
            return 0.0, 0.0
        coarser = {"float16": 10.0, "bfloat16": 40.0}.get(kind.name, 500.0 if kind.bits < 16 else 1.0)
        return self.relative * coarser, self.absolute * coarser


@dataclass(frozen=True)
class Difference:
    """Two values of one name. ``absolute`` and ``relative`` are the largest over all elements, ``where`` is the element
    that is furthest out of tolerance; ``reason`` says why values of different kind or shape cannot be compared."""

    name: str
    type: str
    same: bool
    absolute: float = 0.0
    relative: float = 0.0
    where: tuple[int, ...] = ()
    a: str = ""
    b: str = ""
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def difference(name: str, a: Any, b: Any, tolerance: Tolerance) -> Difference:
    """Compares two values: arrays by their elements, sequences and maps item by item."""
    if isinstance(a, np.ndarray | np.generic) and isinstance(b, np.ndarray | np.generic):
        return _arrays(name, np.asarray(a), np.asarray(b), tolerance)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        pairs = [(f"[{index}]", x, y) for index, (x, y) in enumerate(zip(a, b, strict=False))]
        kind, whole = f"sequence of {len(a)}", len(a) == len(b)
    elif isinstance(a, Mapping) and isinstance(b, Mapping):
        pairs = [(f"[{key!r}]", a[key], b[key]) for key in a if key in b]
        kind, whole = f"map of {len(a)}", a.keys() == b.keys()
    elif a is None and b is None:
        return Difference(name, "none", True)
    elif isinstance(a, int | float | str) and isinstance(b, int | float | str):
        return _arrays(name, np.asarray(a), np.asarray(b), tolerance)
    else:
        return Difference(name, type(a).__name__, False, reason=f"{type(a).__name__} against {type(b).__name__}")
    if not whole:
        return Difference(name, kind, False, reason=f"{len(a)} items against {len(b)}, or other keys")
    parts = [difference(f"{name}{suffix}", x, y, tolerance) for suffix, x, y in pairs]
    wrong = next((part for part in parts if not part.same), None)
    if wrong is not None:
        return wrong
    largest = max((part.absolute for part in parts), default=0.0), max((part.relative for part in parts), default=0.0)
    return Difference(name, kind, True, *largest)


def _arrays(name: str, a: npt.NDArray[Any], b: npt.NDArray[Any], tolerance: Tolerance) -> Difference:
    kind = f"{a.dtype} {list(a.shape)}"
    if a.shape != b.shape:
        return Difference(name, kind, False, reason=f"shape {list(a.shape)} against {list(b.shape)}")
    if a.dtype.kind in "OSUT" or b.dtype.kind in "OSUT":
        wrong = np.flatnonzero(a.astype(object).reshape(-1) != b.astype(object).reshape(-1))
        return _found(name, kind, a, b, wrong, 0.0, 0.0)
    if a.dtype != b.dtype:
        return Difference(name, kind, False, reason=f"{a.dtype} against {b.dtype}")
    wide: Any = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide).reshape(-1), b.astype(wide).reshape(-1)
    with np.errstate(all="ignore"):
        apart = np.abs(x - y)
        alike = (x == y) | (np.isnan(x) & np.isnan(y))
        apart[alike] = 0
        apart[np.isnan(apart)] = np.inf
        relative, absolute = tolerance.of(a.dtype)
        allowed = absolute + relative * np.abs(y)
        excess = np.where(
            alike | ((apart <= allowed) & np.isfinite(apart)), -1.0, apart - np.where(np.isfinite(allowed), allowed, 0)
        )
        ratio = np.where(alike, 0.0, apart / np.maximum(np.abs(y), np.finfo(np.float32).tiny))
    wrong = np.array([int(np.argmax(excess))]) if excess.size and excess.max() >= 0 else np.array([], np.int64)
    largest = float(apart.max(initial=0.0)), float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))
    return _found(name, kind, a, b, wrong, *largest)


def _found(
    name: str,
    kind: str,
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    wrong: npt.NDArray[Any],
    absolute: float,
    relative: float,
) -> Difference:
    if not wrong.size:
        return Difference(name, kind, True, absolute, relative)
    where = tuple(int(i) for i in np.unravel_index(int(wrong[0]), a.shape))
    return Difference(name, kind, False, absolute, relative, where, str(a[where]), str(b[where]))
