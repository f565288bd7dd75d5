"""Recurrent layers in models, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from ops.recurrent.cases import Layer, make_layer
from ops.recurrent.oracle import GATES
from sardonyx import InferenceSession, SessionOptions
from sardonyx.errors import ExecutionError, InvalidInputError
from sardonyx.inspection import Inspection

NAMES = ["x", "w", "r", "b", "lengths", "h", "c", "p"]
SHAPES: dict[str, list[str | int | None]] = {"x": ["steps", "batch", None], "lengths": ["batch"]}


def model(given: Layer, constant: tuple[str, ...] = ("w", "r", "b")) -> onnx.ModelProto:
    """The layer with sizes of steps and batch that are symbols; of its outputs y directions lie side by side."""
    arrays = {name: a for name, a in zip(NAMES, given.inputs, strict=False) if a is not None}
    inputs = [name if name in arrays else "" for name in NAMES[: len(given.inputs)]]
    outputs = ["y", "y_h", "y_c"][: given.outputs]
    nodes = [
        helper.make_node(given.op, inputs, outputs, name="layer", **given.attributes),
        helper.make_node("Transpose", ["y"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["turned", "shape"], ["flat"]),
    ]

    def info(name: str) -> onnx.ValueInfoProto:
        array = arrays[name]
        shape = SHAPES.get(name, [None] * array.ndim)
        sizes = [own if size is None else size for size, own in zip(shape, array.shape, strict=True)]
        if name in ("h", "c"):
            sizes[1] = "batch"
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes)

    weights = [onnx.numpy_helper.from_array(arrays[name], name) for name in constant if name in arrays]
    weights.append(onnx.numpy_helper.from_array(np.array([0, 0, -1]), "shape"))
    results = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ["flat", *outputs[1:]]]
    graph = helper.make_graph(nodes, "g", [info(n) for n in arrays if n not in constant], results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def feeds(given: Layer, proto: onnx.ModelProto) -> dict[str, Any]:
    arrays = dict(zip(NAMES, given.inputs, strict=False))
    return {value.name: arrays[value.name] for value in proto.graph.input}


def session(proto: onnx.ModelProto, threads: int = 1) -> InferenceSession:
    options = SessionOptions(intra_op_num_threads=threads, strict=True)
    return InferenceSession(proto.SerializeToString(), options)


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_against_onnxruntime(op: str, direction: str) -> None:
    for constant in (("w", "r", "b"), ()):
        sizes = [(5, 3), (1, 1), (9, 8)]
        layers = [make_layer(op, *size, 12, 40, direction=direction, seed=2) for size in sizes]
        proto = model(layers[0], constant)
        peer = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        one, two = session(proto), session(proto, 2)
        for given in layers:
            given.inputs[1:4] = layers[0].inputs[1:4]
            arrays = feeds(given, proto)
            got = one.run(None, arrays)
            for a, b, c in zip(got, two.run(None, arrays), peer.run(None, arrays), strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_allclose(a, c, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("op", list(GATES))
def test_a_single_row_against_onnxruntime(op: str) -> None:
    given = make_layer(op, 1, 1, 24, 64, direction="bidirectional", optional="bhc")
    proto = model(given)
    for value in proto.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == "batch":
                size.dim_value = 1
    peer = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    one, two = session(proto), session(proto, 2)
    for steps in (1, 4, 33, 200):
        given.inputs[0] = np.random.default_rng(steps).normal(size=(steps, 1, 24)).astype(np.float32)
        arrays = feeds(given, proto)
        for a, b, c in zip(one.run(None, arrays), two.run(None, arrays), peer.run(None, arrays), strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, rtol=2e-5, atol=2e-6)


def test_a_layer_is_one_call_beside_its_product(tmp_path: Path) -> None:
    given = make_layer("LSTM", 4, 2, 8, 32, direction="bidirectional", optional="bhc")
    onnx.save(model(given), tmp_path / "m.onnx")
    calls = Inspection(tmp_path / "m.onnx").kernels
    assert [call.name for call in calls] == ["gemm", "recurrence"]


@pytest.mark.parametrize("length", [-1, 6, 2**31 - 1])
def test_lengths_are_checked(length: int) -> None:
    given = make_layer("GRU", 5, 3, 4, 16)
    lengths = given.inputs[4]
    assert lengths is not None
    lengths[1] = length
    proto = model(given)
    with pytest.raises(ExecutionError, match=r"node 'layer' \(recurrence\): a sequence length is out of range"):
        session(proto).run(None, feeds(given, proto))


def test_sizes_are_checked() -> None:
    given = make_layer("GRU", 5, 3, 4, 16)
    proto = model(given, ())
    arrays = feeds(given, proto)
    arrays["lengths"] = arrays["lengths"][:2]
    with pytest.raises(InvalidInputError):
        session(proto).run(None, arrays)
