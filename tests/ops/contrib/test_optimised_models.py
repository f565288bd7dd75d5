"""Models that ONNX Runtime has optimised and saved load and run here, natively and with the same results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ops.contrib.oracle import Array, compiled, numbers, reference

NORM = {"axis": -1, "epsilon": 1e-5}


def model(nodes: list[onnx.NodeProto], ports: dict[str, list[Any]], constants: dict[str, Array]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ports.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def saved(proto: onnx.ModelProto, path: Path) -> tuple[onnx.ModelProto, Counter[str]]:
    """What ONNX Runtime makes of a model at the highest level that holds for every machine."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path / "optimised.onnx")
    onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = onnx.load(options.optimized_model_filepath)
    return made, Counter(node.op_type for node in made.graph.node if node.domain == "com.microsoft")


def compare(proto: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    (want,) = reference(proto, feeds)
    (got,) = compiled(proto).run(list(feeds.values()))
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


def test_transformer_block(tmp_path: Path) -> None:
    node, hidden, heads = helper.make_node, 16, 2
    shape = {"split": np.array([0, 0, heads, hidden // heads]), "merge": np.array([0, 0, hidden])}
    nodes = []
    for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            node("MatMul", ["x", f"w{name}"], [f"{name}0"]),
            node("Add", [f"{name}0", f"b{name}"], [f"{name}1"]),
            node("Reshape", [f"{name}1", "split"], [f"{name}2"]),
            node("Transpose", [f"{name}2"], [name], perm=perm),
        ]
    nodes += [
        node("MatMul", ["q", "k"], ["scores"]),
        node("Div", ["scores", "root"], ["scaled"]),
        node("Add", ["scaled", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["weights"], axis=-1),
        node("MatMul", ["weights", "v"], ["heads"]),
        node("Transpose", ["heads"], ["rows"], perm=[0, 2, 1, 3]),
        node("Reshape", ["rows", "merge"], ["merged"]),
        node("MatMul", ["merged", "wq"], ["out"]),
        node("Add", ["out", "bq"], ["biased"]),
        node("Add", ["biased", "x"], ["sum"]),
        node("LayerNormalization", ["sum", "bq", "bk"], ["normed"], **NORM),
        node("MatMul", ["normed", "wk"], ["wide"]),
        node("Add", ["wide", "bv"], ["wider"]),
        node("Gelu", ["wider"], ["y"]),
    ]
    constants = {f"w{name}": numbers(hidden, hidden) / 4 * scale for name, scale in (("q", 1), ("k", -1), ("v", 2))}
    constants |= {f"b{name}": numbers(hidden) * scale for name, scale in (("q", 1), ("k", -1), ("v", 2))}
    constants |= {**shape, "root": np.array(np.sqrt(hidden // heads), np.float32)}
    proto = model(nodes, {"x": ["b", "s", hidden], "mask": ["b", 1, 1, "s"]}, constants)
    made, found = saved(proto, tmp_path)
    assert {"FusedMatMul", "BiasGelu"} <= set(found)
    compare(made, {"x": numbers(2, 5, hidden), "mask": numbers(2, 1, 1, 5)})


def test_convolutions(tmp_path: Path) -> None:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b"], ["a0"], pads=[1, 1, 1, 1]),
        node("Relu", ["a0"], ["a1"]),
        node("Conv", ["a1", "w1", "b"], ["a2"], pads=[1, 1, 1, 1]),
        node("Clip", ["a2", "low", "high"], ["a3"]),
        node("Conv", ["a3", "w1", "b"], ["a4"], pads=[1, 1, 1, 1]),
        node("Sigmoid", ["a4"], ["a5"]),
        node("Mul", ["a4", "a5"], ["a6"]),
        node("Add", ["a6", "a1"], ["y"]),
    ]
    constants = {"w0": numbers(8, 3, 3, 3), "w1": numbers(8, 8, 3, 3) / 4, "b": numbers(8)}
    constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    made, found = saved(model(nodes, {"x": ["n", 3, "h", "w"]}, constants), tmp_path)
    assert {"FusedConv", "QuickGelu"} <= set(found)
    compare(made, {"x": numbers(2, 3, 9, 7)})
