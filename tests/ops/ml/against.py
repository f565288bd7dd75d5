"""One node of ai.onnx.ml on ONNX Runtime and here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

import sardonyx

Array = npt.NDArray[Any]
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def node_model(
    op: str,
    inputs: dict[str, Array],
    results: list[int],
    version: int = 1,
    domain: str = "ai.onnx.ml",
    opset: int = 18,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; all sizes of its inputs are free. ``results`` are the outputs' element types."""
    declared = []
    for name, array in inputs.items():
        kind = STRING if array.dtype.kind in "OUS" else helper.np_dtype_to_tensor_dtype(array.dtype)
        declared.append(helper.make_tensor_value_info(name, kind, [None] * array.ndim))
    names = [f"y{place}" for place in range(len(results))]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, results, strict=True)]
    node = helper.make_node(op, list(inputs), names, "it", domain=domain, **attributes)
    graph = helper.make_graph([node], "test", declared, outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 9)


def session_of(model: onnx.ModelProto, threads: int = 1) -> sardonyx.InferenceSession:
    """A session in which no step is one of the fallback."""
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    options.strict = True
    return sardonyx.InferenceSession(model, options)


def run_ours(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Any]:
    """The outputs here; no step may be one of the fallback."""
    results: list[Any] = session_of(model).run(None, inputs)
    return results


def reference_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The same on one thread of ONNX Runtime: with more, its sums change their order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_equal(got: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    """Floats close, all else equal; types and shapes equal."""
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, tolerance, tolerance)
        else:
            np.testing.assert_array_equal(ours, theirs)


def check(
    op: str,
    x: Array,
    results: list[int],
    version: int = 1,
    tolerance: float = 1e-5,
    rows: Sequence[int] = (),
    **attributes: Any,
) -> None:
    """Holds a node with one input against ONNX Runtime, on x and on the first ``rows`` of it."""
    model = node_model(op, {"x": x}, results, version, **attributes)
    ours, theirs = session_of(model), reference_of(model)
    for part in [x, *(x[:count] for count in rows)]:
        check_equal(ours.run(None, {"x": part}), theirs.run(None, {"x": part}), tolerance)
