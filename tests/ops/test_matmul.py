"""MatMul and Gemm records against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import run_record
from sardonyx.errors import InvalidModelError
from sardonyx.ops.gemm import Gemm
from sardonyx.ops.matmul import MatMul

Array = npt.NDArray[Any]

SHAPES = [
    ((7, 5), (5, 9)), ((40, 64), (64, 70)), ((5,), (5,)), ((5,), (5, 9)), ((7, 5), (5,)), ((2, 3, 4), (4, 40)),
    ((2, 3, 4), (4,)), ((4,), (3, 4, 6)), ((3, 40, 8), (3, 8, 50)), ((3, 1, 33, 8), (4, 8, 5)), ((5, 3), (2, 1, 3, 40)),
    ((1, 6), (1, 6, 4)), ((2, 1, 35, 6), (1, 3, 6, 4)), ((2, 0, 3), (3, 4)), ((2, 4, 0), (0, 3)), ((1, 1, 9), (9, 300)),
]  # fmt: skip


def close(got: Array, want: Array) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(want).max(initial=0)))


def random_array(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("kind", ["constant", "dynamic", "symbolic"])
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], kind: str) -> None:
    a, b = random_array(left, 1), random_array(right, 2)
    every = [(0, axis) for axis in range(len(left))] + [(1, axis) for axis in range(len(right))]
    options: dict[str, Any] = (
        {"constant": [1]} if kind == "constant" else {"symbolic": every if kind == "symbolic" else []}
    )
    got = run_record(MatMul(), [a, b], **options)
    close(got, np.asarray(a.astype(np.float64) @ b.astype(np.float64)))
    np.testing.assert_array_equal(run_record(MatMul(), [a, b], splits=2, **options), got)


@pytest.mark.parametrize("seed", range(10))
def test_random_batches(seed: int) -> None:
    """Batches that broadcast at random, some sizes symbolic."""
    random = np.random.default_rng(seed)
    m, n, k = (int(random.integers(1, limit)) for limit in (40, 70, 20))
    batch = [int(size) for size in random.integers(1, 4, int(random.integers(0, 4)))]

    def side(*matrix: int) -> tuple[int, ...]:
        own = [size if random.integers(3) else 1 for size in batch][int(random.integers(0, len(batch) + 1)) :]
        return (*own, *matrix)

    a, b = random_array(side(m, k), seed), random_array(side(k, n), seed + 1)
    # Not k, nor sizes that meet: two symbols cannot be seen to be equal.
    symbolic = [(0, a.ndim - 2)] * int(random.integers(2)) + [(1, b.ndim - 1)] * int(random.integers(2))
    got = run_record(MatMul(), [a, b], symbolic=symbolic, constant=[1] if random.integers(2) else [])
    close(got, a.astype(np.float64) @ b)


def test_operands_of_any_strides() -> None:
    wide = random_array((4, 50, 60), 3)
    for a in (
        wide[:, 10:43, 5:45],
        wide.transpose(0, 2, 1)[:, :40, 3:43],
        wide[::2, ::3, :40],
        wide.transpose(1, 0, 2)[..., :40],
    ):
        for b in (random_array((40, 33), 4), random_array((33, 40), 5).T, random_array((80, 66), 6)[::2, ::2]):
            close(run_record(MatMul(), [a, b]), a.astype(np.float64) @ b)
    b = random_array((4, 33, 40), 7).transpose(0, 2, 1)
    close(run_record(MatMul(), [wide[:, :, 20:], b]), wide[:, :, 20:].astype(np.float64) @ b)


@pytest.mark.parametrize(("left", "right"), [((2, 9, 40), (40, 33)), ((3, 4, 40), (3, 40, 33)), ((40,), (3, 40, 33))])
def test_residual(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = random_array(left, 8), random_array(right, 9)
    want = a.astype(np.float64) @ b
    residual = random_array(want.shape, 10)
    for constant in ([], [1]):
        got = run_record(MatMul(), [a, b], residual=residual, constant=constant)
        close(got, np.maximum(want + residual, 0))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("constant", [[], [1]])
def test_element_types(dtype: str, constant: list[int]) -> None:
    random = np.random.default_rng(11)
    a, b = random.integers(0, 9, (2, 35, 20)).astype(dtype), random.integers(0, 9, (20, 37)).astype(dtype)
    np.testing.assert_array_equal(run_record(MatMul(), [a, b], constant=constant), a @ b)


@pytest.mark.parametrize("c", [(), (1,), (50,), (1, 50), (35, 1), (35, 50), None])
@pytest.mark.parametrize("transposed", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm(c: tuple[int, ...] | None, transposed: tuple[int, int]) -> None:
    a, b = random_array((35, 20), 12), random_array((20, 50), 13)
    addend = None if c is None else random_array(c, 14)
    want = 0.5 * (a.astype(np.float64) @ b) + (0 if addend is None else 2.0 * addend)
    record = Gemm(alpha=0.5, beta=2.0, transA=transposed[0], transB=transposed[1])
    inputs = [a.T.copy() if transposed[0] else a, b.T.copy() if transposed[1] else b, addend]
    for options in ({}, {"constant": [1]}, {"symbolic": [(0, transposed[0])]}):
        close(run_record(record, inputs, **options), want)
    residual = random_array((35, 50), 15)
    close(run_record(record, inputs, residual=residual), np.maximum(want + residual, 0))


def test_wrong_sizes() -> None:
    a = random_array((3, 4), 16)
    with pytest.raises(InvalidModelError, match="inner sizes"):
        run_record(MatMul(), [a, a])
    with pytest.raises(InvalidModelError, match="inner sizes"):
        run_record(Gemm(transB=0), [a, a, None])
    with pytest.raises(InvalidModelError, match="cannot be broadcast"):
        run_record(Gemm(), [a, random_array((4, 5), 17), random_array((7,), 18)])
