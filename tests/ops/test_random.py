"""Random tensors: their distributions, and on what they depend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper

import sardonyx
from lang.harness import apply
from sardonyx import dtypes
from sardonyx.kernels.random import philox
from sardonyx.lang import Type

stats = pytest.importorskip("scipy.stats")

Array = npt.NDArray[Any]
COUNT = 100_000
SURE = 1e-6
"""Tests of distributions fail by chance this often; seeds are fixed, so they do not."""


@pytest.fixture(autouse=True)
def fixed_seed() -> Iterator[None]:
    sardonyx.set_seed(7)
    yield
    sardonyx.set_seed(None)


def session(
    op: str, feeds: Mapping[str, Array], attributes: Mapping[str, Any], outputs: int = 1, threads: int = 1
) -> sardonyx.InferenceSession:
    names = [f"y{k}" for k in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, list(feeds), names, **attributes)],
        "random",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(a.dtype), [f"{name}{k}" for k in range(a.ndim)]
            )
            for name, a in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True, intra_op_num_threads=threads))


def draw(
    op: str, feeds: Mapping[str, Array] | None = None, outputs: int = 1, threads: int = 1, **attributes: Any
) -> Any:
    results = session(op, feeds or {}, attributes, outputs, threads).run(None, dict(feeds or {}))
    return results[0] if outputs == 1 else results


def test_philox_known_answers() -> None:
    """The first of the generator's published test vectors."""
    key = lambda b: (b.const(0, Type(dtypes.uint32)), b.const(0, Type(dtypes.uint32)))  # noqa: E731
    counter = np.zeros(4, np.uint64)
    words = [
        apply(lambda x, k=k: philox(x, key(x.b))[k], counter, result=dtypes.uint32)[0]
        for k in range(4)  # type: ignore[misc]
    ]
    assert [hex(word) for word in words] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_uniform(dtype: int) -> None:
    x = draw("RandomUniform", shape=[COUNT], low=-2.0, high=3.0, dtype=dtype)
    assert x.dtype == helper.tensor_dtype_to_np_dtype(dtype)
    wide = x.astype(np.float64)
    assert wide.min() >= -2
    assert wide.max() <= 3
    if dtype in (TensorProto.FLOAT, TensorProto.DOUBLE):
        assert stats.kstest(wide, stats.uniform(-2, 5).cdf).pvalue > SURE
        assert len(np.unique(wide)) > 0.99 * COUNT


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_normal(dtype: int) -> None:
    x = draw("RandomNormal", shape=[COUNT // 100, 100], mean=1.5, scale=2.0, dtype=dtype).astype(np.float64)
    assert abs(x.mean() - 1.5) < 0.04
    assert abs(x.std() - 2) < 0.04
    if dtype != TensorProto.FLOAT16:
        assert stats.kstest(x.ravel(), stats.norm(1.5, 2).cdf).pvalue > SURE
    neighbours = np.corrcoef(x.ravel()[:-1], x.ravel()[1:])[0, 1]
    assert abs(neighbours) < 0.02
    assert np.isfinite(x).all()


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike"])
def test_like(op: str) -> None:
    x = np.zeros((3, 5), np.float64)
    assert draw(op, {"x": x}).dtype == np.float64
    assert draw(op, {"x": x.astype(np.int32)}, dtype=1).shape == (3, 5)
    with pytest.raises(sardonyx.InvalidModelError, match="'dtype'"):
        draw(op, {"x": x.astype(np.int32)})


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_bernoulli(kind: type) -> None:
    p = np.repeat(np.asarray([0, 0.25, 0.9, 1], kind), COUNT // 4)
    for dtype in (TensorProto.FLOAT, TensorProto.INT8, TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.UINT64):
        x = draw("Bernoulli", {"p": p}, dtype=dtype)
        assert x.dtype == helper.tensor_dtype_to_np_dtype(dtype)
        means = x.reshape(4, -1).astype(np.float64).mean(axis=1)
        np.testing.assert_allclose(means, [0, 0.25, 0.9, 1], atol=0.02)
        assert means[0] == 0
        assert means[3] == 1


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_multinomial(kind: type) -> None:
    weights = np.asarray([[1, 2, 3, 4], [0, 5, 0, 5]], np.float64)
    with np.errstate(divide="ignore"):
        logits = (np.log(weights) + 3).astype(kind)
    x = draw("Multinomial", {"x": logits}, sample_size=20_000, dtype=TensorProto.INT64)
    assert x.shape == (2, 20_000)
    for row, expected in zip(x, weights, strict=True):
        counts = np.bincount(row, minlength=4)
        some = expected > 0
        assert not counts[~some].any()
        wanted = expected[some] / expected.sum() * len(row)
        assert stats.chisquare(counts[some], wanted).pvalue > SURE
    assert draw("Multinomial", {"x": logits}).dtype == np.int32


def test_dropout() -> None:
    x = np.random.default_rng(0).uniform(1, 2, COUNT).astype(np.float32)
    feeds = {"x": x, "ratio": np.asarray(0.25, np.float32), "training": np.asarray(True)}
    y, mask = draw("Dropout", feeds, 2)
    assert abs(mask.mean() - 0.75) < 0.01
    np.testing.assert_allclose(y, np.where(mask, x / np.float32(0.75), 0), rtol=1e-6)
    y, mask = draw("Dropout", {**feeds, "training": np.asarray(False)}, 2)
    assert mask.all()
    np.testing.assert_array_equal(y, x)
    y, mask = draw("Dropout", {**feeds, "ratio": np.asarray(1, np.float64)}, 2)
    assert not mask.any()
    np.testing.assert_array_equal(y, np.zeros_like(x))


def test_dropout_without_training_is_removed() -> None:
    made = session("Dropout", {"x": np.zeros(3, np.float32)}, {})
    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(made.run(None, {"x": x})[0], x)


def test_seeds() -> None:
    """A node's seed makes all runs alike, ``set_seed`` the sequence of runs, and else no two runs are."""
    seeded = session("RandomNormal", {}, {"shape": [50], "seed": 3.0})
    assert np.array_equal(seeded.run(None, {})[0], seeded.run(None, {})[0])
    assert not np.array_equal(seeded.run(None, {})[0], draw("RandomNormal", shape=[50], seed=4.0))
    free = session("RandomNormal", {}, {"shape": [50]})
    sardonyx.set_seed(1)
    first, second = free.run(None, {})[0], free.run(None, {})[0]
    assert not np.array_equal(first, second)
    sardonyx.set_seed(1)
    assert np.array_equal(first, free.run(None, {})[0])
    assert np.array_equal(second, free.run(None, {})[0])
    sardonyx.set_seed(None)
    assert not np.array_equal(free.run(None, {})[0], free.run(None, {})[0])


def test_nodes_do_not_share_numbers() -> None:
    names = ["a", "b"]
    graph = helper.make_graph(
        [helper.make_node("RandomUniform", [], [name], shape=[1000]) for name in names],
        "two",
        [],
        [helper.make_empty_tensor_value_info(name) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    a, b = sardonyx.InferenceSession(model).run(None, {})
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.15


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniform"])
def test_threads_do_not_matter(op: str) -> None:
    one, two = (draw(op, shape=[70_001], seed=5.0, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_trips_of_a_loop_draw_anew() -> None:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("RandomUniform", [], ["r"], shape=[3])],
        "body",
        [info("trip", TensorProto.INT64, []), info("go", TensorProto.BOOL, [])],
        [info("on", TensorProto.BOOL, []), info("r", TensorProto.FLOAT, [3])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", ""], ["all"], body=body)],
        "loop",
        [info("n", TensorProto.INT64, [])],
        [info("all", TensorProto.FLOAT, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    drawn = sardonyx.InferenceSession(model).run(None, {"n": np.asarray(200)})[0]
    assert len(np.unique(drawn)) > 590
