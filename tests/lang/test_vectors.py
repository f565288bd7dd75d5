"""Lanes: iota, shuffles, reductions and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lang.harness import run
from sardonyx import dtypes
from sardonyx.lang import KernelBuilder, Pointer, Type


def test_lanes() -> None:
    x, y = np.arange(10, 18, dtype=np.float32), np.zeros((4, 8), np.float32)

    def build(b: KernelBuilder, source: Pointer, out: Pointer) -> None:
        value = source.load(0, 8)
        count = b.iota(value.type)
        out.store(count)
        out.at(8).store(b.shuffle(value, count, [7, 6, 5, 4, 8, 9, 10, 11]))
        out.at(16).store(b.insert(value, b.extract(value, 7), 0))
        out.at(24).store(b.splat(b.extract(value, 3), 8))

    assert run(build, x, y) == 0
    np.testing.assert_array_equal(y[0], np.arange(8))
    np.testing.assert_array_equal(y[1], [17, 16, 15, 14, 0, 1, 2, 3])
    np.testing.assert_array_equal(y[2], [17, *x[1:]])
    np.testing.assert_array_equal(y[3], [13] * 8)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("lanes", [1, 2, 8, 16])
def test_reduce(dtype: str, lanes: int) -> None:
    x = np.random.default_rng(lanes).integers(0, 9, lanes).astype(dtype)
    y = np.zeros(2, dtype)

    def build(b: KernelBuilder, source: Pointer, out: Pointer) -> None:
        value = source.load(0, lanes)
        out.store(b.reduce(lambda p, q: p + q, value))
        out.store(b.reduce(b.maximum, value), 1)

    assert run(build, x, y) == 0
    np.testing.assert_array_equal(y, [x.sum(), x.max()])


def test_reduce_needs_a_power_of_two() -> None:
    def build(b: KernelBuilder, out: Pointer) -> None:
        b.reduce(b.maximum, out.load(0, 3))

    with pytest.raises(TypeError, match="power of two"):
        run(build, np.zeros(3, np.float32))


@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
def test_masks(lanes: int) -> None:
    """tail_mask for every count up to beyond the vector, and whether any lane is set."""
    counts = range(lanes + 3)
    masks, any_ = np.zeros((len(counts), lanes), bool), np.zeros((len(counts), 2), bool)

    def build(b: KernelBuilder, out: Pointer, flags: Pointer) -> None:
        for row, count in enumerate(counts):
            mask = b.tail_mask(b.size(0) + count, lanes)
            out.at(row * lanes).store(mask)
            flags.store(b.any(mask), 2 * row)
            flags.store(b.any(b.all_true(lanes)), 2 * row + 1)

    assert run(build, masks, any_, sizes=[0]) == 0
    expected: Any = np.arange(lanes) < np.asarray(counts)[:, None]
    np.testing.assert_array_equal(masks, expected)
    np.testing.assert_array_equal(any_[:, 0], expected.any(axis=1))
    assert any_[:, 1].all()


def test_mixed_widths_are_refused() -> None:
    def build(b: KernelBuilder, out: Pointer) -> None:
        b.splat(b.zero(Type(dtypes.float32, 4)), 8)

    with pytest.raises(TypeError, match="only a scalar can be broadcast"):
        run(build, np.zeros(1, np.float32))
