"""Model-local functions: inlined with their attributes, optional inputs and opsets, and bounded."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from graph.models import assert_same, model, read, run_upgraded, value
from sardonyx.errors import InvalidModelError, ModelTooLargeError
from sardonyx.graph import read_model

N = helper.make_node
DOMAINS = {"local": 1}
X = value("x", dtype=1, shape=["n"])
Y = value("y", dtype=1, shape=["n"])
FEEDS = {"x": np.array([-2, 1, 3], np.float32)}


def function(
    name: str,
    inputs: list[str],
    outputs: list[str],
    nodes: list[onnx.NodeProto],
    opset: int = 17,
    attributes: list[str] | None = None,
    defaults: list[onnx.AttributeProto] | None = None,
) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, inputs, outputs, nodes, imports, attributes or [], defaults or [])


def call(name: str, inputs: list[str], outputs: list[str], **attributes: object) -> onnx.NodeProto:
    return N(name, inputs, outputs, domain="local", **attributes)


def referring(node: onnx.NodeProto, name: str, kind: int, reference: str) -> onnx.NodeProto:
    node.attribute.add(name=name, type=kind, ref_attr_name=reference)
    return node


def test_nested_calls_with_attributes() -> None:
    scaled = function(
        "Scaled", ["a"], ["b"],
        [referring(N("Constant", [], ["k"]), "value_float", onnx.AttributeProto.FLOAT, "k"),
         N("Mul", ["a", "k"], ["b"])],
        attributes=["k"],
    )  # fmt: skip
    twice = function(
        "Twice", ["a"], ["b"],
        [call("Scaled", ["a"], ["t"], k=10.0),
         referring(call("Scaled", ["t"], ["b"]), "k", onnx.AttributeProto.FLOAT, "factor")],
        defaults=[helper.make_attribute("factor", 0.5)],
    )  # fmt: skip
    proto = model([call("Twice", ["x"], ["t"]), call("Twice", ["t"], ["y"], factor=3.0)], [X], [Y],
                  domains=DOMAINS, functions=[scaled, twice])  # fmt: skip
    got = read(proto)
    assert {node.op_type for node in got.graph} == {"Mul"}
    assert got.graph.outputs[0].name == "y"
    assert_same(run_upgraded(proto, FEEDS), [FEEDS["x"] * (10 * 0.5) * (10 * 3)])


def test_optional_inputs_and_unused_outputs() -> None:
    clip = function(
        "F", ["a", "low", "high"], ["b", "c"], [N("Clip", ["a", "low", "high"], ["b"]), N("Neg", ["b"], ["c"])]
    )
    proto = model([call("F", ["x", "", "h"], ["", "y"])], [X], [Y], {"h": np.float32(2)},
                  domains=DOMAINS, functions=[clip])  # fmt: skip
    assert_same(run_upgraded(proto, FEEDS), [-np.minimum(FEEDS["x"], 2)])


def test_a_function_has_opsets_of_its_own() -> None:
    old = function(
        "F", ["a"], ["b"], [N("ReduceSum", ["a"], ["s"], axes=[0], keepdims=0), N("Mul", ["a", "s"], ["b"])], 11
    )
    proto = model([call("F", ["x"], ["y"])], [X], [Y], domains=DOMAINS, functions=[old])
    assert_same(run_upgraded(proto, FEEDS), [FEEDS["x"] * 2])


def test_a_function_may_return_its_input_and_one_value_twice() -> None:
    same = function("F", ["a"], ["a", "b", "c"], [N("Neg", ["a"], ["b"]), N("Identity", ["b"], ["c"])])
    outputs = [value(name, dtype=1, shape=["n"]) for name in ("p", "q", "r")]
    proto = model([call("F", ["x"], ["p", "q", "r"])], [X], outputs, domains=DOMAINS, functions=[same])
    x = FEEDS["x"]
    assert_same(run_upgraded(proto, FEEDS), [x, -x, -x])
    assert [v.name for v in read(proto).graph.outputs] == ["p", "q", "r"]


def test_graphs_in_functions_and_functions_in_graphs() -> None:
    branch = helper.make_graph([call("G", ["a"], ["o"])], "t", [], [value("o", dtype=1, shape=None)])
    other = helper.make_graph([N("Identity", ["a"], ["o"])], "e", [], [value("o", dtype=1, shape=None)])
    double = function("G", ["v"], ["w"], [N("Add", ["v", "v"], ["w"])])
    choose = function("F", ["c", "a"], ["b"], [N("If", ["c"], ["b"], then_branch=branch, else_branch=other)])
    proto = model([call("F", ["c", "x"], ["t"]), call("F", ["c", "t"], ["y"])], [value("c", dtype=9, shape=[]), X], [Y],
                  domains=DOMAINS, functions=[double, choose])  # fmt: skip
    for condition, factor in ((True, 4), (False, 1)):
        feeds = {"c": np.array(condition), **FEEDS}
        assert_same(run_upgraded(proto, feeds), [FEEDS["x"] * factor])


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ([function("F", ["a"], ["b"], [call("F", ["a"], ["b"])])], "calls itself"),
        ([function("F", ["a"], ["b"], [call("G", ["a"], ["b"])]),
          function("G", ["a"], ["b"], [call("F", ["a"], ["b"])])],
         "calls itself"),
        ([function("F", ["a"], ["b"], [N("Neg", ["a"], ["b"])])] * 2, "two functions"),
        ([function("F", [], ["b"], [N("Constant", [], ["b"], value_float=1.0)])], "takes 0 inputs, got 1"),
        ([function("F", ["a"], [], [N("Neg", ["a"], ["b"])])], "0 outputs, got 1"),
        ([function("F", ["a"], ["b"], [N("Neg", ["a"], ["c"])])], "does not produce"),
        ([function("F", ["a"], ["b"], [N("Neg", ["x"], ["b"])])], "reads 'x'"),
        ([function("F", ["a", "a"], ["b"], [N("Neg", ["a"], ["b"])])], "defined twice"),
        ([function("F", ["a", "m"], ["m"], [N("Neg", ["a"], ["b"])])], "does not produce"),
        ([function("F", ["a"], ["b"], [N("Neg", ["a"], ["b"])], opset=99)], "opset 99"),
    ],
)  # fmt: skip
def test_broken_functions(functions: list[onnx.FunctionProto], words: str) -> None:
    proto = model([call("F", ["x"], ["y"])], [X], [Y], domains=DOMAINS, functions=functions)
    with pytest.raises((InvalidModelError, NotImplementedError), match=words):
        read_model(proto)


def test_an_attribute_that_the_function_lacks() -> None:
    neg = function("F", ["a"], ["b"], [N("Neg", ["a"], ["b"])])
    proto = model([call("F", ["x"], ["y"], k=1)], [X], [Y], domains=DOMAINS, functions=[neg])
    with pytest.raises(InvalidModelError, match="'k'"):
        read_model(proto)


def test_explosion_is_seen_before_it_happens() -> None:
    """Thirty functions that each call the one before twice: 2^30 nodes from a file of a few kilobytes."""
    functions = [function("F0", ["a"], ["b"], [N("Neg", ["a"], ["b"])])]
    for index in range(1, 31):
        nodes = [call(f"F{index - 1}", ["a"], ["t"]), call(f"F{index - 1}", ["t"], ["b"])]
        functions.append(function(f"F{index}", ["a"], ["b"], nodes))
    proto = model([call("F30", ["x"], ["y"])], [X], [Y], domains=DOMAINS, functions=functions)
    with pytest.raises(ModelTooLargeError, match="inlining the functions would add"):
        read_model(proto)


def test_depth_is_bounded() -> None:
    functions = [function("F0", ["a"], ["b"], [N("Neg", ["a"], ["b"])])]
    functions += [function(f"F{i}", ["a"], ["b"], [call(f"F{i - 1}", ["a"], ["b"])]) for i in range(1, 5000)]
    for depth, fits in ((90, True), (4999, False)):
        proto = model([call(f"F{depth}", ["x"], ["y"])], [X], [Y], domains=DOMAINS, functions=functions)
        if fits:
            assert len(read(proto).graph) == 1
        else:
            with pytest.raises(ModelTooLargeError, match="levels deep"):
                read_model(proto)
