"""Checks the values fed to a model and brings them into the form that a Program takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError, UnreadableInputError
from sardonyx.runtime.program import ValueSpec
from sardonyx.session.dlpack import array_from
from sardonyx.session.values import OrtValue

__all__ = ["check_names", "check_sizes", "normalised"]


def check_names(feeds: Mapping[str, Any], inputs: Sequence[ValueSpec]) -> None:
    """Raises InvalidInputError for a name the model does not have and for an input that is missing."""
    known = {spec.name for spec in inputs}
    unknown = [name for name in feeds if name not in known]
    missing = [
        s.name for s in inputs if s.name not in feeds and not s.overridable and not s.type.startswith("optional(")
    ]
    if unknown or missing:
        complaints = [f"unknown input {name!r}" for name in unknown] + [f"missing input {name!r}" for name in missing]
        listed = ", ".join(repr(describe(s)) for s in inputs) or "none"
        raise InvalidInputError(f"{'; '.join(complaints)}: the model's inputs are {listed}")


def describe(spec: ValueSpec) -> str:
    """An input in words: ``x: tensor(float) [N, 3, 224, 224]``."""
    sizes = "" if spec.shape is None else f" [{', '.join('?' if d is None else str(d) for d in spec.shape)}]"
    return f"{spec.name}: {spec.type}{sizes}"


def normalised(value: Any, spec: ValueSpec) -> Any:
    """The value as the program takes it; raises InvalidInputError when its type is not the input's.

    Tensors may come as numpy arrays of any memory order and byte order, numpy scalars, Python numbers and nested lists,
    objects with ``__dlpack__``, and values with ``numpy()``. Python numbers take the input's dtype where that keeps
    their value; arrays must have it.
    """
    if value is None:
        if spec.overridable or spec.type.startswith("optional("):
            return None
        raise _mismatch(spec, "None")
    value = _unwrapped(value)
    if spec.dtype is None:
        return _other_kind(value, spec)
    if isinstance(value, np.ndarray | np.generic):
        return _array(np.asarray(value), spec)
    if hasattr(value, "__dlpack__"):
        return _array(_from_dlpack(value, spec), spec)
    if isinstance(value, Mapping):
        raise _mismatch(spec, "a dictionary")
    return _from_python(value, spec)


def _unwrapped(value: Any) -> Any:
    return value.value if isinstance(value, OrtValue) else value


def _from_dlpack(value: Any, spec: ValueSpec) -> npt.NDArray[Any]:
    try:
        return array_from(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"input {spec.name!r}: a {type(value).__name__} could not be read through DLPack ({error}): "
            "only memory of the CPU can be shared"
        ) from error


def _array(array: npt.NDArray[Any], spec: ValueSpec) -> npt.NDArray[Any]:
    assert spec.dtype is not None
    if spec.dtype is dtypes.string:
        return _strings(array, spec)
    wanted = spec.dtype.numpy
    if array.dtype != wanted and array.dtype.newbyteorder("=") != wanted:
        raise _mismatch(spec, f"an array of {array.dtype} with shape {array.shape}")
    shape = array.shape
    return np.require(array, dtype=wanted, requirements=["C", "A"]).reshape(shape)


def _strings(array: npt.NDArray[Any], spec: ValueSpec) -> npt.NDArray[Any]:
    """An object array of ``str``; bytes are decoded."""
    if array.dtype.kind == "V":
        array = np.ascontiguousarray(array).view(f"S{array.dtype.itemsize}").reshape(array.shape)
    if array.dtype.kind not in "OSUT":
        raise _mismatch(spec, f"an array of {array.dtype} with shape {array.shape}")
    result = np.empty(array.shape, object)
    flat = result.reshape(-1)
    for position, item in enumerate(array.reshape(-1).tolist()):
        if isinstance(item, bytes):
            item = item.decode("utf-8", "surrogateescape")
        elif not isinstance(item, str):
            raise _mismatch(spec, f"an array that holds {type(item).__name__}")
        flat[position] = item
    return result


def _from_python(value: Any, spec: ValueSpec) -> npt.NDArray[Any]:
    """Numbers and nested lists, in the input's dtype."""
    assert spec.dtype is not None
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UnreadableInputError(f"input {spec.name!r}: not a rectangular tensor ({error})") from error
    if spec.dtype is dtypes.string:
        return _strings(array, spec)
    if array.size == 0:
        return np.zeros(array.shape, spec.dtype.numpy)
    if array.dtype.kind not in "biufc":
        raise _mismatch(spec, f"a {type(value).__name__}", UnreadableInputError)
    ranks = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
    if ranks[array.dtype.kind] > ranks[spec.dtype.kind] or (spec.dtype.kind == "b") != (array.dtype.kind == "b"):
        raise _mismatch(spec, f"Python values of the kind of {array.dtype}", UnreadableInputError)
    result = array.astype(spec.dtype.numpy)
    if spec.dtype.is_integer and not np.array_equal(result.astype(object), array.astype(object)):
        raise UnreadableInputError(f"input {spec.name!r}: a value does not fit in {spec.dtype}")
    return result


def _other_kind(value: Any, spec: ValueSpec) -> Any:
    """Sequences, maps and optionals go to their Python steps as they are."""
    if spec.type.startswith("seq(") and isinstance(value, list | tuple):
        return [v if isinstance(v, dict) else np.asarray(_unwrapped(v)) for v in value]
    if spec.type.startswith("map(") and isinstance(value, Mapping):
        return dict(value)
    if spec.type.startswith(("seq(", "map(")):
        raise _mismatch(spec, f"a {type(value).__name__}")
    return value


def check_sizes(value: Any, spec: ValueSpec) -> None:
    """Raises InvalidInputError when a tensor's rank or a fixed size is not the declared one."""
    if spec.shape is None or not isinstance(value, np.ndarray):
        return
    fits = value.ndim == len(spec.shape) and all(
        not isinstance(wanted, int) or wanted == got for wanted, got in zip(spec.shape, value.shape, strict=True)
    )
    if not fits:
        raise _mismatch(spec, f"an array of {value.dtype} with shape {value.shape}")


def _mismatch(spec: ValueSpec, got: str, kind: type[InvalidInputError] = InvalidInputError) -> InvalidInputError:
    advice = ""
    if spec.dtype is not None and got.startswith("an array of") and f"of {spec.dtype} " not in got:
        advice = f"; convert it with .astype({str(spec.dtype)!r})"
    return kind(f"input {spec.name!r}: expected {describe(spec)}, got {got}{advice}")
