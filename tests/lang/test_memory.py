"""Loads, stores, gathers, scatters, variables, local arrays and tables."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lang.harness import run
from sardonyx import dtypes
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.targets import BASELINE, Target

TARGETS = (None, BASELINE)
NAMES = ["native", "baseline"]
EVERY = ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint64", "bool", "bfloat16"]


def example(name: str, count: int) -> Any:
    if name == "bfloat16":
        return np.arange(count).astype(ml_dtypes.bfloat16)
    return (np.arange(count) % 3 != 0) if name == "bool" else np.arange(1, count + 1).astype(name)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("inside", [0, 3, 8])
def test_masked_copy(name: str, inside: int, target: Target | None) -> None:
    """Nothing outside the mask is read (the source ends there) or written."""
    x, y = example(name, 8), np.zeros_like(example(name, 8))

    def build(b: KernelBuilder, source: Pointer, destination: Pointer) -> None:
        mask = b.tail_mask(inside, 8)
        destination.store(source.load(0, 8, mask), 0, mask)

    assert run(build, x, y, target=target) == 0
    np.testing.assert_array_equal(y[:inside], x[:inside])
    np.testing.assert_array_equal(y[inside:], np.zeros_like(y[inside:]))


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_gather_and_scatter(name: str, lanes: int, target: Target | None) -> None:
    x, places = example(name, 40), np.random.default_rng(lanes).permutation(40)[:lanes].astype(np.int64)
    gathered, scattered = np.zeros(lanes, x.dtype), np.zeros(40, x.dtype)

    def build(b: KernelBuilder, source: Pointer, index: Pointer, out: Pointer, spread: Pointer) -> None:
        offsets = index.load(0, lanes)
        value = source.gather(offsets)
        out.store(value)
        spread.scatter(value, offsets)

    assert run(build, x, places, gathered, scattered, target=target) == 0
    np.testing.assert_array_equal(gathered, x[places])
    expected = np.zeros_like(scattered)
    expected[places] = x[places]
    np.testing.assert_array_equal(scattered, expected)


def test_masked_gather_and_scatter() -> None:
    """Masked lanes may point anywhere; the last of equal addresses wins."""
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    places = np.asarray([3, 1, 2**40, -(2**40)], np.int64)

    def build(b: KernelBuilder, source: Pointer, destination: Pointer, index: Pointer) -> None:
        mask, offsets = b.tail_mask(2, 4), index.load(0, 4)
        value = source.gather(offsets, mask)
        destination.scatter(value + 1.0, offsets, mask)
        destination.at(2).scatter(b.iota(Type(dtypes.float32, 4)), b.zero(I64.with_lanes(4)))

    assert run(build, x, y, places) == 0
    np.testing.assert_array_equal(y, [0, 2, 3, 4])


def test_variables_local_arrays_and_tables() -> None:
    y = np.zeros(4, np.int64)

    def build(b: KernelBuilder, out: Pointer) -> None:
        table = b.table(dtypes.int64, (5, 7, 11))
        assert b.table(dtypes.int64, (5, 7, 11)).ir is table.ir
        local = b.local(dtypes.int64, 3)
        total = b.var(b.i64(0))
        with b.loop(3) as i:
            local.store(table.load(i) * 2, i)
            total.set(total.get() + local.load(i))
        out.store(total.get())
        out.cast(dtypes.int64).at(1).store(local.load(2))
        b.prefetch(out)

    assert run(build, y) == 0
    np.testing.assert_array_equal(y, [46, 22, 0, 0])


def test_size_arguments() -> None:
    y = np.zeros(2, np.int64)

    def build(b: KernelBuilder, out: Pointer) -> None:
        with b.if_(b.size(0) > 0):
            out.store(b.size(1) - b.size(0))
        out.store(b.end - b.begin, 1)

    assert run(build, y, sizes=[3, 10]) == 0
    np.testing.assert_array_equal(y, [7, 1])


def test_mistakes_are_refused() -> None:
    def wrong_dtype(b: KernelBuilder, out: Pointer) -> None:
        out.store(b.const(1, Type(dtypes.int32)))

    def masked_scalar(b: KernelBuilder, out: Pointer) -> None:
        value: Value = out.load(0, 1, b.all_true(1))
        out.store(value)

    with pytest.raises(TypeError, match="store of int32 through a pointer to float32"):
        run(wrong_dtype, np.zeros(1, np.float32))
    with pytest.raises(TypeError, match="masked scalar load"):
        run(masked_scalar, np.zeros(1, np.float32))
