"""Attention and MultiHeadAttention against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import Array, check, numbers

HEADS = 2


def ones(*shape: int) -> Array:
    """A mask that hides about a third, but never the first key."""
    mask = (numbers(*shape, low=0, high=1) < 0.7).astype(np.int32)
    mask[..., 0] = 1
    return mask


def mask_of(kind: str, batch: int, rows: int, keys: int) -> Array | None:
    if kind == "ends":
        return np.array([keys - 2, keys][:batch], np.int32)
    if kind == "starts":
        return np.array([keys - 1, keys, 1, 2][: 2 * batch], np.int32)
    return {"none": None, "keys": ones(batch, keys), "scores": ones(batch, rows, keys)}[kind]


@pytest.mark.parametrize("mask", ["none", "ends", "starts", "keys", "scores"])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [None, 3])
def test_attention(mask: str, causal: int, past: int | None) -> None:
    batch, rows, hidden, each = 2, 5, 12, 4
    keys = rows + (past or 0)
    inputs = [
        numbers(batch, rows, hidden),
        numbers(hidden, 3 * HEADS * each),
        numbers(3 * HEADS * each),
        mask_of(mask, batch, rows, keys),
        None if past is None else numbers(2, batch, HEADS, past, each),
    ]
    attributes = {"num_heads": HEADS, "unidirectional": causal}
    fixed = [0, 3] if mask == "starts" else []
    check("Attention", inputs, attributes, outputs=(True, past is not None), constant=[1, 2], fixed=fixed)


@pytest.mark.parametrize("bias", [None, (1, 1), (2, 2)])
def test_attention_sizes_scale_and_bias(bias: tuple[int, int] | None) -> None:
    batch, rows = 2, 6
    inputs = [numbers(batch, rows, 10), numbers(10, 8 + 8 + 12), numbers(28), ones(batch, rows), None]
    inputs.append(None if bias is None else numbers(*bias, rows, rows))
    attributes: dict[str, Any] = {"num_heads": HEADS, "qkv_hidden_sizes": [8, 8, 12], "scale": 0.3}
    check("Attention", inputs, {**attributes, "mask_filter_value": -100.0}, constant=[1, 2])


@pytest.mark.parametrize("mask", ["none", "ends", "keys", "scores"])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [None, 3])
def test_multi_head_attention(mask: str, causal: int, past: int | None) -> None:
    batch, rows, each = 2, 5, 4
    keys = rows + (past or 0)
    inputs = [*(numbers(batch, rows, HEADS * each) * scale for scale in (1, 2, 3)), numbers(3 * HEADS * each)]
    inputs += [mask_of(mask, batch, rows, keys), None]
    inputs += [None if past is None else numbers(batch, HEADS, past, each) * scale for scale in (1, 2)]
    attributes = {"num_heads": HEADS, "unidirectional": causal}
    check("MultiHeadAttention", inputs, attributes, outputs=(True, True, True), constant=[3], fixed_last=True)


@pytest.mark.parametrize("form", ["cross", "heads", "packed keys", "packed"])
@pytest.mark.parametrize("bias", [False, True])
def test_forms_of_keys_and_values(form: str, bias: bool) -> None:
    batch, rows, keys, each = 2, 5, 7, 4
    hidden = HEADS * each
    inputs: list[Array | None] = [numbers(batch, rows, hidden), *(numbers(batch, keys, hidden) * s for s in (2, 3))]
    fixed: list[int] = []
    if form == "heads":
        inputs[1:] = [numbers(batch, HEADS, keys, each) * s for s in (2, 3)]
    if form == "packed keys":
        inputs[1:] = [numbers(batch, keys, HEADS, 2, each), None]
    if form == "packed":
        inputs = [numbers(batch, rows, HEADS, 3, each), None, None]
    inputs.append(numbers(3 * hidden) if bias else None)
    inputs += [None, numbers(1, HEADS, rows, rows if form == "packed" else keys)]
    expected = None
    if form.startswith("packed"):
        expected = [by_hand(inputs, form, bias)]
    options: dict[str, Any] = {"expected": expected, "fixed": fixed}
    check("MultiHeadAttention", inputs, {"num_heads": HEADS}, constant=[3], fixed_last=True, **options)


def by_hand(inputs: list[Array | None], form: str, bias: bool) -> Array:
    packed = inputs[0] if form == "packed" else inputs[1]
    assert packed is not None
    assert inputs[5] is not None
    parts = [np.ascontiguousarray(packed[:, :, :, k]) for k in range(packed.shape[3])]
    if form != "packed":
        assert inputs[0] is not None
        parts.insert(0, inputs[0].reshape(*inputs[0].shape[:2], HEADS, -1))
    added = np.zeros(3 * parts[0].shape[2] * parts[0].shape[3], np.float32) if not bias else inputs[3]
    assert added is not None
    q, k, v = (
        (part + one.reshape(part.shape[2:])).transpose(0, 2, 1, 3).astype(np.float64)
        for part, one in zip(parts, np.split(added, 3), strict=True)
    )
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3]) + inputs[5]
    weights = np.exp(scores - scores.max(3, keepdims=True))
    result = (weights / weights.sum(3, keepdims=True)) @ v
    return result.transpose(0, 2, 1, 3).reshape(result.shape[0], result.shape[2], -1).astype(np.float32)


def test_many_keys_and_one_query() -> None:
    batch, past, each = 2, 300, 16
    new = [numbers(batch, 1, HEADS * each) * scale for scale in (1, 2, 3)]
    cache = [numbers(batch, HEADS, past, each) * scale for scale in (1, 2)]
    inputs = [*new, None, ones(batch, past + 1), None, *cache]
    attributes = {"num_heads": HEADS, "unidirectional": 1}
    check("MultiHeadAttention", inputs, attributes, outputs=(True, True, True), fixed_last=True)


def test_half_precision() -> None:
    inputs = [numbers(2, 9, HEADS * 8, dtype=np.float16) for _ in range(3)]
    check("MultiHeadAttention", inputs, {"num_heads": HEADS}, fixed_last=True, tolerance=4e-3)
