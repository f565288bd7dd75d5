"""Integer arithmetic that never traps, remainders, shifts, powers and saturation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lang.harness import apply
from sardonyx import dtypes
from sardonyx.targets import BASELINE, Target

Array = npt.NDArray[Any]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TARGETS = (None, BASELINE)
NAMES = ["native", "baseline"]


def operands(dtype: str) -> tuple[Array, Array]:
    """Random pairs and all pairs of the numbers where things go wrong."""
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    edge = [0, 1, 2, 7, limits.max, limits.max - 1, limits.min, limits.min + 1, *([-1, -7] if limits.min else [])]
    x, y = (a.ravel() for a in np.meshgrid(np.asarray(edge, dtype), np.asarray(edge, dtype)))
    wide = rng.integers(limits.min, limits.max, 500, dtype, True)
    return np.concatenate([x, wide, wide]), np.concatenate([y, rng.permutation(wide), rng.integers(1, 9, 500, dtype)])


def wrapped(numbers: list[int], dtype: str) -> Array:
    bits = np.dtype(dtype).itemsize * 8
    return np.asarray([n % 2**bits for n in numbers], f"uint{bits}").view(dtype)


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else 0


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_division(dtype: str, target: Target | None) -> None:
    x, y = operands(dtype)
    pairs = list(zip(x.tolist(), y.tolist(), strict=True))
    expected = wrapped([quotient(a, b) for a, b in pairs], dtype)
    np.testing.assert_array_equal(apply(lambda a, b: a.b.safe_div(a, b), x, y, target=target), expected)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(apply(lambda a, b: a.b.safe_rem(a, b), x, y, target=target), np.fmod(x, y))
        np.testing.assert_array_equal(apply(lambda a, b: a.b.floor_mod(a, b), x, y, target=target), np.mod(x, y))


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_remainder_of_floats(dtype: str, target: Target | None) -> None:
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    special = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, limits.max, limits.tiny, 3 * limits.smallest_subnormal]
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    reach = 37 if dtype == "float32" else 300
    spread = [rng.standard_normal(400) * 10.0 ** rng.integers(-reach, reach, 400) for _ in range(2)]
    near = rng.standard_normal(400) * 100, rng.standard_normal(400)
    x, y = (np.concatenate(parts).astype(dtype) for parts in zip((x, y), spread, near, strict=True))
    with np.errstate(all="ignore"):
        for name, reference in (("fmod", np.fmod), ("floor_mod", np.mod)):
            got = apply(lambda a, b, name=name: getattr(a.b, name)(a, b), x, y, target=target)
            expected = reference(x, y)
            np.testing.assert_array_equal(got, expected, err_msg=name)
            zeros = (got == 0) & (expected == 0)
            np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(expected[zeros]), err_msg=name)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts(dtype: str) -> None:
    bits, limits = np.dtype(dtype).itemsize * 8, np.iinfo(dtype)
    counts = [0, 1, bits - 1, bits, bits + 1, limits.max, *([-1, limits.min] if limits.min else [])]
    numbers = [limits.min, limits.max, 1, 77]
    x, n = (a.ravel() for a in np.meshgrid(np.asarray(numbers, dtype), np.asarray(counts, dtype)))
    pairs = list(zip(x.tolist(), n.tolist(), strict=True))
    left = wrapped([a << k if 0 <= k < bits else 0 for a, k in pairs], dtype)
    right = wrapped([a >> k if 0 <= k < bits else -(a < 0) for a, k in pairs], dtype)
    np.testing.assert_array_equal(apply(lambda a, k: a.b.shift_left(a, k), x, n), left)
    np.testing.assert_array_equal(apply(lambda a, k: a.b.shift_right(a, k), x, n), right)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_power(dtype: str) -> None:
    limits = np.iinfo(dtype)
    bases = [0, 1, 2, 3, 10, limits.max, limits.min, *([-1, -2] if limits.min else [])]
    exponents = [0, 1, 2, 5, 31, 100, *([-1, -2] if limits.min else [])]
    x, n = (a.ravel() for a in np.meshgrid(np.asarray(bases, dtype), np.asarray(exponents, dtype)))

    def power(base: int, exponent: int) -> int:
        if exponent >= 0:
            return base**exponent
        return {1: 1, -1: -1 if exponent % 2 else 1}.get(base, 0)

    expected = wrapped([power(a, k) for a, k in zip(x.tolist(), n.tolist(), strict=True)], dtype)
    np.testing.assert_array_equal(apply(lambda a, k: a.b.integer_pow(a, k), x, n), expected)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("narrow", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("source", ["int32", "int64", "uint32", "float32", "int8", "uint8"])
def test_saturation(source: str, narrow: str, target: Target | None) -> None:
    limits, result = np.iinfo(narrow), dtypes.from_name(narrow)
    if source == "float32":
        x = np.asarray([0, 1, -1, 127, 128, -128, -129, 255, 256, 65535, 65536, 1e30, -1e30, np.inf, -np.inf], source)
    else:
        own = np.iinfo(source)
        edges = {0, 1, 127, 128, 255, 256, 32767, 65535, own.max, own.min, -1, -128, -129, -32769}
        x = np.asarray(sorted(e for e in edges if own.min <= e <= own.max), source)
    expected = [limits.max if v > limits.max else limits.min if v < limits.min else int(v) for v in x.tolist()]
    got = apply(lambda v: v.b.saturate(v, result), x, result=result, target=target)
    np.testing.assert_array_equal(got, np.asarray(expected, narrow))
    if source == "float32":
        assert apply(lambda v: v.b.saturate(v, result), np.asarray([np.nan], source), result=result)[0] == 0
