"""Operators expanded into the functions that ONNX defines them by."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from graph.models import assert_same, model, read, single, value
from sardonyx.graph import expand_function_op, verify

RNG = np.random.default_rng(2)
F = lambda *shape: RNG.standard_normal(shape).astype(np.float32)  # noqa: E731
X = {"x": F(2, 3, 4)}
NORM = {"x": F(2, 6, 5), "s": F(6), "b": F(6)}

CASES = {
    "Relu": single("Relu", X, opset=18),
    "Gelu": single("Gelu", X, opset=20, approximate="tanh"),
    "Softmax": single("Softmax", X, opset=18, axis=1),
    "LogSoftmax": single("LogSoftmax", X, opset=12, axis=2),
    "Clip": single("Clip", X, opset=13, constants={"low": np.float32(-0.5)}),
    "HardSwish": single("HardSwish", X, opset=14),
    "Celu": single("Celu", X, opset=12, alpha=0.5),
    "ReduceLogSumExp": single("ReduceLogSumExp", X, opset=18, keepdims=0, constants={"axes": np.array([1])}),
    "MeanVarianceNormalization": single("MeanVarianceNormalization", {"x": F(2, 3, 4, 5)}, opset=13),
    "LayerNormalization": single("LayerNormalization", {"x": F(2, 3, 4), "s": F(4), "b": F(4)}, opset=17),
    "GroupNormalization": single("GroupNormalization", NORM, opset=21, num_groups=3),
    "RMSNormalization": single("RMSNormalization", {"x": F(2, 3, 4), "s": F(4)}, opset=23),
    "Attention": single("Attention", {"q": F(1, 2, 3, 4), "k": F(1, 2, 5, 4), "v": F(1, 2, 5, 4)}, opset=23),
    "NegativeLogLikelihoodLoss": single(
        "NegativeLogLikelihoodLoss", {"x": F(3, 4), "t": np.array([0, 3, 1])}, opset=13
    ),
    "CenterCropPad": single("CenterCropPad", X, opset=18, constants={"shape": np.array([3, 2, 4])}),
}


@pytest.mark.parametrize("name", CASES)
def test_expansion_means_the_same(name: str) -> None:
    proto = CASES[name]
    feeds = {v.name: a for v, a in zip(proto.graph.input, _feeds(name).values(), strict=True)}
    got = read(proto)
    (node,) = (n for n in got.graph if n.op_type == name)
    nodes = expand_function_op(node)
    assert nodes
    verify(got)
    assert set(nodes) <= set(got.graph)
    assert name not in [n.op_type for n in got.graph]
    assert got.graph.outputs[0].name == "y"
    results = ReferenceEvaluator(ir.to_proto(got.ir)).run(None, feeds)
    assert_same(results, ReferenceEvaluator(proto).run(None, feeds), 1e-4)


def _feeds(name: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    feeds = {}
    for info in CASES[name].graph.input:
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
        integers = info.type.tensor_type.elem_type == 7
        feeds[info.name] = rng.integers(0, 3, shape) if integers else rng.standard_normal(shape).astype(np.float32)
    return feeds


def test_a_body_that_captures_outer_values() -> None:
    """SequenceMap becomes a Loop around its body, which reads a value of the main graph."""
    tensor = helper.make_tensor_type_proto(1, [2])
    body = helper.make_graph(
        [helper.make_node("Add", ["e", "outer"], ["o"])],
        "body",
        [helper.make_value_info("e", tensor)],
        [helper.make_value_info("o", tensor)],
    )
    sequence = helper.make_sequence_type_proto(tensor)
    proto = model(
        [helper.make_node("Neg", ["w"], ["outer"]), helper.make_node("SequenceMap", ["s"], ["y"], body=body)],
        [helper.make_value_info("s", sequence), value("w", dtype=1, shape=[2])],
        [helper.make_value_info("y", sequence)],
    )
    got = read(proto)
    assert expand_function_op(list(got.graph)[1])
    verify(got)
    feeds = {"s": [F(2), F(2)], "w": F(2)}
    (result,) = ReferenceEvaluator(ir.to_proto(got.ir)).run(None, feeds)
    assert_same(result, [e - feeds["w"] for e in feeds["s"]])


def test_operators_without_a_body() -> None:
    got = read(single("MatMul", {"a": F(2, 2), "b": F(2, 2)}, opset=13))
    assert expand_function_op(got.graph[0]) is None
    verify(got)


def test_a_body_that_cannot_be_built_leaves_no_trace() -> None:
    got = read(CASES["Attention"])
    for value_of in got.graph.inputs:
        value_of.type = None
    assert expand_function_op(got.graph[0]) is None
    verify(got)
