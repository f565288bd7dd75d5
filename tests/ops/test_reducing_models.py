"""Small models around reductions, softmax, normalisations and selections, compiled as a whole, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import sardonyx
from sardonyx.errors import ExecutionError, InvalidInputError

Array = npt.NDArray[Any]
node = helper.make_node
RNG = np.random.default_rng(0)


def floats(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def model(nodes: Sequence[NodeProto], feeds: Mapping[str, Array], weights: Mapping[str, Array]) -> bytes:
    """The nodes as a model with symbolic sizes but for 3 channels; the last one's first output is the result."""
    inputs = []
    for name, array in feeds.items():
        sizes = [3 if (axis, size) == (1, 3) else f"{name}{axis}" for axis, size in enumerate(array.shape)]
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "model", inputs, outputs, initializers)
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString()


def check(nodes: Sequence[NodeProto], feeds: Mapping[str, Array], weights: Mapping[str, Array] | None = None) -> None:
    """Compiled natively, right, and bit-equal on one and two threads."""
    data = model(nodes, feeds, weights or {})
    want = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, dict(feeds))[0]
    results = []
    for threads in (1, 2):
        options = sardonyx.SessionOptions()
        options.intra_op_num_threads = threads
        session = sardonyx.InferenceSession(data, options)
        assert not session.program.python_steps
        results.append(session.run(None, dict(feeds))[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(
        results[0], want, rtol=1e-5, atol=1e-5 * max(1.0, float(np.max(np.abs(want), initial=0)))
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_masked_softmax(batch: int) -> None:
    nodes = [
        node("Mul", ["x", "scale"], ["scaled"]),
        node("Add", ["scaled", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["y"]),
    ]
    feeds = {"x": floats(batch, 4, 33, 33), "mask": floats(batch, 1, 1, 33)}
    check(nodes, feeds, {"scale": np.float32(0.125) * np.ones((), np.float32)})


def test_residual_layer_normalization() -> None:
    nodes = [
        node("Add", ["x", "z"], ["sum"]),
        node("LayerNormalization", ["sum", "w", "b"], ["normed"]),
        node("Relu", ["normed"], ["active"]),
        node("Add", ["active", "sum"], ["y"]),
    ]
    check(nodes, {"x": floats(2, 9, 77), "z": floats(2, 9, 77)}, {"w": floats(77), "b": floats(77)})


def test_other_outputs_beside_an_epilogue() -> None:
    nodes = [
        node("LayerNormalization", ["x", "w"], ["normed", "mean", "inverse"]),
        node("Exp", ["mean"], ["more"]),
        node("Mul", ["normed", "inverse"], ["product"]),
        node("Add", ["product", "more"], ["y"]),
    ]
    check(nodes, {"x": floats(4, 50)}, {"w": floats(50)})
    nodes = [
        node("LayerNormalization", ["x", "w"], ["normed", "", "inverse"]),
        node("Mul", ["normed", "inverse"], ["y"]),
    ]
    check(nodes, {"x": floats(4, 50)}, {"w": floats(50)})


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_softmax_of_a_transposed_view(axis: int) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3]),
        node("Softmax", ["t"], ["s"], axis=axis),
        node("Reshape", ["s", "shape"], ["y"]),
    ]
    check(nodes, {"x": floats(2, 7, 3, 20)}, {"shape": ints(0, 0, -1)})


@pytest.mark.parametrize("norm", ["InstanceNormalization", "GroupNormalization"])
def test_normalization_after_convolution(norm: str) -> None:
    attributes = {"num_groups": 4} if norm[0] == "G" else {}
    nodes = [
        node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        node(norm, ["c", "scale", "bias"], ["n"], **attributes),
        node("Sigmoid", ["n"], ["gate"]),
        node("Mul", ["n", "gate"], ["y"]),
    ]
    weights = {"kernel": floats(12, 3, 3, 3), "scale": floats(12), "bias": floats(12)}
    check(nodes, {"x": floats(2, 3, 13, 11)}, weights)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"])
@pytest.mark.parametrize("axes", [(2, 3), (1,), (0, 3)])
def test_reduction_of_a_convolution(op: str, axes: tuple[int, ...]) -> None:
    nodes = [
        node("Conv", ["x", "kernel"], ["c"]),
        node("Tanh", ["c"], ["t"]),
        node(op, ["t", "axes"], ["r"], keepdims=0),
        node("Neg", ["r"], ["y"]),
    ]
    check(nodes, {"x": floats(2, 3, 12, 9)}, {"kernel": floats(8, 3, 3, 3), "axes": ints(*axes)})


def test_k_from_a_shape() -> None:
    nodes = [
        node("Shape", ["x"], ["shape"], start=2),
        node("Min", ["shape", "limit"], ["k"]),
        node("TopK", ["x", "k"], ["values", "places"]),
        node("Cast", ["places"], ["numbers"], to=TensorProto.FLOAT),
        node("Add", ["values", "numbers"], ["y"]),
    ]
    for size in (5, 40):
        check(nodes, {"x": floats(2, 3, size)}, {"limit": ints(9)})


def test_selection_of_a_computed_value() -> None:
    nodes = [
        node("Neg", ["x"], ["n"]),
        node("ArgMax", ["n"], ["places"], axis=1),
        node("Cast", ["places"], ["numbers"], to=TensorProto.FLOAT),
        node("LogSoftmax", ["numbers"], ["logarithm"], axis=0),
        node("ReduceSum", ["logarithm", "axes"], ["y"]),
    ]
    check(nodes, {"x": floats(5, 30, 17)}, {"axes": ints(0, 2)})


def test_long_reduction_on_threads() -> None:
    nodes = [node("Abs", ["x"], ["a"]), node("ReduceSum", ["a"], ["s"], keepdims=0), node("Sqrt", ["s"], ["y"])]
    check(nodes, {"x": floats(300, 1001)})


@pytest.mark.parametrize(
    "op_type", ["ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2", "ReduceLogSumExp", "ReduceProd"]
)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_axes_that_a_run_reads(op_type: str, keepdims: int) -> None:
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x", "axes"], ["y"], keepdims=keepdims)],
        "test",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", 4, "c"]),
            helper.make_tensor_value_info("axes", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session, reference = sardonyx.InferenceSession(model.SerializeToString()), ReferenceEvaluator(model)
    assert not session.program.python_steps
    rng = np.random.default_rng(0)
    for axes in ([0, 1], [1, 3], [-1, 0], [2, -4], [-2, -3]):
        for shape in ((2, 3, 4, 5), (1, 40, 4, 33)):
            feeds = {"x": rng.standard_normal(shape, np.float32), "axes": np.array(axes, np.int64)}
            (got,), (want,) = session.run(None, feeds), reference.run(None, feeds)
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)
    for wrong in ([0, 4], [1, 1], [-1, 3]):
        with pytest.raises((InvalidInputError, ExecutionError), match="ax"):
            session.run(None, {"x": np.ones((2, 3, 4, 5), np.float32), "axes": np.array(wrong, np.int64)})
