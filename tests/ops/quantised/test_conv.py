"""Convolutions of integers against their definition, which float64 computes exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.quantised.test_matmul import KINDS, numbers
from ops.run_record import run_record
from ops.targets import TARGETS
from ops.test_conv import case, oracle
from sardonyx.ops.quantised.conv import ConvInteger, QLinearConv
from sardonyx.targets import Target

Array = npt.NDArray[Any]
GROUPS = [(1, 1), (1, 2), (2, 2), (4, 4), (8, 8), (3, 5), (6, 2), (16, 16), (20, 24)]


def integers(given: dict[str, Any], kinds: tuple[str, str], seed: int) -> tuple[Array, Array]:
    return numbers(kinds[0], given["x"].shape, seed), numbers(kinds[1], given["w"].shape, seed + 1)


def wanted(given: dict[str, Any], x: Array, w: Array, x_zero: Array, w_zero: Array) -> Array:
    options = given["options"]
    by_channel = w_zero.astype(np.float64).reshape(-1, *[1] * (w.ndim - 1))
    sums = oracle(
        x.astype(np.float64) - float(x_zero), w - by_channel, None, options["strides"], options["pads"],
        options["dilations"], options["group"],
    )  # fmt: skip
    return sums.astype(np.int64).astype(np.int32)


def check(given: dict[str, Any], place: int, **how: Any) -> None:
    """One convolution: all kinds of elements, weights known or not, their zero point one that bytes can hold or not."""
    kinds = KINDS[place % 4]
    x, w = integers(given, kinds, place)
    neutral = np.array(128 if kinds[1] == "uint8" else 0, kinds[1])
    w_zero = neutral if place // 4 % 2 else numbers(kinds[1], (w.shape[0],), place + 3)
    x_zero = np.array(numbers(kinds[0], (), place + 2))
    how.setdefault("constant", [[1, 2, 3], [], [2, 3], [1, 3]][place // 8 % 4])
    got = run_record(ConvInteger(**given["options"]), [x, w, x_zero, w_zero], **how)
    np.testing.assert_array_equal(got, wanted(given, x, w, x_zero, w_zero))


@pytest.mark.parametrize("place", range(32))
def test_random_2d(place: int) -> None:
    check(case(place, 2, wide=place % 3 == 0), place)


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("rank", [1, 3])
def test_random_other_ranks(rank: int, place: int) -> None:
    check(case(place, rank), place, constant=[1, 2, 3])


@pytest.mark.parametrize("target", TARGETS[:-1], ids=lambda t: t.name)
@pytest.mark.parametrize("place", range(4))
def test_every_target(target: Target, place: int) -> None:
    check(case(place + 40, 2), place + 4 * (place % 2), target=target, constant=[1, 2, 3])


@pytest.mark.parametrize(("channels", "results"), GROUPS)
@pytest.mark.parametrize("seed", range(3))
def test_groups(channels: int, results: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    given = case(seed, 1 + seed % 3)
    group = int(random.integers(2, 40))
    x, w = given["x"], given["w"]
    given["x"] = np.zeros((x.shape[0], channels * group, *x.shape[2:]))
    given["w"] = np.zeros((results * group, channels, *w.shape[2:]))
    given["options"]["group"] = group
    check(given, seed + channels, constant=[1, 2, 3] if seed else [])


def test_results_do_not_depend_on_tasks_and_sizes_may_be_symbolic() -> None:
    given = case(5, 2, wide=True)
    x, w = integers(given, KINDS[1], 5)
    zeros = [np.array(7, np.int8), np.array(0, np.int8)]
    expected = wanted(given, x, w, *zeros)
    for how in ({"splits": 3}, {"symbolic": [(0, 0), (0, 2), (0, 3)]}, {"symbolic": [(0, 2)], "splits": 2}):
        got = run_record(ConvInteger(**given["options"]), [x, w, *zeros], constant=[1, 2, 3], **how)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("place", range(12))
def test_requantised(place: int) -> None:
    """With a bias; scales by channel or single, known or not; a residual that rides along does not disturb."""
    random, kinds = np.random.default_rng(place), KINDS[place % 4]
    given = case(place, 2)
    if place % 3 == 0:
        given["x"], given["w"] = np.zeros((1, 24, 9, 8)), np.zeros((24, 1, 3, 3))
        given["options"] = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 24}
    x, w = integers(given, kinds, place)
    results = w.shape[0]
    w_scale = random.uniform(0.001, 0.02, results if place % 2 else ()).astype(np.float32)
    x_scale, y_scale = np.array(0.013, np.float32), np.array(0.7, np.float32)
    zeros = [np.array(120, kinds[0]), np.array(128 if kinds[1] == "uint8" else 0, kinds[1]), np.array(3, "int8")]
    bias = random.integers(-9000, 9000, results).astype(np.int32) if place % 4 else None
    inputs = [x, x_scale, zeros[0], w, w_scale, zeros[1], y_scale, zeros[2], bias]
    got = run_record(QLinearConv(**given["options"]), inputs, constant=range(1, 9) if place < 8 else [])
    sums = wanted(given, x, w, zeros[0], zeros[1]) + (0 if bias is None else bias.reshape(-1, 1, 1))
    scale = (x_scale * w_scale / y_scale).reshape(-1, 1, 1)
    expected = np.clip(np.rint(sums.astype(np.float32) * scale) + 3, -128, 127).astype(np.int8)
    np.testing.assert_array_equal(got, expected)
