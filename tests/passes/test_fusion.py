"""Patterns that become one operator: activations, norms, attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import NodeProto, helper

from passes.oracle import check, model, op_types, optimised

rng = np.random.default_rng(2)


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def scalar(number: float) -> np.ndarray:
    return np.array(number, np.float32)


def gelu(order: int) -> list[NodeProto]:
    make = helper.make_node
    inner = make("Div", ["x", "r"], ["s"]) if order != 1 else make("Mul", ["x", "ir"], ["s"])
    gate = [inner, make("Erf", ["s"], ["e"]), make("Add", ["e", "one"], ["p"])]
    if order == 2:
        return [*gate, make("Mul", ["x", "half"], ["h"]), make("Mul", ["h", "p"], ["y"])]
    return [*gate, make("Mul", ["x", "p"], ["q"]), make("Mul", ["q", "half"], ["y"])]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_gelu(order: int) -> None:
    root = math.sqrt(2)
    constants = {"r": scalar(root), "ir": scalar(1 / root), "one": scalar(1), "half": scalar(0.5)}
    proto = model(gelu(order), {"x": ["n", 9]}, ["y"], constants)
    assert op_types(optimised(proto)[0]) == ["Gelu"]
    check(proto, {"x": 3 * floats(4, 9)})


def test_gelu_by_tanh() -> None:
    make = helper.make_node
    nodes = [
        make("Pow", ["x", "three"], ["c"]),
        make("Mul", ["c", "k"], ["kc"]),
        make("Add", ["x", "kc"], ["i"]),
        make("Mul", ["i", "root"], ["a"]),
        make("Tanh", ["a"], ["t"]),
        make("Add", ["t", "one"], ["p"]),
        make("Mul", ["x", "p"], ["q"]),
        make("Mul", ["q", "half"], ["y"]),
    ]
    constants = {
        "three": scalar(3),
        "k": scalar(0.044715),
        "root": scalar(math.sqrt(2 / math.pi)),
        "one": scalar(1),
        "half": scalar(0.5),
    }
    proto = model(nodes, {"x": ["n", 9]}, ["y"], constants)
    assert op_types(optimised(proto)[0]) == ["Gelu"]
    check(proto, {"x": 3 * floats(4, 9)})


def test_swish_and_hardswish() -> None:
    make = helper.make_node
    nodes = [
        make("Sigmoid", ["x"], ["s"]),
        make("Mul", ["x", "s"], ["t"]),
        make("HardSigmoid", ["t"], ["h"], alpha=1 / 6, beta=0.5),
        make("Mul", ["h", "t"], ["y"]),
    ]
    proto = model(nodes, {"x": ["n", 9]}, ["y"])
    assert op_types(optimised(proto)[0]) == ["HardSwish", "Swish"]
    check(proto, {"x": 3 * floats(4, 9)})


def test_a_product_that_only_looks_like_gelu() -> None:
    constants = {"r": scalar(1.5), "one": scalar(1), "half": scalar(0.5)}
    proto = model(gelu(0), {"x": [9]}, ["y"], constants)
    assert "Gelu" not in op_types(optimised(proto)[0])
    check(proto, {"x": floats(9)})


def norm(*, centred: bool, reciprocal: bool) -> list[NodeProto]:
    make = helper.make_node
    nodes = [make("ReduceMean", ["x", "axes"], ["m"]), make("Sub", ["x", "m"], ["d"])] if centred else []
    d = "d" if centred else "x"
    nodes += [
        make("Pow", [d, "two"], ["sq"]),
        make("ReduceMean", ["sq", "axes"], ["v"]),
        make("Add", ["v", "eps"], ["ve"]),
        make("Sqrt", ["ve"], ["sd"]),
    ]
    if reciprocal:
        nodes += [make("Reciprocal", ["sd"], ["r"]), make("Mul", [d, "r"], ["n"])]
    else:
        nodes += [make("Div", [d, "sd"], ["n"])]
    return [*nodes, make("Mul", ["n", "g"], ["ng"]), make("Add", ["ng", "b"], ["y"])]


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_norms(centred: bool, reciprocal: bool) -> None:
    constants = {"axes": np.array([-1]), "two": scalar(2), "eps": scalar(1e-5), "g": floats(24), "b": floats(24)}
    proto = model(norm(centred=centred, reciprocal=reciprocal), {"x": ["n", 5, 24]}, ["y"], constants)
    types = op_types(optimised(proto)[0])
    assert types == (["LayerNormalization"] if centred else ["Add", "RMSNormalization"])
    check(proto, {"x": floats(3, 5, 24)}, 1e-4)


def test_a_norm_over_other_axes_is_left_alone() -> None:
    constants = {"axes": np.array([1]), "two": scalar(2), "eps": scalar(1e-5), "g": floats(24), "b": floats(24)}
    proto = model(norm(centred=True, reciprocal=False), {"x": ["n", 5, 24]}, ["y"], constants)
    assert "LayerNormalization" not in op_types(optimised(proto)[0])
    check(proto, {"x": floats(3, 5, 24)}, 1e-4)


@pytest.mark.parametrize("mask", [None, ("b", 1, 1, "k"), (1, 1, "q", "k"), ("q", "k")])
@pytest.mark.parametrize("scaling", ["none", "scores", "inputs"])
def test_attention(mask: tuple[int | str, ...] | None, scaling: str) -> None:
    make = helper.make_node
    nodes = [make("Transpose", ["key"], ["kt"], perm=[0, 1, 3, 2])]
    q, kt = "query", "kt"
    if scaling == "inputs":
        nodes += [make("Mul", [q, "root"], ["qs"]), make("Mul", [kt, "root"], ["ks"])]
        q, kt = "qs", "ks"
    nodes.append(make("MatMul", [q, kt], ["s0"]))
    last = "s0"
    if scaling == "scores":
        nodes.append(make("Div", [last, "eight"], ["s1"]))
        last = "s1"
    if mask is not None:
        nodes.append(make("Add", [last, "mask"], ["s2"]))
        last = "s2"
    nodes += [
        make("Softmax", [last], ["p"], axis=-1),
        make("MatMul", ["p", "value"], ["o"]),
        make("Transpose", ["o"], ["y"], perm=[0, 2, 1, 3]),
    ]
    inputs: dict[str, tuple[int | str, ...]] = {
        "query": ("b", 3, "q", 16),
        "key": ("b", 3, "k", 16),
        "value": ("b", 3, "k", 20),
    }
    sizes = {"b": 2, "q": 5, "k": 37}
    if mask is not None:
        inputs["mask"] = mask
    proto = model(nodes, inputs, ["y"], {"eight": scalar(8), "root": scalar(0.5)})
    assert "Attention" in op_types(optimised(proto)[0])
    assert "Softmax" not in op_types(optimised(proto)[0])
    feeds = {name: floats(*(sizes.get(s, s) for s in shape)) for name, shape in inputs.items()}  # type: ignore[misc, arg-type]
    check(proto, feeds, 1e-5)


def test_softmax_over_another_axis_is_no_attention() -> None:
    make = helper.make_node
    nodes = [
        make("Transpose", ["key"], ["kt"], perm=[0, 1, 3, 2]),
        make("MatMul", ["query", "kt"], ["s"]),
        make("Softmax", ["s"], ["p"], axis=2),
        make("MatMul", ["p", "value"], ["y"]),
    ]
    shape = (2, 3, 5, 16)
    proto = model(nodes, dict.fromkeys(["query", "key", "value"], shape), ["y"])
    assert "Attention" not in op_types(optimised(proto)[0])
    check(proto, {name: floats(*shape) for name in ("query", "key", "value")}, 1e-5)
