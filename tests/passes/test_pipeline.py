"""The pipeline as a whole: order, switches, and the clean-up passes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from passes.oracle import check, model, op_types, optimised
from sardonyx.graph.reader import read_model
from sardonyx.passes.pipeline import PASSES, optimise

rng = np.random.default_rng(0)


def test_names_are_unique_and_every_place_has_a_reason() -> None:
    assert len({p.name for p in PASSES}) == len(PASSES)
    assert all(p.reason for p in PASSES)


def test_an_unknown_pass_cannot_be_switched_off() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["y"])
    with pytest.raises(ValueError, match="no pass is named 'nonsense'"):
        optimise(read_model(proto), disabled=["nonsense"])


def test_a_switched_off_pass_does_not_run() -> None:
    proto = model(
        [helper.make_node("Identity", ["x"], ["t"]), helper.make_node("Relu", ["t"], ["y"])], {"x": [2]}, ["y"]
    )
    assert op_types(optimised(proto, ["identities", "sweep"])[0]) == ["Relu"]
    assert op_types(optimised(proto, ["sweep"])[0]) == ["Identity", "Relu"]


def test_dead_code_goes_and_outputs_stay() -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["unused"]),
        helper.make_node("Abs", ["unused"], ["also_unused"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    graph, _ = optimised(model(nodes, {"x": [3]}, ["y"], {"w": np.ones(3, np.float32)}), ["dead-code"])
    assert op_types(graph) == ["Relu"]
    assert not graph.initializers


def test_constants_are_folded_through_chains() -> None:
    nodes = [
        helper.make_node("Mul", ["a", "a"], ["aa"]),
        helper.make_node("Transpose", ["aa"], ["t"], perm=[1, 0]),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    proto = model(nodes, {"x": ["n", 2]}, ["y"], {"a": rng.standard_normal((2, 1)).astype(np.float32)})
    assert op_types(optimised(proto, ["fold-constants", "sweep"])[0]) == ["Add"]
    check(proto, {"x": rng.standard_normal((5, 2)).astype(np.float32)})


def test_a_huge_constant_is_not_folded() -> None:
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    proto = model(nodes, {"x": [1]}, ["y"], {"s": np.array([1 << 30])})
    assert op_types(optimised(proto)[0]) == ["Add", "ConstantOfShape"]


def test_equal_nodes_are_shared() -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["a"]),
        helper.make_node("Exp", ["x"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    proto = model(nodes, {"x": [7]}, ["y"])
    assert op_types(optimised(proto, ["common-subexpressions", "sweep"])[0]) == ["Add", "Exp"]
    check(proto, {"x": rng.standard_normal(7).astype(np.float32)})


def test_random_nodes_are_not_shared() -> None:
    nodes = [
        helper.make_node("RandomUniformLike", ["x"], ["a"]),
        helper.make_node("RandomUniformLike", ["x"], ["b"]),
        helper.make_node("Sub", ["a", "b"], ["y"]),
    ]
    assert op_types(optimised(model(nodes, {"x": [7]}, ["y"]))[0]).count("RandomUniformLike") == 2


@pytest.mark.parametrize(
    ("op_type", "constant", "removed"),
    [
        ("Add", np.zeros(1, np.float32), True),
        ("Add", np.zeros((3, 1), np.float32), False),  # broadcasts x to a larger shape
        ("Sub", np.zeros((), np.float32), True),
        ("Mul", np.ones(4, np.float32), True),
        ("Mul", np.full(4, 2, np.float32), False),
        ("Div", np.ones(1, np.float32), True),
    ],
)
def test_neutral_operands(op_type: str, constant: np.ndarray, removed: bool) -> None:
    nodes = [helper.make_node(op_type, ["x", "c"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    proto = model(nodes, {"x": [1, 4]}, ["y"], {"c": constant})
    assert (op_type not in op_types(optimised(proto)[0])) is removed
    check(proto, {"x": rng.standard_normal((1, 4)).astype(np.float32)})


def test_a_reversing_slice_is_no_identity() -> None:
    constants = {"s": np.array([-1]), "e": np.array([-100]), "a": np.array([0]), "d": np.array([-1])}
    proto = model([helper.make_node("Slice", ["x", "s", "e", "a", "d"], ["y"])], {"x": [4]}, ["y"], constants)
    check(proto, {"x": rng.standard_normal(4).astype(np.float32)})


def test_an_input_that_is_an_output_keeps_both_names() -> None:
    proto = model([helper.make_node("Identity", ["x"], ["y"])], {"x": [4]}, ["y"])
    check(proto, {"x": rng.standard_normal(4).astype(np.float32)})
