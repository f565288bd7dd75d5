"""Attention against float64: tails, symbolic sizes, masks, causality, grouped heads, strides."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.kernels.attention import Attention, key_panels, packs_keys, query_tiles
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.lang.host import host_target
from sardonyx.symbols import Dim, ceildiv, evaluate, symbol

Array = npt.NDArray[Any]


def oracle(
    q: Array, k: Array, v: Array, mask: Array | None, scale: float, *, causal: bool = False, past: int = 0
) -> Array:
    """Softmax attention in float64."""
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k.astype(np.float64), group, axis=1), np.repeat(v.astype(np.float64), group, axis=1)
    scores = q.astype(np.float64) @ k.swapaxes(2, 3) * scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        inside = np.arange(k.shape[2]) <= np.arange(q.shape[2])[:, None] + past
        scores = np.where(inside, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(axis=3, keepdims=True, initial=-np.inf))
        return (weights / weights.sum(axis=3, keepdims=True)) @ v


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    scale: float = 0.125,
    *,
    causal: bool = False,
    past: int = 0,
    symbolic: bool = False,
    transposed: bool = False,
    splits: int = 1,
) -> Array:
    """Runs the kernel; ``transposed`` writes (batch, query, head, width)."""
    target, dtype = host_target(), dtypes.from_numpy(q.dtype)
    (batch, heads, queries, depth), (_, key_heads, keys, _), width = q.shape, k.shape, v.shape[3]
    numbers: list[int] = []

    def size(number: int) -> Dim:
        numbers.append(number)
        return symbol(f"s{len(numbers) - 1}") if symbolic else number

    def strides(array: Array) -> tuple[Any, ...]:
        return tuple(size(step // array.itemsize) for step in array.strides[:3])

    out = np.full((batch, queries, heads, width) if transposed else (batch, heads, queries, width), 7, q.dtype)
    view = out.transpose(0, 2, 1, 3) if transposed else out
    full_mask = None if mask is None else np.broadcast_to(mask, (batch, heads, queries, keys))
    own = size(queries), size(keys)
    mask_strides: tuple[Any, ...] = (0, 0, 0, 0)
    if full_mask is not None:
        mask_strides = (*strides(full_mask), full_mask.strides[3] // full_mask.itemsize)
    spec = Attention(
        dtype=dtype,
        heads=size(heads),
        group=size(heads // key_heads),
        queries=own[0],
        keys=own[1],
        depth=depth,
        width=width,
        q_strides=strides(q),
        k_strides=strides(k),
        v_strides=strides(v),
        out_strides=strides(view),
        scale=scale,
        mask=None if mask is None else dtypes.from_numpy(mask.dtype),
        mask_strides=mask_strides,
        right=0 if causal else None,
        past=size(past),
    )
    shape = key_panels(target, dtype)
    packed = np.full(int(evaluate(packed_size(depth, keys, shape.columns), {})) * batch * key_heads, 7, q.dtype)
    i0 = symbol("i0")
    steps = [step // k.itemsize for step in k.strides]
    offset = i0 % key_heads * steps[1] + i0 // key_heads * steps[0]
    pack = Pack.of(shape, depth, keys, dtype, dtype, (steps[3], steps[2]), offset)
    tasks = (
        evaluate(ceildiv(keys, shape.columns), {})
        * batch
        * key_heads
        * int(evaluate(packs_keys(queries, depth, adjacent=True), {}))
    )
    assert run_kernel(pack, [packed, k], [], tasks) == 0
    tiles = evaluate(query_tiles(target, dtype, own[0]), {f"s{n}": number for n, number in enumerate(numbers)})
    buffers = [q, k, packed, v, out, *([] if mask is None else [mask])]
    assert run_kernel(spec, buffers, numbers, batch * heads * tiles, splits) == 0
    return view


def arrays(batch: int, heads: int, key_heads: int, queries: int, keys: int, depth: int, width: int) -> list[Array]:
    random = np.random.default_rng(queries * keys + depth)
    shapes = (batch, heads, queries, depth), (batch, key_heads, keys, depth), (batch, key_heads, keys, width)
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def close(got: Array, want: Array) -> None:
    np.testing.assert_allclose(got, want, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [(2, 3, 3, 20, 20, 64, 64), (1, 4, 2, 33, 70, 40, 24), (1, 2, 2, 1, 300, 64, 64), (1, 2, 1, 3, 19, 20, 5),
     (2, 2, 2, 15, 600, 16, 80), (1, 1, 1, 5, 1, 3, 1)],
)  # fmt: skip
def test_sizes(sizes: tuple[int, ...], symbolic: bool) -> None:
    q, k, v = arrays(*sizes)
    got = attention(q, k, v, symbolic=symbolic)
    close(got, oracle(q, k, v, None, 0.125))
    np.testing.assert_array_equal(attention(q, k, v, symbolic=symbolic, splits=3), got)


@pytest.mark.parametrize("shape", [(2, 4, 17, 300), (1, 1, 17, 300), (2, 1, 1, 300), (2, 1, 17, 1)])
@pytest.mark.parametrize("kind", ["float", "bool"])
def test_masks(shape: tuple[int, ...], kind: str) -> None:
    q, k, v = arrays(2, 4, 4, 17, 300, 32, 32)
    random = np.random.default_rng(1)
    mask: Array = random.random(shape) < 0.7
    if kind == "float":
        # A whole row lowered by much would lose the scores' low digits.
        mask = np.where(mask, random.standard_normal(shape), -3e4 if shape[3] > 1 else -1).astype(np.float32)
    else:
        mask[..., 0] = True
    close(attention(q, k, v, mask), oracle(q, k, v, mask, 0.125))


def test_rows_without_keys() -> None:
    """All scores -inf give NaN; all scores equal, however low, give the mean of the values."""
    q, k, v = arrays(1, 2, 2, 6, 40, 16, 16)
    mask = np.zeros((6, 40), np.float32)
    mask[1], mask[3, 1:] = -np.inf, -np.inf
    got = attention(q, k, v, mask)
    close(got, oracle(q, k, v, mask, 0.125))
    assert np.isnan(got[:, :, 1]).all()
    lowest = np.full((6, 40), np.finfo(np.float32).min, np.float32)
    close(attention(q * 0, k, v, lowest), np.broadcast_to(v.mean(axis=2, keepdims=True), (1, 2, 6, 16)))
    np.testing.assert_array_equal(attention(q, k[:, :, :0], v[:, :, :0]), 0)


@pytest.mark.parametrize("past", [0, 7])
@pytest.mark.parametrize("symbolic", [False, True])
def test_causal(past: int, symbolic: bool) -> None:
    q, k, v = arrays(1, 2, 2, 290, 290 + past, 16, 16)
    got = attention(q, k, v, causal=True, past=past, symbolic=symbolic)
    close(got, oracle(q, k, v, None, 0.125, causal=True, past=past))


def test_strides() -> None:
    """Heads interleaved, as they come out of one projection, and an output of (batch, query, head, width)."""
    rows = np.random.default_rng(2).standard_normal((2, 37, 3, 4, 24)).astype(np.float32)
    q, k, v = (rows[:, :, place].transpose(0, 2, 1, 3) for place in range(3))
    for symbolic in (False, True):
        close(attention(q, k, v, transposed=True, symbolic=symbolic), oracle(q, k, v, None, 0.125))


def test_float64() -> None:
    q, k, v = (array.astype(np.float64) for array in arrays(1, 2, 2, 20, 50, 16, 16))
    np.testing.assert_allclose(attention(q, k, v), oracle(q, k, v, None, 0.125), rtol=1e-12)
