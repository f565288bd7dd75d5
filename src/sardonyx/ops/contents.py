"""Symbolic contents of small integer tensors: the arithmetic that exporters do on shapes, followed at compile time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sardonyx.dtypes import DType
from sardonyx.errors import ModelTooLargeError
from sardonyx.graph.info import TensorInfo
from sardonyx.symbols import Dim, bounds

__all__ = ["LIMIT", "contents", "symbolic_contents", "symbolic_equal", "symbolic_less"]

LIMIT = 64
"""Tensors with more elements than this are not followed."""


def contents(info: TensorInfo | None) -> tuple[Dim, ...] | None:
    """The elements of an integer or bool tensor of rank 0 or 1, where they are known (bools as 0 and 1)."""
    if info is None or info.rank is None or info.rank > 1 or info.dtype is None or info.dtype.kind not in "iub":
        return None
    if info.values is None and info.const is not None and info.const.size <= LIMIT:
        return tuple(int(v) for v in np.asarray(info.const).reshape(-1))
    return info.values


def symbolic_contents(
    inputs: Sequence[TensorInfo | None],
    shape: tuple[Dim, ...] | None,
    dtype: DType | None,
    operation: Callable[..., Dim | None],
) -> tuple[Dim, ...] | None:
    """``operation`` on every element of the broadcast inputs; None where one is unknown or leaves the dtype's range."""
    if shape is None or len(shape) > 1 or dtype is None or dtype.kind not in "iub":
        return None
    length = shape[0] if shape else 1
    if not isinstance(length, int) or length > LIMIT:
        return None
    operands: list[tuple[Dim, ...]] = []
    for info in inputs:
        if info is None:
            continue
        known = contents(info)
        if known is None or len(known) not in (1, length):
            return None
        operands.append(known if len(known) == length else known * length)
    results: list[Dim] = []
    for elements in zip(*operands, strict=True):
        try:
            result = operation(*elements)
        except ModelTooLargeError:
            return None
        if result is None or not _fits(result, dtype):
            return None
        results.append(result)
    return tuple(results)


def _fits(value: Dim, dtype: DType) -> bool:
    if dtype.kind == "b":
        low, high = 0, 1
    elif dtype.kind == "u":
        low, high = 0, (1 << dtype.bits) - 1
    else:
        low, high = -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1
    if isinstance(value, int):
        return low <= value <= high
    least, _ = bounds(value)
    return dtype.kind == "i" or (least is not None and least >= 0)  # sizes stay far from the upper end


def symbolic_equal(a: Dim, b: Dim) -> Dim | None:
    """1 or 0 where it is certain whether two sizes are equal."""
    if isinstance(difference := a - b, int):
        return int(difference == 0)
    low, high = bounds(difference)
    return 0 if (low is not None and low > 0) or (high is not None and high < 0) else None


def symbolic_less(a: Dim, b: Dim) -> Dim | None:
    """1 or 0 where it is certain whether ``a`` is smaller than ``b``."""
    low, high = bounds(a - b)
    if high is not None and high < 0:
        return 1
    return 0 if low is not None and low >= 0 else None
