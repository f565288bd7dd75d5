"""ArgMax, ArgMin and Hardmax against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import run_record
from sardonyx.errors import InvalidModelError
from sardonyx.ops.argmax import ArgMax, ArgMin, Hardmax

Array = npt.NDArray[Any]


def expected(x: Array, axis: int, keepdims: int, last: int, largest: bool) -> Array:
    choose = np.argmax if largest else np.argmin
    if last:
        return np.asarray(x.shape[axis] - 1 - choose(np.flip(x, axis), axis, keepdims=bool(keepdims)))
    return np.asarray(choose(x, axis, keepdims=bool(keepdims)))


def check(x: Array, axis: int, keepdims: int = 1, last: int = 0, **options: Any) -> None:
    for record in (ArgMax, ArgMin):
        made = record(axis=axis, keepdims=keepdims, select_last_index=last)
        got = run_record(made, [x], **options)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, expected(x, axis, keepdims, last, record is ArgMax))


@pytest.mark.parametrize("seed", range(10))
def test_random_shapes_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.choice([1, 2, 7, 16, 33, 150], rank))
    x = rng.integers(-4, 4, shape).astype(np.float32)
    symbolic = [(0, a) for a in range(rank) if rng.integers(2)]
    check(x, int(rng.integers(-rank, rank)), seed % 2, int(rng.integers(2)), symbolic=symbolic, splits=2)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int16", "uint32", "int64", "uint64"])
def test_dtypes(dtype: str) -> None:
    x = np.random.default_rng(1).integers(0, 100, (5, 70)).astype(dtype)
    for axis in (0, 1):
        check(x, axis, last=axis)


def test_nan_infinities_and_extremes() -> None:
    x = np.array([[-np.inf] * 40, [np.inf] * 40, [0, np.nan] * 20, [np.nan, *[1.0] * 39]], np.float32)
    for last in (0, 1):
        check(x, 1, last=last)
        check(np.ascontiguousarray(x.T), 0, last=last)
        check(np.full((3, 50), -128, np.int8), 1, last=last)


def test_memory_orders_and_fused_neighbours() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 9, 33)).astype(np.float32)
    for axis in (0, 1, 2):
        check(x.transpose(1, 2, 0), axis)
        check(x[:, ::2, ::-1], axis)
        check(x, axis, doubled=True)


def test_hardmax() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-3, 3, (6, 40, 5)).astype(np.float32)
    for axis in (-1, 0, 1):
        want = np.zeros_like(x)
        np.put_along_axis(want, np.argmax(x, axis, keepdims=True), 1, axis)
        np.testing.assert_array_equal(run_record(Hardmax(axis=axis), [x], splits=3), want)
        np.testing.assert_array_equal(run_record(Hardmax(axis=axis), [x.astype(np.float16)]), want)


def test_errors() -> None:
    with pytest.raises(InvalidModelError, match="axis 2 is outside"):
        run_record(ArgMax(axis=2), [np.zeros((2, 3), np.float32)])
    with pytest.raises(InvalidModelError, match="axis 0 has no elements"):
        run_record(ArgMin(), [np.zeros((0, 3), np.float32)])
    assert run_record(ArgMax(), [np.zeros((2, 0), np.float32)]).shape == (1, 0)
