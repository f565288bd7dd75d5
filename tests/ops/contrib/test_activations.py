"""Contrib activations against ONNX Runtime."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ops.contrib.oracle import check, numbers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5, 9), (2, 0, 3)])
def test_gelu(dtype: type, shape: tuple[int, ...]) -> None:
    x = numbers(*shape, dtype=dtype, low=-4, high=4)
    want = np.vectorize(lambda v: v / 2 * (1 + math.erf(v / math.sqrt(2))), otypes=[dtype])(x)
    check("Gelu", [x], expected=[want])


@pytest.mark.parametrize("bias", [False, True])
def test_fast_gelu(bias: bool) -> None:
    check("FastGelu", [numbers(2, 5, 9), numbers(9) if bias else None])


@pytest.mark.parametrize("alpha", [None, 1.0, -0.5])
def test_quick_gelu(alpha: float | None) -> None:
    check("QuickGelu", [numbers(3, 11)], {} if alpha is None else {"alpha": alpha})


def test_bias_gelu() -> None:
    check("BiasGelu", [numbers(2, 3, 13), numbers(13)])


def test_bias_add() -> None:
    x, bias, skip = numbers(2, 3, 5), numbers(5), numbers(2, 3, 5)[::-1].copy()
    check("BiasAdd", [x, bias, skip], expected=[x + bias + skip])


def test_bias_split_gelu() -> None:
    x, bias = numbers(2, 3, 10), numbers(10)
    left, right = np.split((x + bias).astype(np.float64), 2, axis=-1)
    want = left * right * 0.5 * (1 + np.vectorize(math.erf)(right / np.sqrt(2)))
    want = want.astype(np.float32)
    check("BiasSplitGelu", [x, bias], expected=[want], fixed=[0])


def test_scaled_silu() -> None:
    check("ScaledSiLU", [numbers(3, 7)], {"alpha": 3.0})
    check("ScaledSiLU", [numbers(3, 7), np.array(2.0, np.float32)], {"alpha": 3.0})


def test_gated_add() -> None:
    check("GatedAdd", [numbers(3, 7), numbers(3, 7) * 2, numbers(3, 1)])
