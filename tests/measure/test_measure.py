"""Measuring: percentiles, turns, and a peak that is physically sensible."""

from __future__ import annotations

import os

import numpy as np

from sardonyx.measure import Timing, fp32_peak, take_turns


def test_percentiles_are_nearest_rank() -> None:
    timing = Timing([[float(i) for i in range(100, 50, -1)], [float(i) for i in range(1, 51)]])
    assert timing.percentile(50) == 50
    assert timing.percentile(90) == 90
    assert timing.percentile(99) == 99
    assert timing.percentile(100) == 100
    assert timing.median == 50.5
    assert timing.mean == 50.5


def test_percentile_of_one_sample() -> None:
    assert Timing([[3.0]]).percentile(1) == 3.0


def test_ratio_is_the_median_over_rounds() -> None:
    mine, theirs = Timing([[1.0], [9.0], [1.5]]), Timing([[2.0], [2.0], [2.0]])
    assert mine.ratio(theirs) == 0.75


def test_engines_take_turns_in_alternating_order() -> None:
    calls: list[str] = []
    engines = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seen: list[int] = []
    timings = take_turns(engines, rounds=3, seconds=0, least_runs=2, on_round=seen.append)
    assert "".join(calls) == "aaabbb" + "bbbaaa" + "aaabbb"  # each turn: one run that is not counted, two that are
    assert [len(samples) for samples in timings["a"].rounds] == [2, 2, 2]
    assert seen == [1, 2, 3]


def test_peak_is_at_least_what_numpy_reaches_with_all_cores() -> None:
    a = np.ones((512, 512), np.float32)
    turns = take_turns({"numpy": lambda: a @ a}, rounds=2, seconds=0.1)["numpy"]
    assert fp32_peak(len(os.sched_getaffinity(0))) > 0.5 * 2 * 512**3 / turns.median
