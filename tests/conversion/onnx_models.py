"""Small ONNX models with seeded weights, as files of different ages have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Weights", "attention", "cnn", "flattening", "heads", "lstm", "mlp", "model", "old_cnn"]


class Weights:
    """Initializers with seeded normal values, collected by name."""

    def __init__(self) -> None:
        self.tensors: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def normal(self, name: str, *shape: int) -> str:
        return self.add(name, (self._rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32))

    def positive(self, name: str, *shape: int) -> str:
        return self.add(name, (0.5 + self._rng.random(shape)).astype(np.float32))

    def add(self, name: str, array: npt.ArrayLike) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[Any]],
    outputs: dict[str, Sequence[Any] | None],
    weights: Weights,
    opset: int,
    ir_version: int = 8,
) -> onnx.ModelProto:
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ports.items()]
        for ports in (inputs, outputs)
    ]
    graph = helper.make_graph(list(nodes), "graph", ports[0], ports[1], weights.tensors)
    made: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    if ir_version < 4:
        made.graph.input.extend(
            helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in weights.tensors
        )
    return made


def mlp(batch: int | str = "batch", opset: int = 13) -> onnx.ModelProto:
    w = Weights()
    nodes = [
        helper.make_node("Gemm", ["x", w.normal("w", 16, 32), w.normal("b", 32)], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", w.normal("v", 32, 4)], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    return model(nodes, {"x": [batch, 16]}, {"y": [batch, 4]}, w, opset)


def cnn(batch: int | str = "batch", opset: int = 13) -> onnx.ModelProto:
    """Convolution, normalisation, what simplification removes, and a mean with axes."""
    w = Weights()
    w.add("one", np.float32(1))
    norm = [w.positive("scale", 8), w.normal("shift", 8), w.normal("mean", 8), w.positive("variance", 8)]
    mean = {"axes": [2, 3], "keepdims": 0}
    nodes = [
        helper.make_node("Conv", ["x", w.normal("k", 8, 3, 3, 3)], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", *norm], ["n"], "norm"),
        helper.make_node("Identity", ["n"], ["i"]),
        helper.make_node("Mul", ["i", "one"], ["o"]),
        helper.make_node("Relu", ["o"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReduceMean", ["p"], ["m"], "mean", **mean),
        helper.make_node("Gemm", ["m", w.normal("v", 5, 8), w.normal("b", 5)], ["s"], transB=1),
        helper.make_node("Softmax", ["s"], ["y"], axis=1),
    ]
    return model(nodes, {"x": [batch, 3, 12, 12]}, {"y": [batch, 5]}, w, opset)


def old_cnn(opset: int = 7) -> onnx.ModelProto:
    """As exporters wrote it in 2018: weights among the inputs, broadcasting along an axis before opset 7."""
    w = Weights()
    norm = [w.positive("scale", 8), w.normal("shift", 8), w.normal("mean", 8), w.positive("variance", 8)]
    test = {"is_test": 1} if opset < 7 else {}
    bias = w.normal("channel", 8)
    if opset >= 7:
        w.tensors[-1].dims.extend([1, 1])
    along = {"broadcast": 1, "axis": 1} if opset < 7 else {}
    nodes = [
        helper.make_node("Conv", ["x", w.normal("k", 8, 3, 3, 3)], ["c"], "conv", strides=[2, 2]),
        helper.make_node("Add", ["c", bias], ["a"], "bias", **along),
        helper.make_node("BatchNormalization", ["a", *norm], ["n"], "norm", **test),
        helper.make_node("LeakyRelu", ["n"], ["r"], alpha=0.1),
        helper.make_node("Dropout", ["r"], ["d"], "drop", ratio=0.4, **test),
        helper.make_node("AveragePool", ["d"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node(
            "Gemm",
            ["f", w.normal("v", 5, 32), w.normal("b", 5)],
            ["s"],
            transB=1,
            **({"broadcast": 1} if opset < 7 else {}),
        ),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    return model(nodes, {"x": ["batch", 3, 10, 10]}, {"y": ["batch", 5]}, w, opset, 3)


def lstm(batch: int | str = "batch", opset: int = 14, state: float = 0.0) -> onnx.ModelProto:
    """Two directions; initial states that hold the batch where it is a number."""
    w = Weights()
    weights = [w.normal("w", 2, 48, 6), w.normal("r", 2, 48, 12), w.normal("b", 2, 96)]
    if isinstance(batch, int):
        states = [w.add(name, np.full((2, batch, 12), state, np.float32)) for name in ("h", "c")]
        weights += ["", *states]
    nodes = [
        helper.make_node("LSTM", ["x", *weights], ["", "last"], "lstm", hidden_size=12, direction="bidirectional"),
        helper.make_node("Transpose", ["last"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Flatten", ["t"], ["f"]),
        helper.make_node("Gemm", ["f", w.normal("v", 24, 3), w.normal("d", 3)], ["y"]),
    ]
    return model(nodes, {"x": ["time", batch, 6]}, {"y": [batch, 3]}, w, opset)


def flattening(batch: int = 1, opset: int = 13) -> onnx.ModelProto:
    """A fixed batch in the constants of Reshape nodes, with and without a -1 elsewhere, and in a token that Expand
    repeats."""
    w = Weights()
    shapes = {"rows": [batch, -1], "image": [batch, 4, 3, 12], "tokens": [batch, 1, 12], "flat": [-1, 60]}
    for name, shape in shapes.items():
        w.add(name, np.array(shape, np.int64))
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["a"], "to_rows"),
        helper.make_node("MatMul", ["a", w.normal("v", 48, 144)], ["b"]),
        helper.make_node("Reshape", ["b", "image"], ["c"], "to_image"),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ReduceMax", ["d"], ["e"], axes=[2], keepdims=0),
        helper.make_node("Expand", [w.normal("token", 1, 1, 12), "tokens"], ["t"], "repeat"),
        helper.make_node("Concat", ["t", "e"], ["g"], axis=1),
        helper.make_node("Reshape", ["g", "flat"], ["y"]),
    ]
    return model(nodes, {"x": [batch, 3, 4, 4]}, {"y": [batch, 60]}, w, opset)


def heads(batch: int, opset: int = 13) -> onnx.ModelProto:
    """Two heads of a sequence that comes first, as PyTorch's attention is exported: the batch is within other sizes."""
    w = Weights()
    shapes = {"heads": [5, 2 * batch, 4], "rows": [5 * batch, 8], "tokens": [5, batch, 8]}
    for name, shape in shapes.items():
        w.add(name, np.array(shape, np.int64))
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["a", "heads"], ["b"], "to_heads"),
        helper.make_node("Transpose", ["b"], ["c"], perm=[1, 0, 2]),
        helper.make_node("Transpose", ["b"], ["d"], perm=[1, 2, 0]),
        helper.make_node("MatMul", ["c", "d"], ["e"]),
        helper.make_node("MatMul", ["e", "c"], ["f"]),
        helper.make_node("Transpose", ["f"], ["g"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["g", "rows"], ["h"], "to_rows"),
        helper.make_node("Gemm", ["h", w.normal("v", 8, 8)], ["i"]),
        helper.make_node("Reshape", ["i", "tokens"], ["j"], "to_tokens"),
        helper.make_node("Transpose", ["j"], ["y"], perm=[1, 0, 2]),
    ]
    return model(nodes, {"x": [batch, 5, 8]}, {"y": [batch, 5, 8]}, w, opset)


def attention(opset: int = 17) -> onnx.ModelProto:
    """One head, with a LayerNormalization that exists since opset 17."""
    w = Weights()
    nodes = [
        *(helper.make_node("MatMul", ["x", w.normal(f"w{p}", 16, 16)], [p]) for p in "qkv"),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"]),
        helper.make_node("Mul", ["s", w.add("factor", np.float32(0.25))], ["m"]),
        helper.make_node("Softmax", ["m"], ["a"], axis=-1),
        helper.make_node("MatMul", ["a", "v"], ["o"]),
        helper.make_node("Add", ["o", "x"], ["z"]),
        helper.make_node("LayerNormalization", ["z", w.positive("g", 16), w.normal("b", 16)], ["y"], "norm", axis=-1),
    ]
    return model(nodes, {"x": ["batch", "time", 16]}, {"y": ["batch", "time", 16]}, w, opset)
