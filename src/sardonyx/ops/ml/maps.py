"""Maps (Python dictionaries): ZipMap, DictVectorizer, CastMap of ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.registry import op

__all__ = ["CastMap", "DictVectorizer", "ZipMap"]

Key = int | str


def _one_of(first: Sequence[Key] | None, second: Sequence[Key] | None, names: str) -> Sequence[Key]:
    """The one of two lists that is given; ValueError otherwise."""
    given = [keys for keys in (first, second) if keys]
    if len(given) != 1:
        raise ValueError(f"it must have exactly one of the attributes {names}")
    return given[0]


@op("ZipMap", "ai.onnx.ml")
class ZipMap(Op):
    """A list with a dictionary for each row: its labels' scores."""

    classlabels_int64s: tuple[int, ...] | None = None
    classlabels_strings: tuple[str, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        try:
            self._labels  # noqa: B018  # wrong attributes are found when the model is loaded
        except ValueError as error:
            ctx.fail(str(error))
        return (TensorInfo(),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    @cached_property
    def _labels(self) -> Sequence[Key]:
        names = "classlabels_int64s and classlabels_strings"
        return _one_of(self.classlabels_int64s, self.classlabels_strings, names)

    def host(self, *values: Any) -> Sequence[Any]:
        scores = np.asarray(values[0])
        if scores.ndim not in (1, 2) or scores.shape[-1] != len(self._labels):
            raise ValueError(f"the input has shape {scores.shape}; expected (n, {len(self._labels)})")
        rows = scores.reshape(-1, len(self._labels)).tolist()
        return [[dict(zip(self._labels, row, strict=True)) for row in rows]]


@op("DictVectorizer", "ai.onnx.ml")
class DictVectorizer(Op):
    """The values of a dictionary in the order of a vocabulary, as one row; 0 (or "") for keys it has not."""

    int64_vocabulary: tuple[int, ...] | None = None
    string_vocabulary: tuple[str, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (TensorInfo(),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    @cached_property
    def _vocabulary(self) -> Sequence[Key]:
        return _one_of(self.int64_vocabulary, self.string_vocabulary, "int64_vocabulary and string_vocabulary")

    def host(self, *values: Any) -> Sequence[Any]:
        given = _dictionary(values[0])
        text = any(isinstance(value, str) for value in given.values())
        row = [given.get(key, "" if text else 0) for key in self._vocabulary]
        return [np.array([row], object) if text else _numbers(row, given)]


def _numbers(row: Sequence[Any], given: Mapping[Key, Any]) -> npt.NDArray[Any]:
    """A row of numbers: int64, or the float type of the dictionary's values (float32 for Python's)."""
    kinds = {np.asarray(value).dtype for value in given.values()}
    if all(kind.kind in "iu" for kind in kinds) and kinds:
        return np.array([row], np.int64)
    double = any(isinstance(value, np.float64) for value in given.values())
    return np.array([row], np.float64 if double and not _plain(given) else np.float32)


def _plain(given: Mapping[Key, Any]) -> bool:
    return all(type(value) is float for value in given.values())


def _dictionary(value: Any) -> Mapping[Key, Any]:
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"expected a dictionary, got a {type(value).__name__}")


@op("CastMap", "ai.onnx.ml")
class CastMap(Op):
    """The values of a dictionary with integer keys as one row, in the order of the keys ("DENSE") or each at the place
    that its key says ("SPARSE", ``max_map`` places)."""

    cast_to: str = "TO_FLOAT"
    map_form: str = "DENSE"
    max_map: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (TensorInfo(),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        given = _dictionary(values[0])
        casts: dict[str, tuple[Any, npt.DTypeLike, Any]] = {
            "TO_FLOAT": (float, np.float32, 0.0),
            "TO_INT64": (lambda value: int(float(value)), np.int64, 0),
            "TO_STRING": (str, object, ""),
        }
        if self.cast_to not in casts or self.map_form not in ("DENSE", "SPARSE"):
            raise ValueError(f"cast_to is {self.cast_to!r} and map_form {self.map_form!r}, which are not defined")
        cast, dtype, empty = casts[self.cast_to]
        if self.map_form == "DENSE":
            return [np.array([[cast(given[key]) for key in sorted(given)]], dtype)]
        wrong = [key for key in given if not 0 <= int(key) < self.max_map]
        if wrong:
            raise ValueError(f"key {wrong[0]} is outside of the {self.max_map} places of max_map")
        row = np.full((1, self.max_map), empty, dtype)
        for key, value in given.items():
            row[0, int(key)] = cast(value)
        return [row]
