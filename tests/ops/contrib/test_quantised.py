"""Operators on quantised tensors against ONNX Runtime: equal, or one step off where its order of operations differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.contrib.oracle import check, numbers

Array = npt.NDArray[Any]
KINDS = ["uint8", "int8"]


def integers(kind: str, *shape: int, seed: int = 0) -> Array:
    info = np.iinfo(kind)
    return np.random.default_rng([seed, *shape]).integers(info.min, info.max, shape, endpoint=True).astype(kind)


def scale(number: float) -> Array:
    return np.array(number, np.float32)


def zero(kind: str, number: int = 7) -> Array:
    return np.array(number + 100 * (kind == "uint8"), kind)


def run(
    op_type: str, inputs: list[Array | None], attributes: dict[str, Any] | None = None, steps: int = 1, **how: Any
) -> None:
    """With scales and zero points as constants."""
    data = [k for k, array in enumerate(inputs) if array is not None and array.ndim < 2 and array.size < 20]
    check(op_type, inputs, attributes, steps=steps, constant=data, **how)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_pairs(op_type: str, kind: str) -> None:
    a, b = integers(kind, 3, 4, 37), integers(kind, 4, 1, seed=1)
    factor = 0.03 if op_type == "QLinearAdd" else 0.9
    run(op_type, [a, scale(0.02), zero(kind), b, scale(0.03), zero(kind, 3), scale(factor), zero(kind, 1)])
    none = np.array(0, kind)
    wanted = check(op_type, [a, scale(0.02), none, b, scale(0.03), none, scale(factor), none], steps=1)
    check(op_type, [a, scale(0.02), None, b, scale(0.03), None, scale(factor)], expected=wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op_type", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_activations(op_type: str, kind: str) -> None:
    x = np.arange(256).astype(kind).reshape(2, 128)
    attributes = {"alpha": 0.2} if op_type == "QLinearLeakyRelu" else {}
    run(op_type, [x, scale(0.04), zero(kind), scale(1 / 120), zero(kind, -60)], attributes, steps=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("axis", "opset"), [(-1, 13), (1, 13), (1, 12), (-1, 12)])
def test_softmax(axis: int, opset: int, kind: str) -> None:
    x = integers(kind, 3, 5, 6)
    low = np.array(0 if kind == "uint8" else -128, kind)
    run("QLinearSoftmax", [x, scale(0.05), zero(kind), scale(1 / 256), low], {"axis": axis, "opset": opset})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels_last", [0, 1])
def test_pools(channels_last: int, kind: str) -> None:
    x = integers(kind, 2, 9, 8, 10) if channels_last else integers(kind, 2, 10, 9, 8)
    numbers = [x, scale(0.03), zero(kind), scale(0.02), zero(kind, 2)]
    run("QLinearGlobalAveragePool", numbers, {"channels_last": channels_last})
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "channels_last": channels_last}
    for include in (0, 1):
        check("QLinearAveragePool", numbers, {**window, "count_include_pad": include}, fixed=[0], steps=1)


@pytest.mark.parametrize("kind", KINDS)
def test_concat_where_and_mean(kind: str) -> None:
    a, b = integers(kind, 2, 3, 4), integers(kind, 2, 5, 4)
    first, second = [a, scale(0.02), zero(kind)], [b, scale(0.05), zero(kind, 3)]
    run("QLinearConcat", [scale(0.04), zero(kind, 1), *first, *second], {"axis": 1})
    condition = integers("uint8", 2, 1, 4) > 99
    other = [integers(kind, 2, 3, 4, seed=5), scale(0.05), zero(kind, 3)]
    run("QLinearWhere", [condition, *first, *other, scale(0.04), zero(kind, 1)])
    means = [*first, scale(0.01), zero(kind, 1)]
    run("QLinearReduceMean", means, {"axes": [1], "keepdims": 0}, expected=[mean(means)])


def mean(inputs: list[Array]) -> Array:
    x, x_scale, x_zero, y_scale, y_zero = inputs
    value = (x.astype(np.float64) - x_zero).mean(1) * x_scale / y_scale
    info = np.iinfo(x.dtype)
    return np.clip(np.rint(value) + y_zero, info.min, info.max).astype(x.dtype)


def test_linear() -> None:
    x = numbers(4, 6)
    run(
        "QuantizeLinear",
        [x, np.linspace(0.01, 0.03, 4, dtype=np.float32), np.full(4, 9, np.int8)],
        {"axis": 0},
        steps=0,
    )
    run("DequantizeLinear", [integers("uint8", 4, 6), scale(0.2), zero("uint8")], {"axis": 1})


@pytest.mark.parametrize("kinds", [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
@pytest.mark.parametrize("by_column", [True, False])
def test_products(kinds: tuple[str, str], by_column: bool) -> None:
    a, b = integers(kinds[0], 2, 7, 33), integers(kinds[1], 33, 20)
    shape = (20,) if by_column else ()
    b_scale = np.random.default_rng(1).uniform(0.01, 0.02, shape).astype(np.float32)
    b_zero = np.full(shape, 3, kinds[1])
    bias = numbers(20)
    run("MatMulIntegerToFloat", [a, b, scale(0.1), b_scale, zero(kinds[0]), b_zero, bias], tolerance=1e-4)
    run("MatMulIntegerToFloat", [a, b, scale(0.1), b_scale, None, None, None], tolerance=1e-4)
    run("DynamicQuantizeMatMul", [numbers(2, 7, 33), b, b_scale, b_zero, bias], tolerance=1e-4)


@pytest.mark.parametrize("kinds", [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0)])
def test_gemm(kinds: tuple[str, str], turned: tuple[int, int]) -> None:
    a = integers(kinds[0], *((33, 7) if turned[0] else (7, 33)))
    b = integers(kinds[1], *((20, 33) if turned[1] else (33, 20)))
    b_scale = np.random.default_rng(1).uniform(0.01, 0.02, 20).astype(np.float32)
    c = np.random.default_rng(2).integers(-9000, 9000, 20).astype(np.int32)
    attributes = {"transA": turned[0], "transB": turned[1], "alpha": 0.7}
    first = [a, scale(0.1), zero(kinds[0]), b, b_scale, np.full(20, 3, kinds[1])]
    run("QGemm", [*first, c, scale(2.5), zero(kinds[0], 1)], attributes)
    run("QGemm", [*first, None], attributes, tolerance=1e-4)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_convolution(channels_last: int) -> None:
    x = integers("uint8", 2, 9, 8, 6) if channels_last else integers("uint8", 2, 6, 9, 8)
    w = integers("int8", 12, 6, 3, 3)
    inputs = [x, scale(0.03), zero("uint8"), w, scale(0.02), np.array(0, np.int8), scale(0.5), zero("uint8", 1)]
    attributes = {"channels_last": channels_last, "pads": [1, 1, 1, 1]}
    check("QLinearConv", inputs, attributes, constant=range(3, 8), fixed=[0], steps=1)


@pytest.mark.parametrize("kinds", [("uint8", "int8"), ("uint8", "uint8")])
@pytest.mark.parametrize("past", [False, True])
def test_attention(kinds: tuple[str, str], past: bool) -> None:
    """One scale for the weights or one for each column; a mask of how many rows there are."""
    x, w = integers(kinds[0], 2, 5, 16), integers(kinds[1], 16, 48)
    shape = (48,) if kinds[1] == "int8" else ()
    w_scale = np.random.default_rng(1).uniform(0.001, 0.002, shape).astype(np.float32)
    mask = None if past else np.array([5, 3], np.int32)
    old = numbers(2, 2, 4, 7, 4) if past else None
    inputs = [x, w, numbers(48), scale(0.01), w_scale, mask, zero(kinds[0]), np.zeros(shape, kinds[1]), old]
    attributes = {"num_heads": 4, "unidirectional": int(past)}
    check("QAttention", inputs, attributes, fixed=[0, 1, 8], tolerance=1e-4, outputs=(True, past))
