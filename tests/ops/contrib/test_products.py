"""Contrib matrix products against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import check, numbers


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_fused_matmul(trans_a: int, trans_b: int, alpha: float) -> None:
    a = numbers(2, 3, 7, 5) if trans_a else numbers(2, 3, 5, 7)
    b = numbers(3, 6, 7) if trans_b else numbers(3, 7, 6)
    attributes = {"transA": trans_a, "transB": trans_b, "alpha": alpha}
    check("FusedMatMul", [a, b], attributes)
    check("FusedMatMul", [a, b], attributes, constant=[1], fixed=[0])


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("batch", [(1, 0), (0, 1), (1, 1)])
def test_transposed_batches(trans_a: int, batch: tuple[int, int]) -> None:
    a = np.swapaxes(numbers(2, 3, 5, 7), -1, -2) if trans_a else numbers(2, 3, 5, 7)
    b = numbers(2, 3, 7, 6)
    if batch[0]:
        a = np.moveaxis(a, -2, 0)
    if batch[1]:
        b = np.moveaxis(b, -2, 0)
    attributes = {"transA": trans_a, "transBatchA": batch[0], "transBatchB": batch[1]}
    check("FusedMatMul", [np.ascontiguousarray(a), np.ascontiguousarray(b)], attributes)


@pytest.mark.parametrize("shapes", [((7,), (7, 4)), ((5, 7), (7,)), ((4, 5, 7), (7,))])
def test_vectors(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    check("FusedMatMul", [numbers(*shape) for shape in shapes], {"alpha": 2.0})


def test_double_precision() -> None:
    a, b = numbers(4, 5, dtype=np.float64), numbers(5, 3, dtype=np.float64)
    check("FusedMatMul", [a, b], {"alpha": 0.5}, tolerance=1e-12)
    check("TransposeMatMul", [a, b.T.copy()], {"transB": 1}, tolerance=1e-12, expected=[a @ b])


ACTIVATIONS: list[dict[str, Any]] = [
    {"activation": "Relu"},
    {"activation": "Tanh"},
    {"activation": "Sigmoid"},
    {"activation": "LeakyRelu", "activation_alpha": 0.3},
    {"activation": "Elu", "activation_alpha": 0.7},
    {"activation": "HardSigmoid", "activation_alpha": 0.3, "activation_beta": 0.4},
    {"activation": "Softsign"},
    {"activation": "Softplus"},
    {"activation": "ThresholdedRelu", "activation_alpha": 0.5},
    {"activation": "Selu", "activation_alpha": 1.5, "activation_gamma": 1.1},
    {"activation": "Celu", "activation_alpha": 1.5},
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda one: one["activation"])
@pytest.mark.parametrize("c", [None, (6,), (5, 1)])
def test_fused_gemm(activation: dict[str, Any], c: tuple[int, ...] | None) -> None:
    inputs = [numbers(7, 5), numbers(7, 6), None if c is None else numbers(*c)]
    check("FusedGemm", inputs, {"alpha": 0.5, "beta": 2.0, "transA": 1, **activation})


def test_gemm_fast_gelu() -> None:
    x, w, bias = numbers(2, 4, 5), numbers(5, 6), numbers(6)
    wide = (x @ w + bias).astype(np.float64)
    want = wide * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    want = want.astype(np.float32)
    check("GemmFastGelu", [x, w, bias], expected=[want])
