"""Operators that ONNX defines by others, expanded where they have no lowering."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import sardonyx
from sardonyx.graph import read_model
from sardonyx.passes.pipeline import optimise

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def loss_model(reduction: str) -> onnx.ModelProto:
    node = helper.make_node("SoftmaxCrossEntropyLoss", ["scores", "labels"], ["loss", "log"], reduction=reduction)
    graph = helper.make_graph(
        [node],
        "loss",
        [
            helper.make_tensor_value_info("scores", FLOAT, ["n", 5, "d"]),
            helper.make_tensor_value_info("labels", INT64, ["n", "d"]),
        ],
        [helper.make_tensor_value_info("loss", FLOAT, None), helper.make_tensor_value_info("log", FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_loss_runs_natively(reduction: str) -> None:
    model, rng = loss_model(reduction), np.random.default_rng(0)
    feeds = {
        "scores": rng.standard_normal((3, 5, 2), np.float32),
        "labels": rng.integers(0, 5, (3, 2), np.int64),
    }
    session = sardonyx.InferenceSession(model.SerializeToString())
    assert not session.program.python_steps
    for got, want in zip(session.run(None, feeds), ReferenceEvaluator(model).run(None, feeds), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_runs_at_the_lowest_level_too() -> None:
    model = read_model(loss_model("mean"))
    optimise(model, level=0)
    assert "SoftmaxCrossEntropyLoss" not in {node.op_type for node in model.graph}


def test_what_has_a_lowering_is_kept() -> None:
    node = helper.make_node("LayerNormalization", ["x", "scale"], ["y"])
    graph = helper.make_graph(
        [node],
        "norm",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 8]), helper.make_tensor_value_info("scale", FLOAT, [8])],
        [helper.make_tensor_value_info("y", FLOAT, ["n", 8])],
    )
    model = read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    optimise(model, level=0)
    assert [node.op_type for node in model.graph] == ["LayerNormalization"]
