"""Strings in native code: every string of a run is interned, and what the code moves are the handles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError
from sardonyx.runtime.native import NativeCode, NativeStep
from sardonyx.runtime.region import Region

__all__ = ["TextStep", "native_step"]

Array: TypeAlias = npt.NDArray[Any]


class TextStep(NativeStep):
    """A native step with strings among its inputs or outputs.

    Handles count the different strings of a run, those known to the region first, of which 0 is the empty string; equal
    strings have equal handles. Code only moves and compares handles, so that none but these come out again.
    """

    def __init__(self, region: Region, code: NativeCode, weights: Sequence[Array]) -> None:
        super().__init__(region, code, weights)
        known = region.strings or ("",)
        self._known = {text: handle for handle, text in enumerate(known)}
        self._texts = _objects(known)
        self._text_inputs = [k for k, spec in enumerate(region.inputs) if spec.dtype is dtypes.string]
        self._text_outputs = [k for k, spec in enumerate(region.outputs) if spec.dtype is dtypes.string]

    def run(self, arrays: list[Array], profile: Array | None = None) -> list[Array]:
        """As ``NativeStep.run``; strings are arrays of ``str``."""
        fresh: dict[str, int] = {}
        arrays = list(arrays)
        for k in self._text_inputs:
            arrays[k] = self._interned(arrays[k], fresh, self.inputs[k])
        results = super().run(arrays, profile)
        texts = np.concatenate([self._texts, _objects(tuple(fresh))]) if fresh else self._texts
        for k in self._text_outputs:
            results[k] = texts[results[k].reshape(-1)].reshape(results[k].shape)
        return results

    def _interned(self, array: Array, fresh: dict[str, int], name: str) -> Array:
        """The handles of an array of strings; those that are new are added to ``fresh``."""
        if array.dtype.kind not in "OSUT":
            raise InvalidInputError(f"value {name!r}: expected strings, got {array.dtype}")
        known, first = self._known, len(self._known)
        handles = np.empty(array.size, np.int64)
        for place, item in enumerate(array.reshape(-1).tolist()):
            text = item.decode() if isinstance(item, bytes) else item
            if not isinstance(text, str):
                raise InvalidInputError(f"value {name!r}: expected strings, got {type(item).__name__}")
            handle = known.get(text)
            handles[place] = fresh.setdefault(text, first + len(fresh)) if handle is None else handle
        return handles.reshape(array.shape)


def _objects(texts: Sequence[str]) -> Array:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def native_step(region: Region, code: NativeCode, weights: Sequence[Array]) -> NativeStep:
    """The step of a region."""
    kind = NativeStep if region.strings is None else TextStep
    return kind(region, code, weights)
