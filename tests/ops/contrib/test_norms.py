"""Contrib normalisations against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from ops.contrib.oracle import check, numbers


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_simplified_layer_normalization(axis: int, dtype: type) -> None:
    shape = (3, 4, 9)
    x, scale = numbers(*shape, dtype=dtype), numbers(*shape[axis:], dtype=dtype)
    options = {"axis": axis, "epsilon": 1e-4, "stash_type": 1}
    check("SimplifiedLayerNormalization", [x, scale], options, domain="")
    if dtype is np.float32:
        check("SimplifiedLayerNormalization", [x, scale], options, domain="", outputs=(True, True))


def test_layer_normalization_of_an_old_opset() -> None:
    inputs = [numbers(3, 4, 9), numbers(9), numbers(9)]
    check("LayerNormalization", inputs, {"axis": -1, "epsilon": 1e-12}, domain="", opset=11)


@pytest.mark.parametrize("skip", [(2, 3, 17), (1, 3, 17), (3, 17)])
@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_skip_layer_normalization(skip: tuple[int, ...], beta: bool, bias: bool) -> None:
    inputs = [numbers(2, 3, 17), numbers(*skip), numbers(17), numbers(17) if beta else None]
    inputs.append(numbers(17) * 2 if bias else None)
    for outputs in ((True,), (True, False, False, True)):
        check("SkipLayerNormalization", inputs, {"epsilon": 1e-5}, outputs=outputs)


@pytest.mark.parametrize("bias", [False, True])
def test_skip_simplified_layer_normalization(bias: bool) -> None:
    inputs = [numbers(2, 3, 17), numbers(2, 3, 17)[::-1].copy(), numbers(17), numbers(17) if bias else None]
    check("SkipSimplifiedLayerNormalization", inputs, {"epsilon": 1e-5}, outputs=(True, False, False, True))


def test_half_precision() -> None:
    inputs = [numbers(2, 3, 16, dtype=np.float16), numbers(2, 3, 16, dtype=np.float16), numbers(16, dtype=np.float16)]
    options = {"outputs": (True, False, False, True), "tolerance": 4e-3}
    check("SkipSimplifiedLayerNormalization", inputs, {"epsilon": 1e-5}, **options)
    check("SkipLayerNormalization", inputs, {"epsilon": 1e-5}, **options)


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("positions", [None, 1, 2])
def test_embed_layer_normalization(segments: bool, mask: bool, positions: int | None) -> None:
    generator = np.random.default_rng(1)
    rows, words, width = 5, 20, 12

    def ids(limit: int, batch: int = 2) -> np.ndarray:
        return generator.integers(0, limit, (batch, rows)).astype(np.int32)

    inputs = [
        ids(words),
        ids(2) if segments else None,
        numbers(words, width),
        numbers(9, width),
        numbers(2, width) if segments else None,
        numbers(width),
        numbers(width),
        (np.arange(rows) < np.array([[3], [5]])).astype(np.int32) if mask else None,
        None if positions is None else ids(9, positions),
    ]
    for outputs in ((True, True, True), (True, True)):
        options = {"outputs": outputs, "constant": [2, 3, 4, 5, 6]}
        check("EmbedLayerNormalization", inputs, {"epsilon": 1e-5}, **options)


def group_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, groups: int, silu: int) -> np.ndarray:
    grouped = x.astype(np.float64).reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    mean, variance = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    result = ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * scale + bias
    return (result / (1 + np.exp(-result)) if silu else result).astype(np.float32)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norm(last: int, activation: int) -> None:
    x, scale, bias = numbers(2, 3, 5, 8), numbers(8), numbers(8) * 2
    attributes = {"groups": 4, "activation": activation, "channels_last": last}
    want = group_norm(x, scale, bias, 4, activation)
    if last:
        check("GroupNorm", [x, scale, bias], attributes, expected=[want])
    else:
        first = np.moveaxis(x, -1, 1).copy()
        check("GroupNorm", [first, scale, bias], attributes, expected=[np.moveaxis(want, -1, 1)])


@pytest.mark.parametrize("skip", [(2, 3, 5, 8), (2, 1, 1, 8), (2, 8)])
def test_skip_group_norm(skip: tuple[int, ...]) -> None:
    x, scale, bias, added = numbers(2, 3, 5, 8), numbers(8), numbers(8) * 2, numbers(*skip)
    total = x + (added[:, None, None] if added.ndim == 2 else added) + bias
    want = group_norm(total, scale, bias, 2, 1)
    attributes = {"groups": 2, "activation": 1}
    check("SkipGroupNorm", [x, scale, bias, added, bias], attributes, outputs=(True, True), expected=[want, total])


@pytest.mark.parametrize(
    ("x", "bias", "axis", "inner"),
    [
        ((2, 3, 4, 5), (2, 1, 1, 5), 3, 1),
        ((2, 3, 4, 5), (4, 5), 3, 0),
        ((2, 3, 4, 5), (4, 5), 2, 0),
        ((6, 5), (1, 5), 1, 0),
    ],
)
def test_bias_softmax(x: tuple[int, ...], bias: tuple[int, ...], axis: int, inner: int) -> None:
    data, added = numbers(*x), numbers(*bias)
    powers = np.exp((data + added).astype(np.float64).reshape(int(np.prod(x[:axis])), -1))
    want = (powers / powers.sum(-1, keepdims=True)).reshape(x).astype(np.float32)
    check("BiasSoftmax", [data, added], {"axis": axis, "is_inner_broadcast": inner}, expected=[want])


@pytest.mark.parametrize("activation", ["silu", "swish", "sigmoid"])
def test_gated_rms_norm(activation: str) -> None:
    inputs = [numbers(2, 3, 24), numbers(8), numbers(2, 3, 24)[::-1].copy()]
    check("GatedRMSNorm", inputs, {"activation": activation}, fixed_last=True, constant=[1])
