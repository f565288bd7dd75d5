"""Integer matrix products against the definition in int64, on every target that runs here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import run_record
from ops.targets import TARGETS
from sardonyx.ops.quantised.matmul import MatMulInteger, QLinearMatMul
from sardonyx.targets import Target

Array = npt.NDArray[Any]

SHAPES = [
    ((7, 5), (5, 9)), ((40, 64), (64, 70)), ((5,), (5,)), ((5,), (5, 9)), ((7, 5), (5,)), ((2, 3, 4), (4, 40)),
    ((3, 40, 8), (3, 8, 50)), ((3, 1, 33, 9), (4, 9, 5)), ((5, 3), (2, 1, 3, 40)), ((1, 6), (1, 6, 4)),
    ((2, 0, 3), (3, 4)), ((2, 4, 0), (0, 3)), ((1, 768), (768, 33)), ((17, 4099), (4099, 20)), ((130, 66), (66, 300)),
]  # fmt: skip
KINDS = [("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8"), ("int8", "uint8")]


def numbers(dtype: str, shape: tuple[int, ...], seed: int) -> Array:
    """Integers of the whole range, the extremes often."""
    random, info = np.random.default_rng(seed), np.iinfo(dtype)
    values = random.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    return np.where(random.random(shape) < 0.2, random.choice([info.min, info.max], shape), values).astype(dtype)


def wanted(a: Array, b: Array, a_zero: Array | int = 0, b_zero: Array | int = 0) -> Array:
    exact = np.asarray((a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - b_zero))
    return exact.astype(np.int32)


def check(left: tuple[int, ...], right: tuple[int, ...], place: int, target: Target) -> None:
    """One product of a kind of elements, B constant or not, with zero points."""
    kinds = KINDS[place % 4]
    a, b = numbers(kinds[0], left, place), numbers(kinds[1], right, place + 9)
    zeros = [np.array(numbers(kind, (), place + 5)) for kind in kinds]
    constant = [1, 2, 3] if place // 4 % 2 else []
    got = run_record(MatMulInteger(), [a, b, *zeros], constant=constant, target=target)
    np.testing.assert_array_equal(got, wanted(a, b, *(z.astype(np.int64) for z in zeros)))


@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_every_shape(place: int) -> None:
    check(*SHAPES[place], place, TARGETS[-1])


@pytest.mark.parametrize("target", TARGETS[:-1], ids=lambda t: t.name)
@pytest.mark.parametrize("place", range(8))
def test_every_target(target: Target, place: int) -> None:
    check((21, 67), (67, 45), place, target)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("kind", ["constant", "zeros", "dynamic", "symbolic"])
def test_zero_points(kinds: tuple[str, str], kind: str) -> None:
    a, b = numbers(kinds[0], (2, 19, 39), 1), numbers(kinds[1], (39, 45), 2)
    rows, columns = numbers(kinds[0], (19,), 3), numbers(kinds[1], (45,), 4)
    options: dict[str, Any] = {}
    if kind == "symbolic":
        options["symbolic"] = [(0, 0), (0, 1), (0, 2), (1, 0)]
    else:
        options["constant"] = {"constant": [1, 2, 3], "zeros": [2, 3], "dynamic": []}[kind]
    one = np.array([77], kinds[0])
    got = run_record(MatMulInteger(), [a, b, one, columns], **options)
    np.testing.assert_array_equal(got, wanted(a, b, 77, columns.astype(np.int64)))
    np.testing.assert_array_equal(run_record(MatMulInteger(), [a, b, one, columns], splits=3, **options), got)
    if kind == "symbolic":
        options["symbolic"] = [(0, 2), (1, 0)]
    whole = wanted(a, b, rows.astype(np.int64)[:, None], columns.astype(np.int64))
    np.testing.assert_array_equal(run_record(MatMulInteger(), [a, b, rows, columns], **options), whole)
    got = run_record(MatMulInteger(), [a, b, rows.reshape(1, 19, 1), columns.reshape(1, 45)], **options)
    np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize("kinds", KINDS)
def test_batched_zero_points(kinds: tuple[str, str]) -> None:
    a, b = numbers(kinds[0], (3, 19, 40), 1), numbers(kinds[1], (3, 40, 21), 2)
    rows, columns = numbers(kinds[0], (3, 19, 1), 3), numbers(kinds[1], (3, 1, 21), 4)
    expected = wanted(a, b, rows.astype(np.int64), columns.astype(np.int64))
    for constant in ([], [1, 3], [1, 2, 3]):
        np.testing.assert_array_equal(run_record(MatMulInteger(), [a, b, rows, columns], constant=constant), expected)


def test_operands_of_any_strides() -> None:
    wide = numbers("uint8", (50, 60), 3)
    for a in (wide[:33, 5:45], wide.T[:33, 3:43], wide[::2, ::1][:, :40]):
        for b in (numbers("int8", (33, 40), 5).T, numbers("int8", (80, 66), 6)[::2, ::2]):
            np.testing.assert_array_equal(run_record(MatMulInteger(), [a, b]), wanted(a, b))


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("per_column", [True, False])
def test_requantised(kinds: tuple[str, str], constant: bool, per_column: bool) -> None:
    """saturate(round(sum * scale) + zero point), in float32 with halves to even."""
    random = np.random.default_rng(7)
    a, b = numbers(kinds[0], (23, 70), 1), numbers(kinds[1], (70, 37), 2)
    b_scale = random.uniform(0.001, 0.02, 37 if per_column else ()).astype(np.float32)
    b_zero = numbers(kinds[1], (37,) if per_column else (), 8)
    a_scale, y_scale = np.float32(0.013), np.float32(0.7)
    for out in ("uint8", "int8"):
        y_zero = np.array(3, out)
        inputs = [a, np.array(a_scale), np.array(120, kinds[0]), b, b_scale, b_zero, np.array(y_scale), y_zero]
        got = run_record(QLinearMatMul(), inputs, constant=range(1, 8) if constant else [])
        sums = wanted(a, b, 120, b_zero.astype(np.int64)).astype(np.float32)
        info = np.iinfo(out)
        expected = np.clip(np.rint(sums * (a_scale * b_scale / y_scale)) + 3, info.min, info.max).astype(out)
        np.testing.assert_array_equal(got, expected)
