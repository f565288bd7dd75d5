"""Types of eight bits and less against ml_dtypes, onnx's helpers and the tables of ONNX's Cast."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx.numpy_helper
import pytest

from lang.harness import apply
from sardonyx import dtypes
from sardonyx.targets import BASELINE, Target

Array = npt.NDArray[Any]
TARGETS = (None, BASELINE)
NAMES = ["native", "baseline"]
FLOAT8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
FLOATS = [*FLOAT8, "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
INTEGERS = ["int4", "uint4", "int2", "uint2"]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def every(name: str) -> Array:
    """All codes of a type."""
    dtype = dtypes.from_name(name)
    return np.arange(1 << dtype.bits, dtype=np.uint8).view(dtype.numpy)


def convert(x: Array, name: str, target: Target | None = None) -> Array:
    dtype = dtypes.from_name(name)
    return apply(lambda v: v.to(dtype), x, result=dtype, target=target)


def narrow(x: Array, name: str, **how: Any) -> Array:
    """The codes that float32 or float64 numbers become."""
    dtype = dtypes.from_name(name)
    return apply(lambda v: v.b.narrow(v.b.single(v), dtype, **how), x, result=dtype).view(np.uint8)


def around(name: str) -> Array:
    """Every number of a type, the middles between neighbours, what is next to these, and what is out of range."""
    exact = np.unique(every(name).astype(np.float32))
    exact = exact[np.isfinite(exact)]
    middle = (exact[:-1] + exact[1:]) / 2
    step = exact[-1] - exact[-2]
    top = np.asarray([exact[-1] + step / 2, exact[-1] + step, 1e30, np.inf, np.nan], np.float32)
    turns = np.concatenate([exact, middle, top])
    turns = np.concatenate([turns, np.nextafter(turns, np.float32(0)), np.nextafter(turns, np.float32(np.inf))])
    bits = np.random.default_rng(1).integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    return np.concatenate([turns, -turns, bits, bits.clip(-8, 8)]).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("name", [*FLOATS, "float8_e8m0fnu"])
def test_widening_is_exact(name: str, target: Target | None) -> None:
    codes = every(name)
    got = convert(codes, "float32", target)
    np.testing.assert_array_equal(got, codes.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(codes.astype(np.float32)[got == 0]))
    np.testing.assert_array_equal(convert(codes, name, target).view(np.uint8), codes.view(np.uint8))


@pytest.mark.parametrize("name", FLOATS)
def test_rounding(name: str) -> None:
    """Bit by bit what ml_dtypes gives, NaN and infinities included."""
    x = around(name)
    np.testing.assert_array_equal(narrow(x, name), x.astype(dtypes.from_name(name).numpy).view(np.uint8))
    np.testing.assert_array_equal(convert(x, name, BASELINE).view(np.uint8), narrow(x, name))


@pytest.mark.parametrize("name", FLOAT8)
def test_saturation(name: str) -> None:
    x = around(name)
    expected = onnx.numpy_helper.saturate_cast(x, dtypes.from_name(name).numpy)
    np.testing.assert_array_equal(narrow(x, name, saturate=True), expected.view(np.uint8))


@pytest.mark.parametrize("name", FLOATS)
def test_float64_is_rounded_once(name: str) -> None:
    exact = np.unique(every(name).astype(np.float64))
    exact = exact[np.isfinite(exact)]
    middle = (exact[:-1] + exact[1:]) / 2
    above, below = (convert(np.nextafter(middle, to), name).astype(np.float64) for to in (np.inf, -np.inf))
    np.testing.assert_array_equal(above, exact[1:])
    np.testing.assert_array_equal(below, exact[:-1])


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_powers_of_two(mode: str, saturate: bool) -> None:
    """Normal numbers as onnx's helper has them."""
    x = np.abs(np.random.default_rng(1).integers(1 << 23, 255 << 23, 100_000, np.uint32).view(np.float32))
    powers = np.ldexp(np.float32(1), np.arange(-126, 128)).astype(np.float32)
    x = np.concatenate([x, powers, powers * np.float32(1.5), [np.nan]]).astype(np.float32)
    expected = onnx.numpy_helper.to_float8e8m0(x, saturate, mode).view(np.uint8)
    np.testing.assert_array_equal(narrow(x, "float8_e8m0fnu", saturate=saturate, round_mode=mode), expected)


def test_powers_of_two_at_the_ends() -> None:
    """What the table of Cast says, and the numbers next to 2 ** -127, which float32 keeps as denormals."""
    x = np.asarray([0, np.inf, 3e38, 1e-45, 2.0**-127, 1.25 * 2.0**-127, 1.5 * 2.0**-127], np.float32)
    up = narrow(x, "float8_e8m0fnu", saturate=True, round_mode="up")
    np.testing.assert_array_equal(up, [0, 254, 254, 0, 0, 1, 1])
    nearest = narrow(x, "float8_e8m0fnu", saturate=False, round_mode="nearest")
    np.testing.assert_array_equal(nearest, [255, 255, 255, 255, 0, 0, 1])


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("name", INTEGERS)
def test_small_integers(name: str, target: Target | None) -> None:
    """The upper bits of a byte are ignored when it is read and clear when it is written."""
    dtype = dtypes.from_name(name)
    bytes_ = np.arange(256, dtype=np.uint8)
    for wide in ("int8", "uint8", "int32", "float32", "float16", "bool"):
        expected = bytes_.view(dtype.numpy).astype(wide)
        np.testing.assert_array_equal(convert(bytes_.view(dtype.numpy), wide, target), expected, err_msg=wide)
    numbers = np.arange(-300, 300)
    for wide in ("int8", "uint8", "int16", "int64", "uint64"):
        given = numbers.astype(wide)
        low_bits = (given.astype(np.int64) & ((1 << dtype.bits) - 1)).astype(np.uint8)
        np.testing.assert_array_equal(convert(given, name, target).view(np.uint8), low_bits, err_msg=wide)
    limits = ml_dtypes.iinfo(dtype.numpy)
    x = np.asarray([np.nan, np.inf, -np.inf, 300, -300, -0.9, 0.9], np.float32)
    expected = [0, limits.max, limits.min, limits.max, limits.min, 0, 0]
    np.testing.assert_array_equal(convert(x, name, target).astype(np.int64), expected)
