"""Values of a graph under construction, and how far an honest engine's results may lie from them.

Every value is kept in several *tracks*: the truth, as onnx's reference computes it, and shadows in which each rounding
operator moves its operands and its results by a few units in the last place, at random. How far the shadows are from
the truth says how much rounding matters there; a decision (a comparison, an index, a rounding) that differs between
tracks is too near to an edge, and its operator is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Track = list[Array]
"""A value in each variant of the inputs' sizes."""

SHADOWS = 2
ULPS = 4.0
FLOATS = (np.float16, np.float32, np.float64)
LARGEST = {np.dtype(np.float16): 1e3, np.dtype(np.float32): 1e5, np.dtype(np.float64): 1e5}
WILDEST = {np.dtype(np.float16): 3e-2, np.dtype(np.float32): 3e-4, np.dtype(np.float64): 1e-10}
"""The most that shadows may differ from the truth, for each unit of the largest number."""


@dataclass
class Value:
    """One tensor: ``tracks[0]`` is the truth, the others are shadows; ``kind`` is input, constant or node."""

    name: str
    tracks: list[Track]
    kind: str

    @property
    def truth(self) -> Track:
        return self.tracks[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.truth[0].dtype

    @property
    def rank(self) -> int:
        return self.truth[0].ndim

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes; None where the variants differ."""
        sizes = zip(*(array.shape for array in self.truth), strict=True)
        return tuple(one[0] if len(set(one)) == 1 else None for one in sizes)

    @property
    def fixed(self) -> tuple[int, ...] | None:
        """The sizes, where all of them are the same in every variant."""
        shape = tuple(size for size in self.shape if size is not None)
        return shape if len(shape) == self.rank else None

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    @property
    def smallest(self) -> tuple[int, ...]:
        """The least size of each axis in any variant."""
        return tuple(min(sizes) for sizes in zip(*(array.shape for array in self.truth), strict=True))

    def within(self, low: float, high: float) -> bool:
        """Whether all numbers, in all tracks, lie between the two."""
        return all(low <= array.min() and array.max() <= high for one in self.tracks for array in one if array.size)


def coarse(array: Array) -> bool:
    """Whether the numbers are small multiples of 1/16, of which sums and products are exact in any order."""
    if array.dtype.kind != "f":
        return True
    scaled = array.astype(np.float64) * 16
    bound = 2.0**7 if array.dtype == np.float16 else 2.0**14
    return bool(np.all(scaled == np.rint(scaled)) and np.all(np.abs(scaled) < bound))


def shaken(array: Array, rng: np.random.Generator) -> Array:
    """The numbers moved by up to a few units in the last place; small multiples of 1/16 stay, they are exact."""
    if coarse(array):
        return array
    moved = array.astype(np.float64) * (1 + ULPS * np.finfo(array.dtype).eps * rng.uniform(-1, 1, array.shape))
    return np.asarray(moved, array.dtype)


def sane(arrays: list[Track]) -> bool:
    """Whether a value in all tracks is finite, not too large, and decided alike."""
    truth = arrays[0]
    for k, array in enumerate(truth):
        shadows = [track[k] for track in arrays[1:]]
        if any(shadow.shape != array.shape or shadow.dtype != array.dtype for shadow in shadows):
            return False
        if array.dtype.kind != "f":
            if any(not np.array_equal(shadow, array) for shadow in shadows):
                return False
        elif array.size:
            largest = np.abs(array).max()
            if not np.isfinite(array).all() or largest > LARGEST[array.dtype]:
                return False
            if not spread([track[k] for track in arrays]) <= WILDEST[array.dtype] * max(float(largest), 1e-3):
                return False
    return len({array.ndim for array in truth}) == 1


def spread(tracks: list[Array]) -> float:
    """How far the shadows of one tensor lie from its truth, at the most."""
    truth = tracks[0].astype(np.float64)
    return max((float(np.abs(shadow - truth).max()) for shadow in tracks[1:] if truth.size), default=0.0)


def tolerance(tracks: list[Array]) -> tuple[float, float]:
    """(relative, absolute) tolerance of results of an honest engine."""
    dtype = tracks[0].dtype
    if dtype.kind != "f":
        return 0.0, 0.0
    return 8 * float(np.finfo(dtype).eps), 8 * spread(tracks) + 4 * float(np.finfo(dtype).tiny)


def difference(got: Any, tracks: list[Array]) -> str:
    """What is wrong with a result, in words; empty if nothing is."""
    want = tracks[0]
    if not isinstance(got, np.ndarray) or got.dtype != want.dtype:
        return f"{getattr(got, 'dtype', type(got))} instead of {want.dtype}"
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    relative, absolute = tolerance(tracks)
    if want.dtype.kind != "f":
        bad = got != want
    else:
        error = np.abs(got.astype(np.float64) - want.astype(np.float64))
        bad = ~(error <= absolute + relative * np.abs(want.astype(np.float64)))
    if not bad.any():
        return ""
    place = tuple(int(k) for k in np.argwhere(bad)[0])
    count = int(np.count_nonzero(bad))
    return f"{count} of {want.size} wrong, at {place} {got[place]} instead of {want[place]} (+-{absolute:.2g})"
