"""Conversion of element types against numpy and ml_dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from lang.harness import apply
from sardonyx import dtypes
from sardonyx.targets import BASELINE, Target

Array = npt.NDArray[Any]
TARGETS = (None, BASELINE)
NAMES = ["native", "baseline"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
EVERY = ["float32", "float64", "float16", "bool", *INTEGERS]
HALVES = np.arange(65536, dtype=np.uint16)


def convert(x: Array, name: str, target: Target | None) -> Array:
    dtype = dtypes.from_name(name)
    return apply(lambda v: v.to(dtype), x, result=dtype, target=target)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("source", EVERY)
def test_pairs(source: str, target: Target | None) -> None:
    rng = np.random.default_rng(0)
    if source == "bool":
        x = rng.random(77) < 0.5
    elif np.dtype(source).kind == "f":
        x = rng.uniform(0, 120, 77).astype(source)
    else:
        limits = np.iinfo(source)
        x = rng.integers(limits.min, limits.max, 77, source, True)
    for name in EVERY:
        with np.errstate(over="ignore"):
            expected = x.astype(name)
        np.testing.assert_array_equal(convert(x, name, target), expected, err_msg=name)


def around(halves: Array) -> Array:
    """Every half as float64, the middles between neighbours, and the float64 next to these on either side."""
    with np.errstate(invalid="ignore"):
        exact = halves.astype(np.float64)
        middle = (exact[:-1] + exact[1:]) / 2
        return np.concatenate([exact, middle, np.nextafter(middle, 0), np.nextafter(middle, np.inf), [1e300, -1e300]])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_float16(target: Target | None) -> None:
    """Every half, and every place where rounding to one turns; float64 is rounded once."""
    halves = HALVES.view(np.float16)
    np.testing.assert_array_equal(convert(halves, "float32", target), halves.astype(np.float32))
    np.testing.assert_array_equal(convert(halves, "float64", target), halves.astype(np.float64))
    wide = around(halves)
    np.testing.assert_array_equal(convert(wide, "float16", target), wide.astype(np.float16))
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, np.uint32).view(np.float32)
    single = np.concatenate([wide.astype(np.float32), bits])
    np.testing.assert_array_equal(convert(single, "float16", target), single.astype(np.float16))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_bfloat16(target: Target | None) -> None:
    def stored(x: Array) -> Array:
        return convert(x, "bfloat16", target).astype(np.float32)

    every = HALVES.view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(convert(every, "float32", target), every.astype(np.float32))
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, np.uint32).view(np.float32)
    np.testing.assert_array_equal(stored(bits), bits.astype(ml_dtypes.bfloat16).astype(np.float32))
    # just above the middle of two neighbours, by less than float32 can tell
    np.testing.assert_array_equal(stored(np.asarray([1 + 2**-8 + 2**-40])), [1 + 2**-7])
    np.testing.assert_array_equal(stored(np.asarray([1 + 2**-8])), [1])


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_floats_saturate(source: str, name: str, target: Target | None) -> None:
    limits = np.iinfo(name)
    x = np.asarray([np.nan, np.inf, -np.inf, 1e30, -1e30, -0.9, 0.9, 3.7, limits.max, limits.min], source)
    expected = [0, limits.max, limits.min, limits.max, limits.min, 0, 0, 3, limits.max, limits.min]
    got = convert(x, name, target)
    np.testing.assert_array_equal(got[:-2], np.asarray(expected[:-2], name))
    assert got[-2] == limits.max
    assert got[-1] == limits.min


def test_truth() -> None:
    x = np.asarray([0.0, -0.0, np.nan, 1e-45, np.inf], np.float32)
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        np.testing.assert_array_equal(convert(x.astype(dtype), "bool", None), x.astype(dtype).astype(bool))
