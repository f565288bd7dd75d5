"""Windows and AffineGrid with sizes that a run reads, against onnx's reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import sardonyx


@pytest.mark.parametrize("op_type", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(op_type: str, periodic: int) -> None:
    graph = helper.make_graph(
        [helper.make_node(op_type, ["size"], ["y"], periodic=periodic, output_datatype=TensorProto.DOUBLE)],
        "test",
        [helper.make_tensor_value_info("size", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session, reference = sardonyx.InferenceSession(model.SerializeToString()), ReferenceEvaluator(model)
    assert not session.program.python_steps
    for size in (2, 7, 40):
        feeds = {"size": np.array(size, np.int64)}
        np.testing.assert_allclose(session.run(None, feeds)[0], reference.run(None, feeds)[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(session.run(None, {"size": np.array(0, np.int64)})[0], np.zeros(0))
    assert session.run(None, {"size": np.array(1, np.int64)})[0].shape == (1,)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("size", [(2, 3, 5, 6), (1, 2, 3, 4, 5)])
def test_affine_grid(size: tuple[int, ...], align: int) -> None:
    rank = len(size) - 2
    graph = helper.make_graph(
        [helper.make_node("AffineGrid", ["theta", "size"], ["y"], align_corners=align)],
        "test",
        [
            helper.make_tensor_value_info("theta", TensorProto.FLOAT, ["n", rank, rank + 1]),
            helper.make_tensor_value_info("size", TensorProto.INT64, [rank + 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session, reference = sardonyx.InferenceSession(model.SerializeToString()), ReferenceEvaluator(model)
    assert not session.program.python_steps
    theta = np.random.default_rng(0).standard_normal((size[0], rank, rank + 1), np.float32)
    feeds = {"theta": theta, "size": np.array(size, np.int64)}
    np.testing.assert_allclose(session.run(None, feeds)[0], reference.run(None, feeds)[0], rtol=1e-5, atol=1e-5)
