"""Integer operators in place of float ones between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from passes.oracle import check, model, op_types, optimised
from sardonyx.compiler.build import link
from sardonyx.compiler.compile import compile_graph
from sardonyx.graph.reader import read_model
from sardonyx.lang.host import host_target
from sardonyx.passes.pipeline import optimise
from sardonyx.runtime.pool import team

Array = npt.NDArray[Any]
STEP = 0.05


def node(op_type: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


def quantised(name: str) -> list[onnx.NodeProto]:
    """A float input of the model, quantised and back."""
    return [
        node("QuantizeLinear", f"{name} s_{name} z_{name}", f"q_{name}"),
        node("DequantizeLinear", f"q_{name} s_{name} z_{name}", f"d_{name}"),
    ]


def constants(kind: str, weights: tuple[int, ...], axis: int | None, seed: int = 0) -> dict[str, Array]:
    """Quantised weights ``w``, scale ``s_w``, zero point ``z_w``; those two of ``x`` and ``y``; an int32 bias ``b``."""
    random, info = np.random.default_rng(seed), np.iinfo(kind)
    shape = () if axis is None else (weights[axis],)
    zero = 0 if kind == "int8" else 128
    s_w, s_x = random.uniform(0.01, 0.02, shape).astype(np.float32), np.array(0.03, np.float32)
    channels = weights[0 if axis is None else axis]
    return {
        "w": random.integers(info.min, info.max, weights).astype(kind),
        "s_w": s_w,
        "z_w": np.full(shape, zero, kind),
        "s_x": s_x,
        "z_x": np.array(zero + 5, kind),
        "s_y": np.array(STEP, np.float32),
        "z_y": np.array(zero - 3, kind),
        "b": random.integers(-2000, 2000, channels).astype(np.int32),
        "s_b": np.asarray(s_w * s_x),
        "float_b": random.standard_normal(channels).astype(np.float32),
    }


def used(nodes: list[onnx.NodeProto], given: dict[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in given.items() if any(name in one.input for one in nodes)}


def run(proto: onnx.ModelProto, x: Array) -> list[Array]:
    read = read_model(proto)
    optimise(read)
    program = link(compile_graph(read, host_target()), {})
    program.load(team(1), 1 << 32)
    return program.run([x])


def near(proto: onnx.ModelProto, x: Array) -> None:
    """The same as the float graph, but for single steps where a sum lies next to a tie."""
    (wanted,), (got,) = ReferenceEvaluator(proto).run(None, {"x": x}), run(proto, x)
    steps = np.abs(got.astype(np.float64) - wanted) / STEP
    assert steps.max() < 1.01
    assert (steps > 0.01).mean() < 0.01


AFTER = {
    "": [],
    "relu": [node("Relu", "t", "u")],
    "clip": [node("Clip", "t low high", "u")],
    "gelu": [node("Gelu", "t", "u")],
}


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("bias", ["", "integer", "float"])
def test_convolution(kind: str, after: str, bias: str) -> None:
    axis = 0 if bias else None
    given = constants(kind, (20, 6, 3, 3), axis)
    given |= {"low": np.array(0.0, np.float32), "high": np.array(3.0, np.float32)}
    weights = node("DequantizeLinear", "w s_w z_w", "d_w", axis=0)
    nodes = [*quantised("x"), weights]
    if bias == "integer":
        nodes.append(node("DequantizeLinear", "b s_b", "d_b", axis=0))
    last = {"": "", "integer": " d_b", "float": " float_b"}[bias]
    nodes += [node("Conv", "d_x d_w" + last, "t", pads=[1, 1, 1, 1]), *AFTER[after]]
    nodes += [
        node("QuantizeLinear", f"{'u' if after else 't'} s_y z_y", "q"),
        node("DequantizeLinear", "q s_y z_y", "y"),
    ]
    proto = model(nodes, {"x": ["n", 6, 9, 8]}, ["y"], used(nodes, given))
    found = op_types(optimised(proto)[0])
    whole = bias != "float" and after != "gelu"
    assert ("QLinearConv" if whole else "ConvInteger") in found
    assert "Conv" not in found
    near(proto, np.random.default_rng(3).standard_normal((2, 6, 9, 8)).astype(np.float32))


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_convolution_with_float_result(kind: str) -> None:
    given = constants(kind, (20, 6, 3, 3), 0)
    weights = node("DequantizeLinear", "w s_w z_w", "d_w", axis=0)
    nodes = [*quantised("x"), weights, node("Conv", "d_x d_w float_b", "y")]
    proto = model(nodes, {"x": ["n", 6, 9, 8]}, ["y"], used(nodes, given))
    assert op_types(optimised(proto)[0]) == ["Add", "Cast", "ConvInteger", "Mul", "QuantizeLinear", "Reshape"]
    check(proto, {"x": np.random.default_rng(3).standard_normal((2, 6, 9, 8)).astype(np.float32)}, 1e-4)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("after", ["", "relu", "gelu"])
def test_product(kind: str, axis: int | None, after: str) -> None:
    given = constants(kind, (24, 30), axis)
    weights = node("DequantizeLinear", "w s_w z_w", "d_w", axis=1)
    nodes = [*quantised("x"), weights, node("MatMul", "d_x d_w", "t"), *AFTER[after]]
    nodes += [
        node("QuantizeLinear", f"{'u' if after else 't'} s_y z_y", "q"),
        node("DequantizeLinear", "q s_y z_y", "y"),
    ]
    proto = model(nodes, {"x": ["n", 7, 24]}, ["y"], used(nodes, given))
    found = op_types(optimised(proto)[0])
    assert ("MatMulInteger" if after == "gelu" else "QLinearMatMul") in found
    near(proto, np.random.default_rng(3).standard_normal((3, 7, 24)).astype(np.float32))


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("axis", [None, 0])
def test_gemm(transposed: int, axis: int | None) -> None:
    given = constants("int8", (30, 24) if transposed else (24, 30), None if axis is None else 1 - transposed)
    nodes = [
        *quantised("x"),
        node("DequantizeLinear", "w s_w z_w", "d_w", axis=1 - transposed),
        node("Gemm", "d_x d_w c", "t", transB=transposed, alpha=0.5),
        node("QuantizeLinear", "t s_y z_y", "q"),
        node("DequantizeLinear", "q s_y z_y", "y"),
    ]
    given["c"] = np.random.default_rng(1).standard_normal(30).astype(np.float32)
    proto = model(nodes, {"x": ["n", 24]}, ["y"], used(nodes, given))
    assert "MatMulInteger" in op_types(optimised(proto)[0])
    near(proto, np.random.default_rng(3).standard_normal((9, 24)).astype(np.float32))


MOVES = {
    "MaxPool": [node("MaxPool", "d_x", "t", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])],
    "Transpose": [node("Transpose", "d_x", "t", perm=[0, 2, 3, 1])],
    "Flatten": [node("Flatten", "d_x", "t")],
    "Concat": [node("Concat", "d_x d_x", "t", axis=1)],
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_integers_are_moved(move: str, kind: str) -> None:
    """What comes back from its floats unchanged is never made floats: exactly the same result."""
    given = constants(kind, (1, 1), None)
    nodes = [*quantised("x"), *MOVES[move], node("QuantizeLinear", "t s_x z_x", "q")]
    nodes.append(node("DequantizeLinear", "q s_x z_x", "y"))
    proto = model(nodes, {"x": ["n", 3, 8, 8]}, ["y"], used(nodes, given))
    assert op_types(optimised(proto)[0]) == sorted([move, "DequantizeLinear", "QuantizeLinear"])
    check(proto, {"x": np.random.default_rng(3).standard_normal((2, 3, 8, 8)).astype(np.float32)}, 0)


def test_every_byte_comes_back() -> None:
    """Quantize(Dequantize(q)) is q for scales of any size."""
    for exponent in (-29.0, -3.3, 0.0, 5.7, 28.0):
        scale, numbers = np.float32(10.0**exponent), np.arange(-255, 256)
        back = np.rint((numbers.astype(np.float32) * scale) / scale)
        np.testing.assert_array_equal(back, numbers)


def test_weights_alone_become_floats() -> None:
    given = constants("int8", (24, 30), 1)
    nodes = [node("DequantizeLinear", "w s_w z_w", "d_w", axis=1), node("MatMul", "x d_w", "y")]
    proto = model(nodes, {"x": ["n", 24]}, ["y"], used(nodes, given))
    assert op_types(optimised(proto)[0]) == ["MatMul"]
    check(proto, {"x": np.random.default_rng(3).standard_normal((5, 24)).astype(np.float32)}, 1e-5)


def test_numbers_along_other_axes_are_left_alone() -> None:
    """Activations quantised by channel, weights along their inner dimension."""
    given = constants("int8", (24, 30), 0)
    given |= {"s_x": np.linspace(0.01, 0.04, 24, dtype=np.float32), "z_x": np.zeros(24, np.int8)}
    nodes = [*quantised("x"), node("DequantizeLinear", "w s_w z_w", "d_w", axis=0)]
    nodes.append(node("MatMul", "d_x d_w", "y"))
    proto = model(nodes, {"x": ["n", 24]}, ["y"], used(nodes, given))
    assert "MatMul" in op_types(optimised(proto)[0])
    check(proto, {"x": np.random.default_rng(3).standard_normal((5, 24)).astype(np.float32)}, 1e-5)


@pytest.mark.parametrize("inside", ["product", "quantiser"])
def test_across_branches(inside: str) -> None:
    """A product in a branch of what is dequantised outside of it, and the other way around."""
    given = constants("int8", (24, 30), 1)
    outer = [*quantised("x"), node("DequantizeLinear", "w s_w z_w", "d_w", axis=1)]
    product = node("MatMul", "d_x d_w", "t")
    last = [node("QuantizeLinear", "t s_y z_y", "q"), node("DequantizeLinear", "q s_y z_y", "r")]
    branch = [product, *last] if inside == "product" else last
    result = [onnx.ValueInfoProto(name="r")]
    then = helper.make_graph(branch, "then", [], result)
    other = helper.make_graph([node("Constant", "", "r", value_floats=[1.0])], "else", [], result)
    nodes = [*outer, *([] if inside == "product" else [product]), node("ReduceMax", "x", "m", keepdims=0)]
    nodes += [node("Greater", "m low", "c"), node("If", "c", "y", then_branch=then, else_branch=other)]
    used_here = used([*nodes, *branch], given) | {"low": np.array(-9.0, np.float32)}
    proto = model(nodes, {"x": ["n", 24]}, ["y"], used_here)
    near(proto, np.random.default_rng(3).standard_normal((3, 24)).astype(np.float32))
