"""ArrayFeatureExtractor against onnx's reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

import sardonyx
from sardonyx.errors import ExecutionError


def model(data_rank: int, index_rank: int) -> ModelProto:
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [f"d{axis}" for axis in range(data_rank)])
    indices = helper.make_tensor_value_info("indices", TensorProto.INT64, [f"i{axis}" for axis in range(index_rank)])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("ArrayFeatureExtractor", ["data", "indices"], ["y"], domain="ai.onnx.ml")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "g", [data, indices], [result])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("data_shape", "index_shape"),
    [((7,), (3,)), ((7,), (5, 1)), ((4, 9), (1, 3)), ((2, 3, 5), (2, 2)), ((1, 1), (1,)), ((3, 17), (40,))],
)
def test_against_the_reference(data_shape: tuple[int, ...], index_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    feeds = {
        "data": rng.standard_normal(data_shape, np.float32),
        "indices": rng.integers(0, data_shape[-1], index_shape),
    }
    made = model(len(data_shape), len(index_shape))
    session = sardonyx.InferenceSession(made)
    assert not session.program.python_steps
    (got,) = session.run(None, feeds)
    (expected,) = ReferenceEvaluator(made).run(None, feeds)
    np.testing.assert_array_equal(got, expected)


def test_an_index_out_of_range_is_an_error() -> None:
    session = sardonyx.InferenceSession(model(1, 1))
    with pytest.raises(ExecutionError, match="out of range"):
        session.run(None, {"data": np.zeros(4, np.float32), "indices": np.array([4])})
