"""Seconds per kernel call of a program."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sardonyx.inspection.records import KernelTime
from sardonyx.runtime.program import ControlStep, NativeStep, Program, Step, Stop

__all__ = ["profile"]

NANOSECOND = 1e-9
RUNS = 10


def profile(program: Program, feeds: Mapping[str, Any], runs: int = RUNS) -> list[KernelTime]:
    """The median over ``runs`` runs of the time of every kernel call and Python step, in the order of the program.

    What a loop does several times counts as often.
    """
    values = [feeds.get(spec.name) for spec in program.inputs]
    program.run(values)
    tally = _Tally({id(step): place for place, step in enumerate(program.all_steps())})
    for number in range(runs):
        tally.run = number
        program.run(values, tally)
    return [
        KernelTime(index, kernel, nodes, statistics.median(seconds))
        for index, ((_, _, kernel, nodes), seconds) in enumerate(sorted(tally.seconds.items()))
    ]


class _Tally:
    """Runs the steps in the program's stead and keeps their times; see ``runtime.program.Observer``."""

    def __init__(self, places: dict[int, int]) -> None:
        self.run = 0
        self._places = places
        self._seconds: dict[tuple[int, int, str, str], dict[int, float]] = defaultdict(lambda: defaultdict(float))

    @property
    def seconds(self) -> dict[tuple[int, int, str, str], list[float]]:
        """By step, call, kernel and nodes: the seconds of each run that came by."""
        return {key: list(runs.values()) for key, runs in self._seconds.items()}

    def run_step(self, step: Step, values: list[Any], stop: Stop | None = None) -> Sequence[Any]:
        place = self._places.setdefault(id(step), len(self._places))  # steps of parts that were compiled late
        if isinstance(step, ControlStep):
            return step.run(values, self, stop)
        if not isinstance(step, NativeStep):
            start = time.perf_counter()
            results: Sequence[Any] = step.run(values)
            self._seconds[place, 0, f"python {step.kernel}", step.name][self.run] += time.perf_counter() - start
            return results
        calls = step.region.calls
        notes = step.notes()
        results = step.run(values, notes)
        for number, (call, (begin, end)) in enumerate(zip(calls, notes[:-1].reshape(-1, 2).tolist(), strict=True)):
            key = (place, number, call.kernel, ", ".join(call.nodes))
            self._seconds[key][self.run] += (end - begin) * NANOSECOND
        return results
