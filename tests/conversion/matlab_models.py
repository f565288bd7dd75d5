"""Models in the form that MATLAB's ``exportONNXNetwork`` writes, made by hand: no MATLAB took part.

The form follows its documentation and what is known of its files: the producer's name (Neural Network Toolbox until
R2018a, Deep Learning Toolbox since), IR version 3 with every weight among the inputs, values and weights named after
the layers (``conv_1``, ``conv_1_W``), opset 6 with ``is_test``, ``consumed_inputs`` and ``broadcast``, an image input
that subtracts its mean, fully connected layers as Gemm on whatever rank comes, sequences as (SequenceLength, BatchSize,
features), declared outputs of another rank than the computed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from conversion.onnx_models import Weights

__all__ = ["bilstm", "cnn", "gru", "lstm", "mlp", "old_cnn", "sequence_to_sequence"]

OLD = "MATLAB Neural Network Toolbox Converter for ONNX Model Format"
NEW = "MATLAB Deep Learning Toolbox Converter for ONNX Model Format"


def exported(
    nodes: Sequence[onnx.NodeProto],
    port: tuple[str, Sequence[Any]],
    output: tuple[str, Sequence[Any]],
    weights: Weights,
    opset: int,
    producer: tuple[str, str] = (NEW, "23.2.0"),
    ir_version: int = 8,
) -> onnx.ModelProto:
    inputs = [] if ir_version > 3 else [(t.name, list(t.dims)) for t in weights.tensors]
    graph = helper.make_graph(
        list(nodes),
        "Network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (*inputs, port)],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        weights.tensors,
    )
    made: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    made.producer_name, made.producer_version = producer
    return made


def convolution(w: Weights, number: int, source: str, sizes: tuple[int, int], **norm: Any) -> list[onnx.NodeProto]:
    conv, batch, relu = f"conv_{number}", f"batchnorm_{number}", f"relu_{number}"
    inputs, outputs = sizes
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    weights = [w.normal(f"{conv}_W", outputs, inputs, 3, 3), w.normal(f"{conv}_B", outputs)]
    norms = [w.positive(f"{batch}_scale", outputs), w.normal(f"{batch}_B", outputs)]
    norms += [w.normal(f"{batch}_mean", outputs), w.positive(f"{batch}_var", outputs)]
    pool = {"kernel_shape": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2]}
    return [
        helper.make_node("Conv", [source, *weights], [conv], conv, **kernel),
        helper.make_node("BatchNormalization", [conv, *norms], [batch], batch, epsilon=1e-5, **norm),
        helper.make_node("Relu", [batch], [relu], relu),
        helper.make_node("MaxPool", [relu], [f"maxpool_{number}"], f"maxpool_{number}", **pool),
    ]


def connected(w: Weights, name: str, source: str, sizes: tuple[int, int], **more: Any) -> onnx.NodeProto:
    """A fully connected layer."""
    weights = [w.normal(f"{name}_W", sizes[1], sizes[0]), w.normal(f"{name}_B", sizes[1])]
    return helper.make_node("Gemm", [source, *weights], [name], name, alpha=1.0, beta=1.0, transA=0, transB=1, **more)


def old_cnn() -> onnx.ModelProto:
    """R2018a: opset 6, the mean image, a batch of 1, Gemm on a tensor of rank 4."""
    w = Weights()
    mean = w.normal("imageinput_AvgImg", 1, 1, 12, 12)
    dropped = {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]}
    nodes = [
        helper.make_node("Sub", ["imageinput", mean], ["imageinput_Sub"], "imageinput_Sub", broadcast=1),
        *convolution(w, 1, "imageinput_Sub", (1, 8), **dropped),
        *convolution(w, 2, "maxpool_1", (8, 16), **dropped),
        connected(w, "fc", "maxpool_2", (144, 4), broadcast=1),
        helper.make_node("Softmax", ["fc"], ["softmax"], "softmax"),
    ]
    return exported(nodes, ("imageinput", [1, 1, 12, 12]), ("softmax", [1, 4, 1, 1]), w, 6, (OLD, "18.1.0"), 3)


def cnn() -> onnx.ModelProto:
    """Opset 9: a mean of each channel, global average pooling, a batch of 4, class names among the properties."""
    w = Weights()
    nodes = [
        helper.make_node("Sub", ["imageinput", w.normal("imageinput_Mean", 1, 3, 1, 1)], ["imageinput_Sub"]),
        *convolution(w, 1, "imageinput_Sub", (3, 8)),
        helper.make_node("GlobalAveragePool", ["maxpool_1"], ["gapool"], "gapool"),
        connected(w, "fc", "gapool", (8, 3)),
        helper.make_node("Softmax", ["fc"], ["softmax"], "softmax", axis=1),
    ]
    made = exported(nodes, ("imageinput", [4, 3, 16, 16]), ("softmax", [4, 3, 1, 1]), w, 9, (NEW, "20.1.0"), 3)
    helper.set_model_props(made, {"ClassNames": "cat, dog, horse"})
    return made


def mlp(opset: int = 14) -> onnx.ModelProto:
    """Features in rows, a batch fixed at 8."""
    w = Weights()
    nodes = [
        connected(w, "fc_1", "featureinput", (6, 16)),
        helper.make_node("Tanh", ["fc_1"], ["tanh"], "tanh"),
        connected(w, "fc_2", "tanh", (16, 2)),
    ]
    return exported(nodes, ("featureinput", [8, 6]), ("fc_2", [8, 2]), w, opset)


def recurrent(
    w: Weights,
    kind: str,
    source: str,
    sizes: tuple[int, int],
    outputs: list[str],
    states: Sequence[str] = (),
    **more: Any,
) -> onnx.NodeProto:
    features, hidden = sizes
    gates, name = {"LSTM": 4, "GRU": 3}[kind] * hidden, outputs[-1]
    ways = 2 if more.get("direction") == "bidirectional" else 1
    weights = [w.normal(f"{name}_W", ways, gates, features), w.normal(f"{name}_R", ways, gates, hidden)]
    weights.append(w.normal(f"{name}_B", ways, 2 * gates))
    return helper.make_node(
        kind, [source, *weights, "", *states][: 4 + bool(states) * 3], outputs, name, hidden_size=hidden, **more
    )


def sequence_to_sequence(batch: int | str = 1) -> onnx.ModelProto:
    """The network of microsoft/onnxruntime issue 1016: fully connected layers at each step of an LSTM."""
    w = Weights()
    states = [w.add(f"lstm_{s}", np.full((1, batch, 20), 0.25, np.float32)) for s in "hc"] if batch == 1 else []
    nodes = [
        recurrent(w, "LSTM", "sequenceinput", (5, 20), ["lstm"], states, direction="forward"),
        connected(w, "fc_1", "lstm", (20, 10)),
        helper.make_node("Dropout", ["fc_1"], ["dropout"], "dropout", ratio=0.5),
        connected(w, "fc_2", "dropout", (10, 1)),
    ]
    shape = ["SequenceLength", batch, 5]
    return exported(nodes, ("sequenceinput", shape), ("fc_2", ["SequenceLength", batch, 1]), w, 9, (NEW, "19.1.0"), 3)


def lstm(batch: int | str = "BatchSize") -> onnx.ModelProto:
    """The last step of an LSTM (Y_h, read as rows) and a fully connected layer; the output declared with rank 3."""
    w = Weights()
    nodes = [
        recurrent(w, "LSTM", "sequenceinput", (4, 12), ["", "lstm"]),
        helper.make_node("Relu", ["lstm"], ["relu"], "relu"),
        connected(w, "fc", "relu", (12, 3)),
        helper.make_node("Softmax", ["fc"], ["softmax"], "softmax", axis=-1),
    ]
    return exported(nodes, ("sequenceinput", ["SequenceLength", batch, 4]), ("softmax", [1, batch, 3]), w, 13)


def bilstm() -> onnx.ModelProto:
    """Both directions, a second LSTM on what the first gives at each step, and a softmax at each step."""
    w = Weights()
    nodes = [
        recurrent(w, "LSTM", "sequenceinput", (4, 8), ["bilstm"], direction="bidirectional"),
        recurrent(w, "LSTM", "bilstm", (16, 8), ["lstm"], direction="forward"),
        connected(w, "fc", "lstm", (8, 3)),
        helper.make_node("Softmax", ["fc"], ["softmax"], "softmax"),
    ]
    shape = ["SequenceLength", 1, 4]
    return exported(nodes, ("sequenceinput", shape), ("softmax", ["SequenceLength", 1, 3]), w, 9, (NEW, "21.1.0"), 3)


def gru(opset: int = 17) -> onnx.ModelProto:
    """A GRU in opset 17, a Squeeze of the exporter's own behind it."""
    w = Weights()
    nodes = [
        recurrent(w, "GRU", "sequenceinput", (4, 8), ["gru"], linear_before_reset=1),
        helper.make_node("Squeeze", ["gru", w.add("axes", np.array([1]))], ["gru_squeeze"], "gru_squeeze"),
        helper.make_node("MatMul", ["gru_squeeze", w.normal("fc_W", 8, 2)], ["fc_MatMul"], "fc_MatMul"),
        helper.make_node("Add", ["fc_MatMul", w.normal("fc_B", 2)], ["fc"], "fc"),
    ]
    shape = ["SequenceLength", "BatchSize", 4]
    return exported(nodes, ("sequenceinput", shape), ("fc", ["SequenceLength", "BatchSize", 2]), w, opset)
