"""Reductions against numpy in float64, over any axes, sizes, dtypes, memory orders and task splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext, run_record
from sardonyx.errors import InvalidModelError
from sardonyx.ops import reduction
from sardonyx.ops.reduction import Reduction

Array = npt.NDArray[Any]


def log_sum_exp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0)
    total = np.log(np.sum(np.exp(x - safe), axis=axis, keepdims=True)) + safe
    return total if keepdims else np.squeeze(total, axis)


ORACLES: dict[str, Any] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": lambda x, **k: np.max(x, initial=-np.inf, **k),
    "ReduceMin": lambda x, **k: np.min(x, initial=np.inf, **k),
    "ReduceProd": np.prod,
    "ReduceSumSquare": lambda x, **k: np.sum(x * x, **k),
    "ReduceL1": lambda x, **k: np.sum(np.abs(x), **k),
    "ReduceL2": lambda x, **k: np.sqrt(np.sum(x * x, **k)),
    "ReduceLogSum": lambda x, **k: np.log(np.sum(x, **k)),
    "ReduceLogSumExp": log_sum_exp,
}


def record(name: str, **attributes: Any) -> Reduction:
    made: Reduction = getattr(reduction, name)(**attributes)
    return made


def reduce(name: str, x: Array, axes: tuple[int, ...] | None, keepdims: int = 1, **options: Any) -> Array:
    given = None if axes is None else np.array(axes, np.int64)
    return run_record(record(name, keepdims=keepdims), [x, given], constant=(1,), **options)


def expected(name: str, x: Array, axes: tuple[int, ...] | None, keepdims: int = 1) -> Array:
    axis = axes or tuple(range(x.ndim))
    return np.asarray(ORACLES[name](x.astype(np.float64), axis=axis, keepdims=bool(keepdims)))


def close(got: Array, want: Array, relative: float = 2e-6) -> None:
    scale = float(np.max(np.abs(want), initial=1.0, where=np.isfinite(want)))
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=relative * 4, atol=relative * scale)


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((7,), None),
    ((3, 50), (1,)),
    ((3, 50), (-2,)),
    ((4, 5, 6), (0, 2)),
    ((4, 5, 6), (1,)),
    ((2, 130, 70), (1, 2)),
    ((2, 70, 135), (0, 1)),
    ((33, 3), (1,)),
    ((2, 1, 17, 1), (1, 2)),
    ((1, 1), (0,)),
    ((2, 3, 4, 5, 6), (1, 3)),
    ((), None),
]


@pytest.mark.parametrize("name", ORACLES)
def test_against_numpy(name: str) -> None:
    rng = np.random.default_rng(len(name))
    for k, (shape, axes) in enumerate(SHAPES):
        x = np.asarray(
            rng.uniform(0.5, 1.5, shape) if "Log" in name or "Prod" in name else rng.normal(size=shape), np.float32
        )
        keepdims = k % 2
        got = reduce(name, x, axes, keepdims, splits=1 + k % 3)
        want = expected(name, x, axes, keepdims)
        assert got.shape == want.shape
        close(got, want, 1e-5 if "Prod" in name else 2e-6)


@pytest.mark.parametrize("seed", range(12))
def test_random_shapes_with_symbolic_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.choice([0, 1, 2, 5, 16, 33, 67], rank))
    axes = tuple(int(a) for a in rng.choice(rank, int(rng.integers(1, rank + 1)), replace=False))
    symbolic = [(0, a) for a in range(rank) if rng.integers(2)]
    x = rng.normal(size=shape).astype(np.float32)
    for name in ("ReduceSum", "ReduceMax", "ReduceLogSumExp"):
        with np.errstate(all="ignore"):
            close(reduce(name, x, axes, seed % 2, symbolic=symbolic), expected(name, x, axes, seed % 2))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("name", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceProd", "ReduceL2"])
def test_dtypes(name: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0 if dtype[0] == "u" else -3, 4, (6, 19)).astype(dtype)
    for axes in ((0,), (1,)):
        got = reduce(name, x, axes)
        want = expected(name, x, axes)
        assert got.dtype == x.dtype
        if dtype.startswith("float"):
            close(got, want, 1e-3 if dtype == "float16" else 1e-14)
        elif name == "ReduceL2":
            wrapped = np.sum((x * x).astype(dtype), axis=axes, keepdims=True, dtype=dtype)
            np.testing.assert_array_equal(got, np.sqrt(wrapped.astype(np.float64)).astype(dtype))
        else:
            exact = np.prod(x.astype(object), axis=axes, keepdims=True) if name == "ReduceProd" else want.astype(object)
            bits = 8 * x.dtype.itemsize
            low = -(1 << bits - 1) if dtype[0] == "i" else 0
            assert got.astype(object).tolist() == [
                [(int(v) - low) % (1 << bits) + low for v in row] for row in np.atleast_2d(exact).tolist()
            ]


def test_mean_of_integers_rounds_towards_zero() -> None:
    x = np.array([[-5, 0], [7, 2]], np.int32)
    np.testing.assert_array_equal(reduce("ReduceMean", x, (1,)), [[-2], [4]])


def test_extrema_of_bools_and_of_nothing() -> None:
    x = np.array([[True, False], [False, False]])
    np.testing.assert_array_equal(reduce("ReduceMax", x, (1,)), [[True], [False]])
    np.testing.assert_array_equal(reduce("ReduceMin", x, (0,)), [[False, False]])
    assert reduce("ReduceMax", np.zeros((2, 0), np.int16), (1,)).tolist() == [[-32768], [-32768]]
    assert reduce("ReduceMin", np.zeros((2, 0), np.float32), (1,)).tolist() == [[np.inf], [np.inf]]
    assert reduce("ReduceProd", np.zeros((0, 2), np.float32), (0,)).tolist() == [[1, 1]]
    assert reduce("ReduceSum", np.zeros((0, 2), np.float32), (1,)).shape == (0, 1)
    assert np.isnan(reduce("ReduceMean", np.zeros((0,), np.float32), (0,)))[0]


def test_special_values() -> None:
    x = np.array([[1, np.nan, 3], [np.inf, 0, 1], [-np.inf, -np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(reduce("ReduceMax", x, (1,), 0), [np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(reduce("ReduceMin", x.T.copy(), (0,), 0), [np.nan, 0, -np.inf])
    np.testing.assert_array_equal(reduce("ReduceLogSumExp", x, (1,), 0), [np.nan, np.inf, -np.inf])
    close(reduce("ReduceLogSumExp", np.full((2, 40), 1000, np.float32), (1,), 0), np.full(2, 1000 + np.log(40)))


@pytest.mark.parametrize(
    ("shape", "axes"), [((300_001,), (0,)), ((70_000, 3), (0,)), ((2, 90_000), (1,)), ((9, 99, 99), None)]
)
def test_long_reductions_in_pieces(shape: tuple[int, ...], axes: Any) -> None:
    x = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"):
        whole, split = (reduce(name, x, axes, splits=n) for n in (1, 3))
        np.testing.assert_array_equal(whole, split)
        close(whole, expected(name, x, axes), 3e-7)


def test_pieces_with_a_symbolic_length() -> None:
    for length in (0, 5, 20_000, 100_000):
        x = np.random.default_rng(1).normal(size=(2, length)).astype(np.float32)
        close(reduce("ReduceSum", x, (1,), symbolic=[(0, 1)]), expected("ReduceSum", x, (1,)))


def test_channels_last_and_strided_inputs() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 7, 6, 40)).astype(np.float32).transpose(0, 3, 1, 2)
    for axes in ((2, 3), (1,), (0, 2), (3,)):
        context = RunContext(record("ReduceMean"), [x, np.array(axes)], constant=(1,))
        close(context.results[0], expected("ReduceMean", x, axes))
    got = run_record(record("ReduceSum"), [x[:, ::2, 1:, ::-1], np.array([1, 2])], constant=(1,))
    close(got, expected("ReduceSum", x[:, ::2, 1:, ::-1], (1, 2)))


def test_prologue_and_epilogue() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 40, 9)).astype(np.float32)
    for axes in ((2,), (1,), (0, 1)):
        want = expected("ReduceSum", 2 * x, axes)
        other = rng.normal(size=want.shape).astype(np.float32)
        close(reduce("ReduceSum", x, axes, doubled=True, residual=other), np.maximum(want + other, 0))


def test_no_axes() -> None:
    x = np.array([[1, -2], [3, 4]], np.float32)
    np.testing.assert_array_equal(run_record(record("ReduceSum", noop_with_empty_axes=1), [x, None]), x)
    np.testing.assert_array_equal(run_record(record("ReduceSum"), [x, np.zeros(0, np.int64)], constant=(1,)), [[6]])


def test_contents_of_shape_arithmetic() -> None:
    shape = np.array([2, 3, 4], np.int64)
    context = RunContext(record("ReduceProd", keepdims=0), [shape, None], constant=(0,))
    assert context.outputs[0].values == (24,)
    assert context.outputs[0].shape == ()


@pytest.mark.parametrize("axes", [(2,), (-3,), (0, 0), (1, -1)])
def test_bad_axes(axes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"node 'node' \(ReduceSum\): .*ax[ie]s"):
        reduce("ReduceSum", np.zeros((2, 3), np.float32), axes)
