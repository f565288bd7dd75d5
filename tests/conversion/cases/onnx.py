"""ONNX models that are checked and brought to another form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from conversion.cases import Case


def mlp() -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    weights = {"w": (16, 32), "b": (32,), "v": (32, 4)}
    tensors = [numpy_helper.from_array(rng.standard_normal(s, np.float32), n) for n, s in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model, {}


CASES = [Case("MLP, opset 13", mlp)]
