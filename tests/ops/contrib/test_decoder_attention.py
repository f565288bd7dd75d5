"""DecoderMaskedMultiHeadAttention against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import Array, check, compiled, feeds_of, node_model, numbers, reference
from ops.contrib.test_attention import ones

HEADS, SIZE = 2, 4


def new(bias: bool) -> tuple[list[Array | None], Array | None]:
    return [numbers(2, 1, HEADS * SIZE) * s for s in (1, 2, 3)], numbers(3 * HEADS * SIZE) if bias else None


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mask", [False, True])
def test_keys_of_another_sequence(bias: bool, mask: bool) -> None:
    inputs, added = new(bias)
    inputs[1:] = [numbers(2, HEADS, 7, SIZE) * s for s in (2, 3)]
    inputs += [ones(2, 7) if mask else None, *[None] * 6, added]
    check("DecoderMaskedMultiHeadAttention", inputs, {"num_heads": HEADS}, constant=[10], fixed_last=True)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("used", [5, 8])
def test_shared_buffer(bias: bool, mask: bool, used: int) -> None:
    inputs, added = new(bias)
    caches: list[Array | None] = [numbers(2, HEADS, 9, SIZE) * s for s in (1, 2)]
    inputs += [ones(2, used + 1) if mask else None, None, *caches, np.array([used], np.int32), None, None, added]
    attributes = {"num_heads": HEADS, "past_present_share_buffer": 1}
    options: dict[str, Any] = {"outputs": (True, True, True), "constant": [10], "fixed_last": True}
    model = node_model("DecoderMaskedMultiHeadAttention", inputs, attributes, **options)
    feeds = feeds_of(inputs, [10])
    program = compiled(model)
    got = program.run([feeds[value.name].copy() for value in program.inputs])
    wanted = reference(model, feeds)
    np.testing.assert_allclose(got[0], wanted[0], rtol=2e-5, atol=2e-5)
    for a, c in zip(got[1:], wanted[1:], strict=True):
        assert a.shape == c.shape
        np.testing.assert_allclose(a[:, :, : used + 1], c[:, :, : used + 1], rtol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_growing_cache(packed: bool) -> None:
    inputs, _ = new(False)
    caches: list[Array | None] = [numbers(2, HEADS, 9, SIZE) * s for s in (1, 2)]
    first = [np.concatenate([x for x in inputs if x is not None], 2), None, None] if packed else inputs
    rest: list[Array | None] = [None, None, *caches]
    plain = node_model("MultiHeadAttention", [*inputs, None, *rest], {"num_heads": HEADS}, outputs=(True,) * 3)
    expected = reference(plain, feeds_of([*inputs, None, *rest]))
    options: dict[str, Any] = {"outputs": (True,) * 3, "expected": expected, "fixed_last": True}
    check("DecoderMaskedMultiHeadAttention", [*first, *rest], {"num_heads": HEADS}, **options)
