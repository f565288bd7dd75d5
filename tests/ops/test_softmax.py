"""Softmax and LogSoftmax against float64, along any axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import run_record
from sardonyx.errors import InvalidModelError
from sardonyx.ops.softmax import LogSoftmax, Softmax

Array = npt.NDArray[Any]


def expected(x: Array, axis: int, log: bool = False) -> Array:
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        shifted = wide - np.max(wide, axis, keepdims=True, initial=-np.inf)
    total = np.sum(np.exp(shifted), axis, keepdims=True)
    return shifted - np.log(total) if log else np.exp(shifted) / total


def check(x: Array, axis: int, **options: Any) -> None:
    scale = options.pop("scale", 1)
    for record in (Softmax(axis=axis), LogSoftmax(axis=axis)):
        got = run_record(record, [x], **options)
        want = expected(x * scale, axis, isinstance(record, LogSoftmax))
        assert got.dtype == x.dtype
        tolerance = {2: 2e-3, 4: 2e-6, 8: 1e-14}[x.itemsize]
        largest = max(1.0, float(np.max(np.abs(want), initial=0)))
        np.testing.assert_allclose(got.astype(np.float64), want, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("seed", range(10))
def test_random_shapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.choice([1, 2, 3, 8, 17, 64, 131], rank))
    axis = int(rng.integers(-rank, rank))
    symbolic = [(0, a) for a in range(rank) if rng.integers(2)]
    x = (rng.normal(size=shape) * 5).astype(np.float32)
    check(x, axis, symbolic=symbolic, splits=1 + seed % 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_dtypes(dtype: Any) -> None:
    x = np.random.default_rng(1).normal(size=(5, 37, 3)).astype(dtype)
    for axis in (0, 1, 2):
        check(x, axis)


def test_empty() -> None:
    for shape in ((0, 3), (3, 0)):
        assert run_record(Softmax(), [np.zeros(shape, np.float32)]).shape == shape


def test_large_values_do_not_overflow() -> None:
    check(np.array([[1e4, 1e4 - 1, -1e4], [-3e38, 0, -3e38]], np.float32), 1)


def test_logarithm_is_exact_far_from_zero() -> None:
    x = np.random.default_rng(4).normal(size=(3, 50)).astype(np.float32) + 20_000
    np.testing.assert_allclose(run_record(LogSoftmax(), [x]), expected(x, 1, log=True), rtol=1e-6, atol=1e-6)


def test_infinite_and_nan_rows() -> None:
    x = np.array([[-np.inf] * 20, [-np.inf, 0] * 10, [np.nan, *[1.0] * 19], [np.inf, *[1.0] * 19]], np.float32)
    for axis, values in ((1, x), (0, x.T.copy())):
        got = run_record(Softmax(axis=axis), [values])
        np.testing.assert_allclose(got, expected(values, axis), rtol=1e-6)


def test_task_splits_are_bit_equal() -> None:
    x = np.random.default_rng(2).normal(size=(9, 300, 70)).astype(np.float32)
    for axis in (0, 1, 2):
        one, three = (run_record(Softmax(axis=axis), [x], splits=n) for n in (1, 3))
        np.testing.assert_array_equal(one, three)


def test_fused_neighbours_and_memory_orders() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 20, 33)).astype(np.float32)
    other = rng.normal(size=x.shape).astype(np.float32) - 0.1
    for axis in (0, 1, 2):
        check(x, axis, doubled=True, scale=2)
        got = run_record(Softmax(axis=axis), [x], residual=other)
        np.testing.assert_allclose(got, np.maximum(expected(x, axis) + other, 0), atol=1e-6)
        check(x.transpose(2, 0, 1), axis)
        check(x[:, ::2, 5:], axis)


def test_bad_axis() -> None:
    with pytest.raises(InvalidModelError, match=r"node 'node' \(Softmax\): axis 2 is outside"):
        run_record(Softmax(axis=2), [np.zeros((2, 3), np.float32)])
