"""Operators outside the standard, on the fallback, against ONNX Runtime."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sardonyx.compiler import compile_model
from sardonyx.runtime.pool import team

TEXTS = np.array([["one two  three", "a bb, ccc"], ["", "żółw żaba x"]], dtype=object)


@pytest.mark.parametrize(
    "attributes",
    [
        {"tokenexp": "[a-z]+", "mark": 0, "mincharnum": 1},
        {"tokenexp": "[^ ,]+", "mark": 1, "mincharnum": 1},
        {"separators": [" "], "mark": 0, "mincharnum": 2},
        {"separators": [" ", ","], "mark": 1, "mincharnum": 1},
        {"separators": [""], "mark": 0, "mincharnum": 1},
    ],
)
@pytest.mark.parametrize("rank", [1, 2])
def test_tokenizer(attributes: dict[str, object], rank: int) -> None:
    text = TEXTS if rank == 2 else TEXTS[:, 1]
    node = helper.make_node("Tokenizer", ["x"], ["y"], domain="com.microsoft", pad_value="#", **attributes)
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [None] * rank)],
        [helper.make_tensor_value_info("y", TensorProto.STRING, None)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": text})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        program = compile_model(model)
    program.load(team(1), 1 << 30)
    (got,) = program.run([text])
    assert got.tolist() == expected.tolist()
