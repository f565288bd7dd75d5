"""Chains of elementwise operators on random shapes, broadcast at run time, on one and on two threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import sardonyx

Array = npt.NDArray[Any]
RANK = 3


def model() -> bytes:
    """Where(c, Tanh(a) + Transpose(b), Min(a, d) * 0.5) and an int64 cast of it; every size is a symbol of its own."""

    def info(name: str, kind: int, rank: int = RANK) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [f"{name}{axis}" for axis in range(rank)])

    nodes = [
        helper.make_node("Tanh", ["a"], ["t"]),
        helper.make_node("Transpose", ["b"], ["bt"], perm=[2, 1, 0]),
        helper.make_node("Add", ["t", "bt"], ["s"]),
        helper.make_node("Min", ["a", "d"], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["h"]),
        helper.make_node("Where", ["c", "s", "h"], ["y"]),
        helper.make_node("Cast", ["y"], ["z"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [
            info("a", TensorProto.FLOAT),
            info("b", TensorProto.FLOAT),
            info("c", TensorProto.BOOL),
            info("d", TensorProto.FLOAT, 1),
        ],
        [info("y", TensorProto.FLOAT), info("z", TensorProto.INT64)],
        [helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[sardonyx.InferenceSession]:
    """The model for one and for two threads."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for threads in (1, 2):
            options = sardonyx.SessionOptions(strict=True)
            options.intra_op_num_threads = threads
            found.append(sardonyx.InferenceSession(model(), options))
    return found


sizes = st.one_of(st.integers(0, 3), st.integers(1, 70))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_broadcast(sessions: list[sardonyx.InferenceSession], data: st.DataObject) -> None:
    full = [data.draw(sizes) for _ in range(RANK)]

    def operand() -> tuple[int, ...]:
        return tuple(data.draw(st.sampled_from([size, 1])) for size in full)

    check(sessions, operand(), operand(), operand(), full[-1])


def test_large(sessions: list[sardonyx.InferenceSession]) -> None:
    """Enough work for two threads, and rows longer than a block."""
    check(sessions, (3, 40, 5001), (3, 1, 5001), (3, 1, 1), 1)


def check(
    sessions: list[sardonyx.InferenceSession],
    a_shape: tuple[int, ...],
    b_shape: tuple[int, ...],
    c_shape: tuple[int, ...],
    last: int,
) -> None:
    rng = np.random.default_rng(sum(a_shape))
    a = (rng.standard_normal(a_shape) * 3).astype(np.float32)
    bt = rng.standard_normal(b_shape).astype(np.float32)
    c, d = rng.random(c_shape) < 0.5, rng.standard_normal(last).astype(np.float32)
    feeds = {"a": a, "b": np.ascontiguousarray(bt.transpose(2, 1, 0)), "c": c, "d": d}
    one, two = (session.run(None, feeds) for session in sessions)
    expected = np.where(c, np.tanh(a.astype(np.float64)) + bt, np.minimum(a, d).astype(np.float64) * 0.5)
    np.testing.assert_allclose(one[0], expected, rtol=3e-6, atol=3e-6)
    np.testing.assert_array_equal(one[1], np.trunc(one[0]).astype(np.int64))
    for mine, other in zip(one, two, strict=True):
        assert mine.tobytes() == other.tobytes()
