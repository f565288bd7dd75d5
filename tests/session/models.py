"""Small models for the tests of sessions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: list[onnx.NodeProto], inputs: list, outputs: list, initializers: dict | None = None
) -> onnx.ModelProto:
    """A model of opset 21 with metadata."""
    graph = helper.make_graph(
        nodes,
        "graph name",
        inputs,
        outputs,
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (initializers or {}).items()],
        doc_string="about the graph",
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    made.producer_name, made.domain, made.model_version, made.doc_string = "tests", "org.example", 7, "about the model"
    helper.set_model_props(made, {"author": "someone", "licence": "none"})
    return made


def tensor(name: str, shape: list | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def mlp() -> onnx.ModelProto:
    """``y = relu(x W + b)`` for x of [batch, 8]; and ``s``, the sum of all of y."""
    draw = np.random.default_rng(3)
    return model(
        [
            helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
            helper.make_node("Add", ["p", "b"], ["q"], name="bias"),
            helper.make_node("Relu", ["q"], ["y"], name="relu"),
            helper.make_node("ReduceSum", ["y"], ["s"], name="sum", keepdims=0),
        ],
        [tensor("x", ["batch", 8])],
        [tensor("y", ["batch", 5]), tensor("s", [])],
        {"w": draw.standard_normal((8, 5)).astype(np.float32), "b": draw.standard_normal(5).astype(np.float32)},
    )


def two_inputs() -> onnx.ModelProto:
    """``out = a * float(k) + c``: float and int64 inputs and an input with a default; ``same`` is a again."""
    return model(
        [
            helper.make_node("Cast", ["k"], ["f"], to=FLOAT),
            helper.make_node("Mul", ["a", "f"], ["m"]),
            helper.make_node("Add", ["m", "c"], ["out"]),
            helper.make_node("Identity", ["a"], ["same"]),
        ],
        [tensor("a", ["n", None, 2]), tensor("k", [], INT64), tensor("c", [1])],
        [tensor("out", ["n", None, 2]), tensor("same", ["n", None, 2])],
        {"c": np.array([0.5], np.float32)},
    )


def strings() -> onnx.ModelProto:
    """Every string of a tensor twice."""
    node = helper.make_node("StringConcat", ["s", "s"], ["u"])
    return model([node], [tensor("s", ["n"], TensorProto.STRING)], [tensor("u", ["n"], TensorProto.STRING)])


def sequences() -> onnx.ModelProto:
    """A sequence of tensors: its length, and itself with one more tensor."""
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    return model(
        [
            helper.make_node("SequenceLength", ["q"], ["length"]),
            helper.make_node("SequenceInsert", ["q", "x"], ["longer"]),
        ],
        [helper.make_value_info("q", kind), tensor("x", ["n"])],
        [tensor("length", [], INT64), helper.make_value_info("longer", kind)],
    )
