"""TopK against a stable sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext
from sardonyx.errors import InvalidModelError
from sardonyx.ops.topk import TopK

Array = npt.NDArray[Any]


def expected(x: Array, k: int, axis: int, largest: int) -> tuple[Array, Array]:
    """NaN counts as larger than any number; numpy's stable sort puts it last."""
    order = np.argsort(x, axis, kind="stable")
    if largest:
        flipped = np.argsort(np.flip(x, axis), axis, kind="stable")
        order = np.flip(x.shape[axis] - 1 - flipped, axis)
    order = np.take(order, np.arange(k), axis)
    return np.take_along_axis(x, order, axis), order


def check(x: Array, k: int, axis: int = -1, **options: Any) -> None:
    for largest in (0, 1):
        given = [x, np.array([k], np.int64)]
        context = RunContext(TopK(axis=axis, largest=largest), given, outputs=2, constant=(1,), **options)
        values, order = expected(x, k, axis, largest)
        np.testing.assert_array_equal(context.results[1], order)
        np.testing.assert_array_equal(context.results[0], values)
        assert context.results[0].dtype == x.dtype


@pytest.mark.parametrize("seed", range(8))
def test_random_shapes_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.choice([1, 2, 7, 33, 90], rank))
    axis = int(rng.integers(-rank, rank))
    x = rng.integers(-5, 5, shape).astype(np.float32)
    symbolic = [(0, a) for a in range(rank) if rng.integers(2)]
    check(x, int(rng.integers(0, shape[axis] + 1)), axis, symbolic=symbolic, splits=2)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_dtypes(dtype: str) -> None:
    x = np.random.default_rng(1).integers(0, 250 if dtype[0] in "uf" else 127, (4, 100)).astype(dtype)
    if dtype[0] != "u":
        x -= x.dtype.type(60)
    check(x, 17)


@pytest.mark.parametrize("k", [1, 5, 100, 3000])
def test_long_rows_in_any_order(k: int) -> None:
    rng = np.random.default_rng(2)
    x = np.stack([rng.normal(size=3000), np.arange(3000.0), np.arange(3000.0)[::-1], np.zeros(3000)]).astype(np.float32)
    check(x, k)


def test_nan_zero_and_infinity() -> None:
    x = np.array([[0.0, -0.0, np.nan, np.inf, -np.inf, 1, np.nan, -0.0, 2]] * 2, np.float32)
    for k in (1, 4, 9):
        check(x, k)


def test_memory_orders() -> None:
    x = np.random.default_rng(3).normal(size=(5, 6, 20)).astype(np.float32)
    for axis in (0, 1, 2):
        check(x.transpose(2, 0, 1), 3, axis)
        check(x[:, ::-1, ::2], 3, axis)


def test_errors() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(InvalidModelError, match="k is 4, but axis -1 has only 3 elements"):
        check(x, 4)
    with pytest.raises(InvalidModelError, match="k must not be negative"):
        check(x, -1)
    with pytest.raises(InvalidModelError, match="axis 2 is outside"):
        check(x, 1, 2)
