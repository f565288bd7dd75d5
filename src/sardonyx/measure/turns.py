"""Engines in turns: A B C, C B A, ... so that a machine that slows down slows all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Timing", "take_turns"]

# Other engines' threads go on spinning for a while after a run; let them go to sleep before the next one's turn.
SETTLE_SECONDS = 0.05
MOST_RUNS = 20_000


@dataclass
class Timing:
    """The latencies of one engine, in seconds, one list a round."""

    rounds: list[list[float]] = field(default_factory=list)

    @property
    def samples(self) -> list[float]:
        """All latencies, shortest first."""
        return sorted(sample for samples in self.rounds for sample in samples)

    def percentile(self, percent: float) -> float:
        """The latency that ``percent`` of the runs do not exceed (nearest rank); 50 is the median."""
        samples = self.samples
        return samples[min(len(samples) - 1, max(0, math.ceil(percent / 100 * len(samples)) - 1))]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.samples)

    def ratio(self, other: Timing) -> float:
        """This engine's time over the other's: the median over rounds of the ratio of the rounds' medians."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(statistics.median(mine) / statistics.median(theirs) for mine, theirs in pairs)


def take_turns(
    engines: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    seconds: float = 0.5,
    least_runs: int = 3,
    on_round: Callable[[int], None] | None = None,
) -> dict[str, Timing]:
    """Calls each engine again and again for ``seconds`` (at least ``least_runs`` times), in ``rounds`` rounds.

    The order is reversed every round and each turn begins with a run that is not counted. ``on_round`` is told the
    number of rounds that are done.
    """
    timings = {name: Timing() for name in engines}
    for done in range(rounds):
        order = list(engines) if done % 2 == 0 else list(engines)[::-1]
        for name in order:
            time.sleep(SETTLE_SECONDS)
            timings[name].rounds.append(_turn(engines[name], seconds, least_runs))
        if on_round is not None:
            on_round(done + 1)
    return timings


def _turn(run: Callable[[], object], seconds: float, least_runs: int) -> list[float]:
    run()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < least_runs or (time.perf_counter() < end and len(samples) < MOST_RUNS):
        start = time.perf_counter()
        run()
        samples.append(time.perf_counter() - start)
    return samples
