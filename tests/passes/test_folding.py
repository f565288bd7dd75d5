"""Constant folding: what onnx's reference cannot compute is left for the run, what we do wrong is not hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.reference
import pytest
from onnx import ModelProto, helper

import sardonyx
from passes.oracle import model, op_types, optimised
from sardonyx.errors import ExecutionError

FOLD = ["fold-constants", "sweep"]


def parsed(text: str) -> ModelProto:
    cast = helper.make_node("Cast", ["a"], ["c"], to=onnx.TensorProto.FLOAT)
    nodes = [cast, helper.make_node("Add", ["x", "c"], ["y"])]
    return model(nodes, {"x": [2]}, ["y"], {"a": np.array([text], object)})


def squared() -> ModelProto:
    nodes = [helper.make_node("Mul", ["a", "a"], ["s"]), helper.make_node("Add", ["x", "s"], ["y"])]
    return model(nodes, {"x": [2]}, ["y"], {"a": np.ones(2, np.float32)})


def test_a_node_that_fails_is_left_for_the_run() -> None:
    assert op_types(optimised(parsed("1.5"), FOLD)[0]) == ["Add"]
    assert op_types(optimised(parsed("one"), FOLD)[0]) == ["Add", "Cast"]
    with pytest.raises(ExecutionError, match="Cast"):
        sardonyx.InferenceSession(parsed("one")).run(None, {"x": np.ones(2, np.float32)})


def test_our_own_computation_on_texts_is_used() -> None:
    """The reference's would not end."""
    nodes = [
        helper.make_node("RegexFullMatch", ["a"], ["m"], pattern="(a*)*b"),
        helper.make_node("Cast", ["m"], ["c"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    made = model(nodes, {"x": [2]}, ["y"], {"a": np.array(["a" * 1000, "aab"], object)})
    assert op_types(optimised(made, FOLD)[0]) == ["Add"]
    (y,) = sardonyx.InferenceSession(made).run(None, {"x": np.zeros(2, np.float32)})
    assert y.tolist() == [0, 1]


def test_an_operator_without_reference_is_left_for_the_run() -> None:
    pooled = helper.make_node("MaxRoiPool", ["a", "r"], ["g"], pooled_shape=[1, 1])
    constants = {"a": np.ones((1, 1, 2, 2), np.float32), "r": np.zeros((1, 5), np.float32)}
    made = model([pooled, helper.make_node("Add", ["x", "g"], ["y"])], {"x": [2]}, ["y"], constants)
    assert op_types(optimised(made, FOLD)[0]) == ["Add", "MaxRoiPool"]


def test_lack_of_memory_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any, *arguments: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(onnx.reference.ReferenceEvaluator, "run", run)
    assert op_types(optimised(squared(), FOLD)[0]) == ["Add", "Mul"]


def test_a_fault_of_ours_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that the node is put into lacks the versions of its operators."""
    make = helper.make_model
    made = squared()
    other = [helper.make_opsetid("ai.onnx.ml", 1)]
    monkeypatch.setattr(helper, "make_model", lambda graph, opset_imports: make(graph, opset_imports=other))
    with pytest.raises(RuntimeError, match="is not specified"):
        optimised(made, FOLD)
