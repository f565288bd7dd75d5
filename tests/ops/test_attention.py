"""The attention records against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernels.test_attention import close, oracle
from ops.run_record import RunContext, run_record
from sardonyx.ops.attention import Attention, FusedAttention

Array = npt.NDArray[Any]


def random_array(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def four(array: Array, heads: int) -> Array:
    """(batch, rows, heads * elements) as (batch, heads, rows, elements)."""
    return array.reshape(*array.shape[:2], heads, -1).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("mask", [None, (2, 1, 1, 40), (21, 40), (2, 3, 21, 40)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_fused(mask: tuple[int, ...] | None, transposed: int) -> None:
    q, k, v = random_array(2, 3, 21, 16), random_array(2, 3, 40, 16), random_array(2, 3, 40, 32)
    bias = None if mask is None else random_array(*mask)
    want = oracle(q, k, v, bias, 0.3)
    record = FusedAttention(scale=0.3, transposed_output=transposed)
    every = [(0, 0), (1, 0), (2, 0), (0, 2), (1, 2), (2, 2)]
    for symbolic in ([], every):
        got = run_record(record, [q, k, v, bias], symbolic=symbolic)
        close(got, want)
    assert (got.transpose(0, 2, 1, 3) if transposed else got).flags.c_contiguous


@pytest.mark.parametrize("queries", [1, 9])
def test_keys_of_any_strides(queries: int) -> None:
    q, k, v = random_array(1, 2, queries, 16), random_array(1, 2, 16, 30).swapaxes(2, 3), random_array(1, 2, 30, 16)
    for symbolic in ([], [(0, 2)]):
        close(run_record(FusedAttention(scale=0.25), [q, k, v, None], symbolic=symbolic), oracle(q, k, v, None, 0.25))


def test_half_precision() -> None:
    q, k, v = (random_array(1, 2, rows, 16).astype(np.float16) for rows in (9, 20, 20))
    got = run_record(FusedAttention(scale=0.25), [q, k, v, None])
    np.testing.assert_allclose(got.astype(np.float64), oracle(q, k, v, None, 0.25), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_three_dimensions(causal: int, key_heads: int) -> None:
    q, k, v = random_array(2, 9, 4 * 8), random_array(2, 12, key_heads * 8), random_array(2, 12, key_heads * 6)
    record = Attention(q_num_heads=4, kv_num_heads=key_heads, is_causal=causal)
    want = oracle(four(q, 4), four(k, key_heads), four(v, key_heads), None, 8**-0.5, causal=bool(causal))
    close(run_record(record, [q, k, v]), want.transpose(0, 2, 1, 3).reshape(2, 9, -1))


def test_cache_and_boolean_mask() -> None:
    q, k, v = random_array(1, 2, 3, 8), random_array(1, 2, 3, 8), random_array(1, 2, 3, 8)
    past_key, past_value = random_array(1, 2, 5, 8), random_array(1, 2, 5, 8) * 2
    mask = np.random.default_rng(1).random((3, 8)) < 0.7
    mask[1] = False
    context = RunContext(Attention(is_causal=1), [q, k, v, mask, past_key, past_value], outputs=3)
    keys, values = np.concatenate([past_key, k], 2), np.concatenate([past_value, v], 2)
    want = oracle(q, keys, values, mask, 8**-0.5, causal=True, past=5)
    close(context.results[0], np.where(np.isnan(want), 0, want))
    np.testing.assert_array_equal(context.results[1], keys)
    np.testing.assert_array_equal(context.results[2], values)


def test_softcap() -> None:
    q, k, v = random_array(1, 1, 5, 8) * 4, random_array(1, 1, 7, 8) * 4, random_array(1, 1, 7, 8)
    scores = 2 * np.tanh(q.astype(np.float64) @ k.swapaxes(2, 3) * 0.5 / 2)
    weights = np.exp(scores)
    got = run_record(Attention(scale=0.5, softcap=2.0), [q, k, v])
    close(got, (weights / weights.sum(3, keepdims=True)) @ v)


@pytest.mark.parametrize(("queries", "keys"), [(1, 300), (5, 5), (17, 20), (40, 340)])
@pytest.mark.parametrize("window", [(-1, -1, 1), (2, -1, 1), (30, -1, 0), (-1, 2, 0), (0, 1, 0)])
@pytest.mark.parametrize("cut", [False, True])
def test_windows_and_lengths(queries: int, keys: int, window: tuple[int, int, int], cut: bool) -> None:
    from onnx.reference.ops.op_attention import _compute_attention

    left, right, causal = window
    q, k, v = random_array(3, 4, queries, 17), random_array(3, 2, keys, 17), random_array(3, 2, keys, 17)
    mask = random_array(3, 1, queries, keys)
    lengths = np.array([keys, keys // 2, 0]) if cut else None
    options = {"is_causal": causal, "left_window_size": left, "right_window_size": right}
    (want, *_) = _compute_attention(
        q, k, v, mask, nonpad_kv_seqlen=lengths, softcap=0.0, qk_matmul_output_mode=0, **options
    )
    for symbolic in ([], [(0, 2), (3, 2)]):
        got = run_record(Attention(**options), [q, k, v, mask, None, None, lengths], symbolic=symbolic)
        close(got, want)


def test_scores_without_values() -> None:
    q, k, v = random_array(2, 3, 9, 8), random_array(2, 3, 300, 8), random_array(2, 3, 300, 8)
    sink = random_array(3) * 4
    scores = q.astype(np.float64) @ k.swapaxes(2, 3) * 0.3
    weights = np.exp(scores)
    total = weights.sum(3, keepdims=True) + np.exp(sink.astype(np.float64))[:, None, None]
    close(run_record(FusedAttention(scale=0.3), [q, k, v, None, None, sink]), (weights / total) @ v)
