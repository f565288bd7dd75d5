"""GroupQueryAttention against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import Array, compiled, feeds_of, node_model, numbers, reference
from ops.contrib.test_rotary import tables
from sardonyx.errors import ExecutionError

HEADS, SHARED, SIZE = 4, 2, 16


def case(
    lengths: Sequence[int], rows: int, past: int | None, *, packed: bool = False, rotary: bool = False
) -> list[Array | None]:
    """Inputs for sequences that have these numbers of keys with the new ones."""
    batch, total = len(lengths), max(lengths)
    if packed:
        heads: list[Array | None] = [numbers(batch, rows, (HEADS + 2 * SHARED) * SIZE), None, None]
    else:
        heads = [numbers(batch, rows, count * SIZE) * scale for count, scale in ((HEADS, 1), (SHARED, 2), (SHARED, 3))]
    caches = [None if past is None else numbers(batch, SHARED, past, SIZE) * scale for scale in (1, 2)]
    lens = [np.array(lengths, np.int32) - 1, np.array(total, np.int32)]
    return [*heads, *caches, *lens, *(tables(64, SIZE // 2) if rotary else (None, None))]


def compare(inputs: list[Array | None], attributes: dict[str, Any], tolerance: float = 2e-5) -> None:
    """Holds all rows that mean something against ONNX Runtime; the largest number of keys is a constant."""
    given = {"num_heads": HEADS, "kv_num_heads": SHARED, **attributes}
    options: dict[str, Any] = {"outputs": (True, True, True), "constant": [6, 7, 8], "fixed_last": True}
    model, feeds = node_model("GroupQueryAttention", inputs, given, **options), feeds_of(inputs, options["constant"])
    wanted = reference(model, feeds)
    program = compiled(model)
    results = program.run([feeds[value.name] for value in program.inputs])
    assert inputs[0] is not None
    assert inputs[5] is not None
    rows = inputs[0].shape[1]
    for element, length in enumerate(inputs[5] + 1):
        valid = min(rows, length)
        for got, want, part in zip(results, wanted, (np.s_[:valid], np.s_[:, :length], np.s_[:, :length]), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(
                got[element][part].astype(np.float64), want[element][part].astype(np.float64),
                rtol=tolerance, atol=tolerance,
            )  # fmt: skip


CASES = [
    ([7, 7], 7, None),  # a prompt
    ([4, 7], 7, None),  # prompts of different lengths
    ([7, 7], 7, 0),
    ([4, 7], 7, 9),  # in a longer buffer
    ([7, 7], 1, 6),  # one token
    ([3, 7], 1, 6),
    ([3, 7], 1, 12),
    ([300, 200], 1, 299),
]


@pytest.mark.parametrize(("lengths", "rows", "past"), CASES)
@pytest.mark.parametrize("rotary", [False, True])
def test_caches(lengths: list[int], rows: int, past: int | None, rotary: bool) -> None:
    if rotary and max(lengths) > 64:
        lengths = [60, 20]
        past = 64
    compare(case(lengths, rows, past, rotary=rotary), {"do_rotary": int(rotary)})


@pytest.mark.parametrize(
    "attributes",
    [
        {"local_window_size": 3},
        {"local_window_size": 1},
        {"softcap": 1.5},
        {"scale": 0.3},
        {"smooth_softmax": 1},
        {"do_rotary": 1, "rotary_interleaved": 1},
        {"causal": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [False, True])
def test_attributes(attributes: dict[str, Any], step: bool) -> None:
    inputs = case([9, 12], 1, 11, rotary=True) if step else case([9, 9], 9, None, rotary=True)
    if not attributes.get("do_rotary"):
        inputs[7:9] = [None, None]
    compare(inputs, attributes)


@pytest.mark.parametrize("step", [False, True])
def test_packed(step: bool) -> None:
    inputs = case([9, 12], 1, 11, packed=True, rotary=True) if step else case([9, 9], 9, None, packed=True, rotary=True)
    compare(inputs, {"do_rotary": 1})


@pytest.mark.parametrize("step", [False, True])
def test_bias_sink_and_positions(step: bool) -> None:
    inputs = case([9, 12], 1, 15, rotary=True) if step else case([9, 9], 9, None, rotary=True)
    rows, total = (1, 12) if step else (9, 9)
    positions = np.array([[8], [11]]) if step else np.tile(np.arange(9), (2, 1))
    inputs += [positions, numbers(2, HEADS, rows, total), numbers(HEADS)]
    compare(inputs, {"do_rotary": 1})


def test_the_largest_number_of_keys_may_be_an_input() -> None:
    inputs = case([9, 12], 1, 11)
    given = {"num_heads": HEADS, "kv_num_heads": SHARED}
    model = node_model("GroupQueryAttention", inputs, given, outputs=(True, True, True), fixed_last=True)
    feeds = feeds_of(inputs)
    wanted = reference(model, feeds)
    program = compiled(model)
    got = program.run([feeds[value.name] for value in program.inputs])
    assert [array.shape for array in got] == [array.shape for array in wanted]
    np.testing.assert_allclose(got[0], wanted[0], rtol=2e-5, atol=2e-5)
    feeds["x6"] = np.array(16, np.int32)  # a longer buffer, for the same program
    again = program.run([feeds[value.name] for value in program.inputs])
    assert again[1].shape == (2, SHARED, 16, SIZE)
    np.testing.assert_array_equal(again[0], got[0])
    np.testing.assert_array_equal(again[1][:, :, :12], got[1])
    assert not again[1][:, :, 12:].any()


def test_more_keys_than_the_cache_holds() -> None:
    inputs = case([9, 12], 1, 11)
    inputs[5] = np.array([8, 30], np.int32)
    given = {"num_heads": HEADS, "kv_num_heads": SHARED}
    program = compiled(node_model("GroupQueryAttention", inputs, given, fixed_last=True))
    feeds = feeds_of(inputs)
    with pytest.raises(ExecutionError):
        program.run([feeds[value.name] for value in program.inputs])


def test_threads_do_not_change_the_result() -> None:
    inputs = case([9, 12], 1, 11, rotary=True)
    given = {"num_heads": HEADS, "kv_num_heads": SHARED, "do_rotary": 1}
    options: dict[str, Any] = {"outputs": (True, True, True), "fixed_last": True, "constant": [7, 8]}
    model, feeds = node_model("GroupQueryAttention", inputs, given, **options), feeds_of(inputs, [7, 8])
    one, two = (compiled(model, threads) for threads in (1, 2))
    for a, b in zip(*(p.run([feeds[value.name] for value in p.inputs]) for p in (one, two)), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("step", [False, True])
def test_half_precision(step: bool) -> None:
    inputs = case([9, 12], 1, 15, rotary=True) if step else case([9, 9], 9, None, rotary=True)
    narrow = [None if x is None else x.astype(np.float16) if x.dtype == np.float32 else x for x in inputs]
    compare(narrow, {"do_rotary": 1}, tolerance=1e-2)
