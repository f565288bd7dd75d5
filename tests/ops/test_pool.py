"""Pooling against a float64 oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext, run_record
from sardonyx.ops.pool import AveragePool, GlobalAveragePool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool, MaxUnpool

Array = npt.NDArray[Any]


def sizes_of(x: Array, given: dict[str, Any]) -> list[int]:
    """Output sizes by the operator's definition."""
    rank = x.ndim - 2
    result = []
    for a in range(rank):
        k, s, d = given["kernel_shape"][a], given["strides"][a], given["dilations"][a]
        begin, end = given["pads"][a], given["pads"][a + rank]
        free = x.shape[a + 2] + begin + end - d * (k - 1) - 1
        size = (-(-free // s) if given["ceil_mode"] else free // s) + 1
        if given["ceil_mode"] and (size - 1) * s >= x.shape[a + 2] + begin:
            size -= 1
        result.append(size)
    return result


def windows(x: Array, given: dict[str, Any]) -> Any:
    """For each output position: the places under the window inside the image, and how many in the padding."""
    rank = x.ndim - 2
    for out in itertools.product(*map(range, sizes_of(x, given))):
        places, padded = [], 0
        for tap in itertools.product(*map(range, given["kernel_shape"])):
            place = tuple(
                o * s - p + t * d
                for o, s, p, t, d in zip(out, given["strides"], given["pads"], tap, given["dilations"], strict=False)
            )
            if all(0 <= c < n for c, n in zip(place, x.shape[2:], strict=True)):
                places.append(place)
            elif all(c < n + e for c, n, e in zip(place, x.shape[2:], given["pads"][rank:], strict=True)):
                padded += 1
        yield out, places, padded


def case(seed: int, rank: int = 2) -> tuple[Array, dict[str, Any]]:
    """A random pool whose windows all meet the image."""
    random = np.random.default_rng(seed)
    kernel = [int(k) for k in random.integers(1, 4, rank)]
    given: dict[str, Any] = {
        "kernel_shape": tuple(kernel),
        "dilations": tuple(int(d) for d in random.integers(1, 3, rank)),
        "strides": tuple(int(s) for s in random.integers(1, 4, rank)),
        "pads": tuple(int(random.integers(0, k)) for k in kernel * 2),
        "ceil_mode": int(random.integers(2)),
    }
    spatial = [int(d * (k - 1) + 1 + random.integers(0, 9)) for k, d in zip(kernel, given["dilations"], strict=True)]
    x = random.standard_normal((int(random.integers(1, 3)), int(random.integers(1, 50)), *spatial))
    return x.astype(np.float32), given


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max(rank: int, seed: int) -> None:
    x, given = case(seed, rank)
    storage = seed % 2 if rank > 1 else 0
    record = MaxPool(storage_order=storage, **given)
    context = RunContext(record, [x], outputs=2, splits=1 + seed % 3)
    want = np.full(context.results[0].shape, -np.inf)
    index = np.zeros(want.shape, np.int64)
    order = "F" if storage else "C"
    for out, places, _ in windows(x, given):
        if not places:
            continue
        values = np.stack([x[(..., *place)] for place in places])
        want[(..., *out)] = values.max(0)
        flat = np.array([np.ravel_multi_index(place, x.shape[2:], order=order) for place in places])
        index[(..., *out)] = flat[values.argmax(0)]
    image = int(np.prod(x.shape[2:]))
    index += (np.arange(x.shape[0] * x.shape[1]) * image).reshape(*x.shape[:2], *[1] * rank)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(context.results[0], want)
    np.testing.assert_array_equal(context.results[1][finite], index[finite])
    np.testing.assert_array_equal(run_record(record, [x]), want)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float64])
def test_max_of_other_dtypes(dtype: Any) -> None:
    x = (np.random.default_rng(1).standard_normal((2, 70, 9, 8)) * 60).astype(np.float64)
    x = np.abs(x).astype(dtype) if dtype is np.uint8 else x.astype(dtype)
    got = run_record(MaxPool(kernel_shape=(3, 2), strides=(2, 2)), [x])
    want = np.stack([x[:, :, i : i + 7 : 2, j : j + 7 : 2] for i in range(3) for j in range(2)]).max(0)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_average(rank: int, seed: int) -> None:
    x, given = case(seed + 100, rank)
    for include in (0, 1):
        got = run_record(AveragePool(count_include_pad=include, **given), [x])
        for out, places, padded in windows(x, given):
            count = len(places) + include * padded
            if not places:
                continue
            total = np.sum([x[(..., *place)].astype(np.float64) for place in places], axis=0)
            np.testing.assert_allclose(got[(..., *out)], total / count, atol=1e-5)


@pytest.mark.parametrize("p", [1, 2, 3, 7])
def test_lp(p: int) -> None:
    x, given = case(7)
    got = run_record(LpPool(p=p, **given), [x])
    for out, places, _ in windows(x, given):
        total = np.sum([np.abs(x[(..., *place)].astype(np.float64)) ** p for place in places], axis=0)
        np.testing.assert_allclose(got[(..., *out)], total ** (1 / p), atol=1e-5)


@pytest.mark.parametrize(
    "shape", [(2, 130, 7, 7), (1, 3, 5), (3, 64, 2, 3, 4), (0, 4, 2, 2), (1, 16, 1, 1), (1, 20, 150, 40)]
)
def test_global(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    axes = tuple(range(2, len(shape)))
    for splits in (1, 2):
        np.testing.assert_allclose(
            run_record(GlobalAveragePool(), [x], splits=splits), x.mean(axes, keepdims=True), atol=1e-5
        )
        np.testing.assert_array_equal(run_record(GlobalMaxPool(), [x], splits=splits), x.max(axes, keepdims=True))
        norm = np.sqrt((x.astype(np.float64) ** 2).sum(axes, keepdims=True))
        np.testing.assert_allclose(run_record(GlobalLpPool(), [x], splits=splits), norm, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_symbolic_sizes(seed: int) -> None:
    x, given = case(seed + 200)
    given["ceil_mode"] = 0
    symbolic = [(0, 0), *([(0, 1)] if seed % 2 else []), (0, 2), (0, 3)]
    records = (
        MaxPool(**given),
        LpPool(**given),
        AveragePool(**given),
        AveragePool(count_include_pad=1, **given),
        GlobalMaxPool(),
        GlobalLpPool(),
    )
    for record in records:
        np.testing.assert_array_equal(run_record(record, [x], symbolic=symbolic), run_record(record, [x]))
    pair = [RunContext(MaxPool(**given), [x], outputs=2, symbolic=chosen).results for chosen in (symbolic, [])]
    np.testing.assert_array_equal(pair[0][1], pair[1][1])
    assert np.allclose(
        run_record(GlobalAveragePool(), [x], symbolic=symbolic), x.mean((2, 3), keepdims=True), atol=1e-5
    )


def test_tall_rows_are_split_into_tasks_without_changing_results() -> None:
    x = np.random.default_rng(5).standard_normal((2, 100, 17, 23)).astype(np.float32)
    record = AveragePool(kernel_shape=(3, 3), strides=(2, 1), pads=(1, 1, 1, 1))
    np.testing.assert_array_equal(run_record(record, [x]), run_record(record, [x], splits=7))


@pytest.mark.parametrize("symbolic", [[], [(0, 0), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]])
def test_unpool_puts_maxima_back(symbolic: list[tuple[int, int]]) -> None:
    x = np.random.default_rng(5).standard_normal((2, 5, 9, 7)).astype(np.float32)
    pooled = RunContext(MaxPool(kernel_shape=(3, 3), strides=(2, 2)), [x], outputs=2)
    maxima, places = (np.ascontiguousarray(pooled.results[k]) for k in range(2))
    got = run_record(MaxUnpool(kernel_shape=(3, 3), strides=(2, 2)), [maxima, places], symbolic=symbolic)
    want = np.zeros(x.size, np.float32)
    want[places.reshape(-1)] = maxima.reshape(-1)
    np.testing.assert_array_equal(got, want.reshape(x.shape))


@pytest.mark.parametrize("wrong", [-1, 64, 2**40])
def test_unpool_refuses_places_outside(wrong: int) -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    places = np.full(x.shape, wrong, np.int64)
    with pytest.raises(AssertionError):
        run_record(MaxUnpool(kernel_shape=(2, 2), strides=(2, 2)), [x, places])
