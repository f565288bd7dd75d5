"""Models with control flow, for tests, and a run of them on sardonyx and on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import sardonyx

Array = npt.NDArray[Any]
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node = helper.make_node


def tensor(name: str, shape: Sequence[int | str | None] | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def sequence(name: str, dtype: int = FLOAT, shape: Sequence[int | str | None] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_sequence_value_info(name, dtype, shape)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, Array] | None = None,
) -> onnx.GraphProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    return helper.make_graph(nodes, "graph", inputs, outputs, tensors)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    made = graph(nodes, inputs, outputs, weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def loop_body(
    nodes: Sequence[onnx.NodeProto],
    carried: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, Array] | None = None,
    prefix: str = "",
) -> onnx.GraphProto:
    """A body that goes on as long as it may, unless one of ``nodes`` makes ``<prefix>go``."""
    number, condition, go = f"{prefix}number", f"{prefix}condition", f"{prefix}go"
    decided = any(go in n.output for n in nodes)
    given = [] if decided else [node("Identity", [condition], [go])]
    ports = [tensor(number, [], INT64), tensor(condition, [], BOOL)]
    return graph([*nodes, *given], [*ports, *carried], [tensor(go, [], BOOL), *outputs], weights)


def options(**settings: Any) -> sardonyx.SessionOptions:
    made = sardonyx.SessionOptions()
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def check(
    proto: onnx.ModelProto, *feeds: Mapping[str, Any], native: bool = True, **settings: Any
) -> sardonyx.InferenceSession:
    """Runs a model on each of ``feeds`` and holds the results against ONNX Runtime's; ``native``: without a Python
    step."""
    session = sardonyx.InferenceSession(proto.SerializeToString(), options(log_severity_level=4, **settings))
    oracle = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for one in feeds:
        for got, expected in zip(session.run(None, one), oracle.run(None, one), strict=True):
            same(got, expected)
    if native:
        assert [step.kernel for step in session.program.python_steps] == []
    return session


def same(got: Any, expected: Any) -> None:
    assert type(got) is type(expected)
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            same(a, b)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected
