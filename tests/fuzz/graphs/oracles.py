"""The two oracles: onnx's reference implementation and ONNX Runtime without its optimisations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedByRuntime

from fuzz.graphs.tracks import Array

onnxruntime.set_default_logger_severity(4)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[np.dtype, Sequence[int | str | None] | None]],
    outputs: Mapping[str, np.dtype | None],
    constants: Sequence[onnx.TensorProto] = (),
    opset: int = 21,
) -> onnx.ModelProto:
    """A model of these nodes; an output of unknown dtype is declared without a type."""
    graph = helper.make_graph(
        nodes,
        "random",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
            for name, (dtype, shape) in inputs.items()
        ],
        [
            onnx.ValueInfoProto(name=name)
            if dtype is None
            else helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
            for name, dtype in outputs.items()
        ],
        constants,
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


class Reference:
    """onnx's reference implementation."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.evaluator = ReferenceEvaluator(model)

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(result) for result in self.evaluator.run(None, dict(feeds))]


class Runtime:
    """ONNX Runtime; ``session`` is None where it has no implementation."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except NotImplementedByRuntime:
            self.session = None

    def run(self, feeds: Mapping[str, Array]) -> list[Array] | None:
        return None if self.session is None else self.session.run(None, dict(feeds))
