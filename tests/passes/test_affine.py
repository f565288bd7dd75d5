"""Scales and shifts folded into weights."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from passes.oracle import check, model, op_types, optimised

rng = np.random.default_rng(1)


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


NORM = {"g": floats(6), "b": floats(6), "m": floats(6), "v": np.abs(floats(6)) + 0.5}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_into_convolution(bias: bool, group: int) -> None:
    inputs = ["x", "w", "c"] if bias else ["x", "w"]
    nodes = [
        helper.make_node("Conv", inputs, ["t"], pads=[1, 1, 1, 1], group=group),
        helper.make_node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y"]),
    ]
    constants = {"w": floats(6, 4 // group, 3, 3), **NORM} | ({"c": floats(6)} if bias else {})
    proto = model(nodes, {"x": ["n", 4, 5, 5]}, ["y"], constants)
    assert op_types(optimised(proto)[0]) == ["Conv"]
    check(proto, {"x": floats(2, 4, 5, 5)}, 1e-4)


def test_batch_norm_into_transposed_convolution() -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y"]),
    ]
    proto = model(nodes, {"x": [1, 4, 3, 3]}, ["y"], {"w": floats(4, 6, 2, 2), **NORM})
    assert op_types(optimised(proto)[0]) == ["ConvTranspose"]
    check(proto, {"x": floats(1, 4, 3, 3)}, 1e-4)


@pytest.mark.parametrize("shape", [["n", 6], ["n", 6, 5], ["n", 6, 3, 4]])
def test_batch_norm_elsewhere_becomes_arithmetic(shape: list[int | str]) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["t"]),
        helper.make_node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y"]),
    ]
    proto = model(nodes, {"x": shape}, ["y"], NORM)
    assert op_types(optimised(proto)[0]) == ["Add", "Mul", "Relu"]
    check(proto, {"x": floats(2, *(int(n) for n in shape[1:]))}, 1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_arithmetic_into_gemm(transposed: int) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "c"], ["t"], transB=transposed),
        helper.make_node("Mul", ["t", "g"], ["u"]),
        helper.make_node("Sub", ["u", "b"], ["y"]),
    ]
    weight = floats(6, 3) if transposed else floats(3, 6)
    proto = model(nodes, {"x": ["n", 3]}, ["y"], {"w": weight, "c": floats(6), "g": floats(6), "b": floats(1)})
    assert op_types(optimised(proto)[0]) == ["Gemm"]
    check(proto, {"x": floats(5, 3)}, 1e-4)


def test_a_result_that_others_read_is_left_alone() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node("Mul", ["t", "s"], ["u"]),
        helper.make_node("Add", ["t", "u"], ["y"]),
    ]
    proto = model(nodes, {"x": [1, 4, 5, 5]}, ["y"], {"w": floats(6, 4, 1, 1), "s": floats(6, 1, 1)})
    assert op_types(optimised(proto)[0]) == ["Add", "Conv", "Mul"]
    check(proto, {"x": floats(1, 4, 5, 5)}, 1e-4)


def test_a_constant_per_row_is_no_channel() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Mul", ["t", "s"], ["y"])]
    proto = model(nodes, {"x": [1, 4, 5, 5]}, ["y"], {"w": floats(5, 4, 1, 1), "s": floats(5, 1)})
    assert op_types(optimised(proto)[0]) == ["Conv", "Mul"]
    check(proto, {"x": floats(1, 4, 5, 5)}, 1e-4)


def test_batch_norm_in_training_is_left_alone() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y", "", ""], training_mode=1),
    ]
    proto = model(nodes, {"x": [2, 4, 5, 5]}, ["y"], {"w": floats(6, 4, 1, 1), **NORM})
    assert "BatchNormalization" in op_types(optimised(proto)[0])
