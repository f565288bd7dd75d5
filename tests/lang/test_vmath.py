"""Accuracy of vector mathematics against higher precision, special values and the whole range included."""

from __future__ import annotations

import re
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from lang.harness import apply, ulps
from sardonyx.lang import vmath
from sardonyx.targets import AVX2, BASELINE, Target

Array = npt.NDArray[Any]
TARGETS = (None, AVX2, BASELINE)
COUNT = 20_000


def erf(x: Array) -> Array:
    """The error function to 40 digits, at some of the places (the others get NaN)."""
    mpmath.mp.dps = 40
    result = np.full(x.shape, np.nan, np.longdouble)
    for k in np.flatnonzero(~np.isnan(x))[:: max(1, x.size // 3000)]:
        result[k] = np.longdouble(mpmath.nstr(mpmath.erf(float(x[k])), 30))
    return result


REFERENCES = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": erf,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))),
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "tan": np.tan,
    "tanh": np.tanh,
}


def bound(name: str, dtype: str) -> float:
    """The error that the docstring of a function states."""
    text = getattr(vmath, name).__doc__
    both = re.search(r"Error: ([\d.]+) ulp in float32 and float64", text)
    each = re.search(r"Error: ([\d.]+) ulp in float32, ([\d.]+) ulp in float64", text)
    assert both or each, f"the docstring of {name} states no error"
    if both:
        return float(both.group(1))
    return float(each.group(1 if dtype == "float32" else 2))  # type: ignore[union-attr]


def samples(dtype: str) -> Array:
    """Random bits, the ranges where functions turn, and special values."""
    rng = np.random.default_rng(7)
    limits = np.finfo(dtype)
    special = [0, np.inf, np.nan, limits.max, limits.tiny, limits.smallest_subnormal, 1, 0.5, 2, 88.7, 89, 103.9, 104.5]
    special += [709.78, 710, 745, 746, 128, 149, 150, 1024, 1074, 1075, 0.65, 4, 6]
    turns = np.concatenate([np.arange(1, 2000), 2.0 ** np.arange(-120, 127)]) * (np.pi / 2)
    bits = rng.integers(0, 2**limits.bits, 3 * COUNT, dtype=f"u{limits.bits // 8}")
    parts = [bits.view(dtype), special, np.negative(special), turns, 1 + rng.standard_normal(COUNT) * 1e-3]
    parts += [rng.standard_normal(COUNT) * size for size in (0.01, 0.3, 1, 3, 10, 100, 700, 1e4, 1e7)]
    parts += [rng.uniform(-1, 1, COUNT), np.nextafter(np.asarray(special, dtype), 0)]
    with np.errstate(over="ignore"):
        return np.concatenate([np.asarray(p).astype(dtype) for p in parts])


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name if t else "native")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in vmath.__all__ if name in REFERENCES])
def test_error(name: str, dtype: str, target: Target | None) -> None:
    x = samples(dtype)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if dtype == "float32" and name != "erf" else np.longdouble)
        expected = np.asarray(REFERENCES[name](wide)).astype(np.longdouble)
        got = apply(getattr(vmath, name), x, target=target)
        checked = ~np.isnan(expected) if name == "erf" else np.ones(x.shape, bool)
        errors = ulps(got[checked], expected[checked])
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound(name, dtype), f"{name}({x[checked][worst]!r}) = {got[checked][worst]!r}"


def test_every_function_is_tested() -> None:
    assert set(vmath.__all__) == {*REFERENCES, "pow", "gelu", "gelu_tanh"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name if t else "native")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pow(dtype: str, target: Target | None) -> None:
    rng = np.random.default_rng(3)
    limits = np.finfo(dtype)
    special = [0, 1, 0.5, 2, 3, 2.5, 1e10, 2**24 + 1, np.inf, limits.max, limits.tiny, limits.smallest_subnormal]
    special += [-s for s in special] + [np.nan, 1 + limits.eps, 1 - limits.epsneg]
    pairs = np.asarray([(x, y) for x in special for y in special]).T
    reach = 80 if dtype == "float32" else 700
    wide = np.exp(rng.uniform(-reach, reach, COUNT)), rng.standard_normal(COUNT) * np.exp(rng.uniform(-10, 5, COUNT))
    close = 1 + rng.standard_normal(COUNT) * 10 ** rng.uniform(-6, -1, COUNT), rng.standard_normal(COUNT) * 1e5
    whole = rng.uniform(-10, 10, COUNT), rng.integers(-30, 30, COUNT)
    x, y = (np.concatenate([p[k] for p in (pairs, wide, close, whole)]).astype(dtype) for k in (0, 1))
    with np.errstate(all="ignore"):
        precise = np.float64 if dtype == "float32" else np.longdouble
        expected = np.power(x.astype(precise), y.astype(precise)).astype(np.longdouble)
        errors = ulps(apply(vmath.pow, x, y, target=target), expected)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound("pow", dtype), (x[worst], y[worst])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu(dtype: str) -> None:
    x = np.linspace(-12, 12, 4001).astype(dtype)
    wide = x.astype(np.float64)
    exact = wide / 2 * (1 + np.asarray([mpmath.erf(v / np.sqrt(2)) for v in wide], np.float64))
    by_tanh = wide / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(apply(vmath.gelu, x), exact, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(apply(vmath.gelu_tanh, x), by_tanh, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("lanes", [1, 2, 4, 32])
@pytest.mark.parametrize("name", ["exp", "sin", "log", "erf"])
def test_any_number_of_lanes(name: str, lanes: int) -> None:
    x = np.random.default_rng(0).standard_normal(101).astype(np.float32) * 1e6
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(apply(getattr(vmath, name), x, lanes=lanes), apply(getattr(vmath, name), x))
