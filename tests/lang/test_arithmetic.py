"""Arithmetic, comparison and selection of the kernel language against numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lang.harness import apply
from sardonyx import dtypes
from sardonyx.lang import Value
from sardonyx.targets import BASELINE, Target

Array = npt.NDArray[Any]
FLOATS = ["float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-41, 2.5, -2.5, 1e20]


def operands(dtype: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    if np.dtype(dtype).kind == "f":
        x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
        return x.astype(dtype), y.astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, 99, dtype, True), rng.integers(limits.min, limits.max, 99, dtype, True)


def same(got: Array, expected: Array) -> None:
    """Equal numbers, and equal signs of zeros."""
    np.testing.assert_array_equal(got, expected)
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_basic(op: str, dtype: str) -> None:
    x, y = operands(dtype)
    reference = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[op]
    same(apply(lambda a, b: getattr(a.b, op)(a, b), x, y), reference(x, y))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
def test_float_division(dtype: str) -> None:
    x, y = operands(dtype)
    same(apply(lambda a, b: a / b, x, y), x / y)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division(dtype: str) -> None:
    """One lane at a time: the masked lanes of a tail would divide by zero."""
    x, y = operands(dtype)
    y = np.where((y == 0) | (y == y.dtype.type(-1) if y.dtype.kind == "i" else y == 0), y.dtype.type(3), y)
    remainder = np.fmod(x, y)
    same(apply(lambda a, b: a.b.rem(a, b), x, y, lanes=1), remainder)
    same(apply(lambda a, b: a / b, x, y, lanes=1), (x - remainder) // y)
    with np.errstate(over="ignore"):
        x, y = np.maximum(x, 0), np.maximum(np.abs(y), 1)
    same(apply(lambda a, b: a // b, x, y, lanes=1), x // y)
    same(apply(lambda a, b: a % b, x, y, lanes=1), x % y)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits(dtype: str) -> None:
    x, y = operands(dtype)
    count = np.abs(y % x.dtype.type(x.dtype.itemsize * 8)).astype(dtype)
    same(apply(lambda a, b: a & b, x, y), x & y)
    same(apply(lambda a, b: a | b, x, y), x | y)
    same(apply(lambda a, b: a ^ b, x, y), x ^ y)
    same(apply(lambda a: ~a, x), ~x)
    same(apply(lambda a, b: a << b, x, count), x << count)
    same(apply(lambda a, b: a >> b, x, count), x >> count)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_unary(dtype: str) -> None:
    x, _ = operands(dtype)
    same(apply(lambda a: -a, x), -x)
    same(apply(lambda a: a.b.abs(a), x), np.abs(x))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
def test_comparison(op: str, dtype: str) -> None:
    x, y = operands(dtype)
    reference = {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
        "!=": np.not_equal,
    }[op]
    got = apply(lambda a, b: a.b.compare(op, a, b), x, y, result=dtypes.bool_)
    np.testing.assert_array_equal(got, reference(x, y))
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(apply(lambda a: a.b.is_nan(a), x, result=dtypes.bool_), np.isnan(x))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("op", ["minimum", "maximum"])
def test_extrema(op: str, dtype: str) -> None:
    """NaN wins, on whichever side it stands, and against a constant on either side."""
    x, y = operands(dtype)
    reference: Callable[..., Array] = getattr(np, op)
    two = x.dtype.type(2)
    np.testing.assert_array_equal(apply(lambda a, b: getattr(a.b, op)(a, b), x, y), reference(x, y))
    np.testing.assert_array_equal(apply(lambda a: getattr(a.b, op)(a, 2), x), reference(x, two))
    np.testing.assert_array_equal(apply(lambda a: getattr(a.b, op)(2, a), x), reference(x, two))
    np.testing.assert_array_equal(apply(lambda a: getattr(a.b, op)(a, a.b.const(2, a.type)), x), reference(x, two))


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "uint8", "bool"])
def test_select(dtype: str) -> None:
    rng = np.random.default_rng(1)
    condition = rng.random(37) < 0.5
    x, y = rng.integers(0, 2, 37).astype(dtype), rng.integers(0, 2, 37).astype(dtype)
    result = dtypes.from_name(dtype)
    got = apply(lambda c, a, b: a.b.select(c, a, b), condition, x, y, result=result)
    np.testing.assert_array_equal(got, np.where(condition, x, y))
    got = apply(lambda c, a: a.b.select(c, a, 1), condition, x, result=result)
    np.testing.assert_array_equal(got, np.where(condition, x, np.asarray(1, dtype)))
    got = apply(lambda c: c.b.not_(c), condition, result=dtypes.bool_)
    np.testing.assert_array_equal(got, ~condition)


@pytest.mark.parametrize("target", [None, BASELINE], ids=["native", "baseline"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("op", "reference"), [("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("round_even", np.round)]
)
def test_rounding(op: str, reference: Callable[..., Array], dtype: str, target: Target | None) -> None:
    limit = 2.0**23 if dtype == "float32" else 2.0**52
    near = np.asarray([limit, limit - 0.5, limit + 1, -limit, 0.5 - 2**-25, 0.49999999999999994])
    x = np.concatenate([np.arange(-9, 9, 0.25), SPECIAL, near, -near]).astype(dtype)
    same(apply(lambda a: getattr(a.b, op)(a), x, target=target), reference(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_fma_and_roots(dtype: str) -> None:
    rng = np.random.default_rng(4)
    x, y, z = (rng.standard_normal(101).astype(dtype) for _ in range(3))
    wide = np.longdouble if dtype == "float64" else np.float64
    expected = (x.astype(wide) * y.astype(wide) + z.astype(wide)).astype(dtype)
    tolerance = {"rtol": 1e-12 if dtype == "float64" else 1e-4}
    np.testing.assert_allclose(apply(lambda a, b, c: a.b.fma(a, b, c), x, y, z), expected, **tolerance)
    np.testing.assert_allclose(apply(lambda a, b, c: a.b.fma(a, b, c), x, y, z, target=BASELINE), expected, **tolerance)
    same(apply(lambda a: a.b.sqrt(a), np.abs(x)), np.sqrt(np.abs(x)))
    same(apply(lambda a, b: a.b.copysign(a, b), x, y), np.copysign(x, y))


def test_bitcast() -> None:
    x = np.random.default_rng(0).standard_normal(17).astype(np.float32)
    np.testing.assert_array_equal(
        apply(lambda a: a.b.bitcast(a, dtypes.int32), x, result=dtypes.int32), x.view(np.int32)
    )


def test_constants_are_known() -> None:
    seen: list[Any] = []

    def body(x: Value) -> Value:
        b = x.b
        two = b.const(2.5, x.type.scalar)
        seen.extend([b.constant_of(two), b.constant_of(b.splat(two, 8)), b.constant_of(x)])
        return x + b.zero(x.type)

    apply(body, np.ones(3, np.float32), lanes=8)
    assert seen[:3] == [2.5, 2.5, None]


def test_values_have_no_truth_and_match_strictly() -> None:
    def truth(x: Value) -> Value:
        return x if x > 0 else -x

    def mixed(x: Value, y: Value) -> Value:
        return x + y

    with pytest.raises(TypeError, match="no truth"):
        apply(truth, np.ones(3, np.float32))
    with pytest.raises(TypeError, match="expected float32"):
        apply(mixed, np.ones(3, np.float32), np.ones(3, np.int32))
    with pytest.raises(TypeError, match="no such operation"):
        apply(lambda x: x << 1, np.ones(3, np.float32))
