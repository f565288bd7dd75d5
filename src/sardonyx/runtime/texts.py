"""Strings in native code: every string of a run is interned, and what the code moves are the handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        handles = _Handles(self._known)
        arrays = list(arrays)
        for k in self._text_inputs:
            arrays[k] = handles.of(arrays[k], self.inputs[k])
        results = super().run(arrays, profile)
        texts = np.concatenate([self._texts, _objects(handles.fresh)]) if handles.fresh else self._texts
        for k in self._text_outputs:
            results[k] = texts[results[k].reshape(-1)].reshape(results[k].shape)
        return results


class _Handles(dict[Any, int]):
    """The handles of a run's strings; those that the region does not know are listed in ``fresh`` as they come."""

    def __init__(self, known: Mapping[str, int]) -> None:
        super().__init__()
        self.fresh: list[str] = []
        self._known = known

    def __missing__(self, item: Any) -> int:
        text = item.decode() if isinstance(item, bytes) else item
        if not isinstance(text, str):
            raise TypeError(f"a {type(item).__name__} is no string")
        handle = self._known.get(text)
        if handle is None and text is not item:
            handle = self[text]
        if handle is None:
            handle = len(self._known) + len(self.fresh)
            self.fresh.append(text)
        self[item] = handle
        return handle

    def of(self, array: Array, name: str) -> Array:
        """The handles of an array of strings."""
        items = array.reshape(-1).tolist()
        try:
            numbers = np.fromiter(map(self.__getitem__, items), np.int64, len(items))
        except (TypeError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"value {name!r}: expected strings, got {array.dtype} ({error})") from error
        return numbers.reshape(array.shape)


def _objects(texts: Sequence[str]) -> Array:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def native_step(region: Region, code: NativeCode, weights: Sequence[Array]) -> NativeStep:
    """The step of a region."""
    kind = NativeStep if region.strings is None else TextStep
    return kind(region, code, weights)
