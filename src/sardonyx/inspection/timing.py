"""Seconds per kernel call of a program."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sardonyx.inspection.records import KernelTime
from sardonyx.runtime.program import NativeStep, Program, Step

__all__ = ["profile"]

NANOSECOND = 1e-9
RUNS = 10


def profile(program: Program, feeds: Mapping[str, Any], runs: int = RUNS) -> list[KernelTime]:
    """The median over ``runs`` runs of the time of every kernel call and Python step, in the order of the program."""
    values = [feeds.get(spec.name) for spec in program.inputs]
    program.run(values)
    tally = _Tally()
    for _ in range(runs):
        program.run(values, tally)
    return [
        KernelTime(index, kernel, nodes, statistics.median(seconds))
        for index, ((_, _, kernel, nodes), seconds) in enumerate(sorted(tally.seconds.items()))
    ]


class _Tally:
    """Runs the steps in the program's stead and keeps their times; see ``runtime.program.Observer``."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[int, int, str, str], list[float]] = defaultdict(list)
        self._places: dict[int, int] = {}

    def run_step(self, step: Step, values: list[Any]) -> Sequence[Any]:
        place = self._places.setdefault(id(step), len(self._places))
        if not isinstance(step, NativeStep):
            start = time.perf_counter()
            results: Sequence[Any] = step.run(values)
            self.seconds[place, 0, f"python {step.kernel}", step.name].append(time.perf_counter() - start)
            return results
        calls = step.region.calls
        notes = np.zeros((len(calls), 2), np.int64)
        results = step.run(values, notes)
        for number, (call, (begin, end)) in enumerate(zip(calls, notes.tolist(), strict=True)):
            key = (place, number, call.kernel, ", ".join(call.nodes))
            self.seconds[key].append((end - begin) * NANOSECOND)
        return results
