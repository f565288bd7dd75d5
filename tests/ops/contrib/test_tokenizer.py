"""Tokenizer against ONNX Runtime."""

from __future__ import annotations

import time
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
        {"separators": ["b", "bb", "e."], "mark": 0, "mincharnum": 1},
        {"separators": ["o|ne|,"], "mark": 0, "mincharnum": 1},
        {"tokenexp": "b|bb|t|thr?", "mark": 0, "mincharnum": 1},
        {"tokenexp": r"\b[a-z]*?", "mark": 0, "mincharnum": 1},
        {"tokenexp": "(o|x)*(n)?", "mark": 0, "mincharnum": 1},
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


def test_hostile_expressions_take_bounded_time() -> None:
    node = helper.make_node(
        "Tokenizer", ["x"], ["y"], domain="com.microsoft", pad_value="#", tokenexp="(a*)*b", mark=0, mincharnum=1
    )
    x = helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])
    graph = helper.make_graph([node], "test", [x], [helper.make_tensor_value_info("y", TensorProto.STRING, None)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    program = compile_model(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    program.load(team(1), 1 << 30)
    start = time.monotonic()
    (got,) = program.run([np.array(["a" * 2000, "aab"], object)])
    assert got.tolist() == [["#"], ["aab"]]
    assert time.monotonic() - start < 10
