"""Numbers as text and back, for Cast and CastLike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType

__all__ = ["from_text", "to_text"]

Array = npt.NDArray[Any]


def to_text(array: Array) -> Array:
    """Numbers as ONNX Runtime writes them: floats with up to 8 digits, ``NaN``, ``INF``, ``-INF``, bools as 0 or 1."""
    dtype = dtypes.from_numpy(array.dtype)
    if dtype is dtypes.string:
        return array
    if dtype.is_float:
        items = [_float_text(number) for number in array.astype(np.float64).reshape(-1).tolist()]
    else:
        items = [str(int(number)) for number in array.reshape(-1).tolist()]
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(array.shape)


def _float_text(number: float) -> str:
    if number != number:
        return "NaN"
    if number in (np.inf, -np.inf):
        return "INF" if number > 0 else "-INF"
    return f"{number:.8g}"


def from_text(array: Array, dtype: DType, *, saturate: bool) -> Array:
    """Text as numbers: ``1e5``, ``-INF``, ``NaN`` in any case; integers truncate and wrap. ValueError for others."""
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in array.reshape(-1).tolist()]
    if dtype.is_float:
        numbers = np.asarray([float(text) for text in texts], np.float64)
        if saturate and dtype.bits <= 8 and dtype is not dtypes.float8_e8m0fnu:
            largest = max(number for number in _numbers_of(dtype) if number < np.inf)
            numbers = numbers.clip(-largest, largest)
        with np.errstate(over="ignore"):
            return numbers.astype(dtype.numpy).reshape(array.shape)
    whole = [_integer(text) for text in texts]
    if dtype.kind == "b":
        return np.asarray([number != 0 for number in whole], np.bool_).reshape(array.shape)
    held = np.uint64 if dtype.kind == "u" else np.int64
    wrapped = np.asarray([number & 0xFFFF_FFFF_FFFF_FFFF for number in whole], np.uint64).view(held)
    return wrapped.astype(dtype.numpy).reshape(array.shape)


def _numbers_of(dtype: DType) -> list[float]:
    """All numbers of a type of eight bits or less."""
    codes: list[float] = np.arange(1 << dtype.bits, dtype=np.uint8).view(dtype.numpy).astype(np.float64).tolist()
    return codes


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        try:
            return int(float(text))
        except OverflowError:
            raise ValueError(f"{text!r} is no integer") from None
