"""RotaryEmbedding against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from ops.contrib.oracle import Array, check, numbers


def tables(positions: int, pairs: int) -> tuple[Array, Array]:
    angles = np.arange(positions)[:, None] / 100 ** (np.arange(pairs) / pairs)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("rank", [3, 4])
def test_rotary_embedding(interleaved: int, first: bool, part: bool, rank: int) -> None:
    batch, rows, heads, size = 2, 5, 3, 12
    x = numbers(batch, rows, heads * size) if rank == 3 else numbers(batch, heads, rows, size)
    turned = 8 if part else size
    positions = np.array([4]) if first else np.random.default_rng(0).integers(0, 20, (batch, rows))
    attributes = {"interleaved": interleaved, "scale": 2.0}
    if part:
        attributes |= {"num_heads": heads, "rotary_embedding_dim": turned}
    check("RotaryEmbedding", [x, positions, *tables(20, turned // 2)], attributes, fixed_last=True, constant=[2, 3])
