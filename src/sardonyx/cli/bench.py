"""``sardonyx bench``: latency, throughput, share of the peak, beside other engines in turns."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer

from sardonyx.cli.feeds import Feeds
from sardonyx.cli.output import console, emit, operations_text, progress, seconds_text, table
from sardonyx.cli.sessions import open_session
from sardonyx.cli.source import FeedSource
from sardonyx.errors import ProviderError
from sardonyx.inspection import Inspection
from sardonyx.measure import Timing, fp32_peak, take_turns
from sardonyx.measure.engines import ENGINES, Engine, open_engine

__all__ = ["bench", "largest_difference"]

OURS = "sardonyx"
COLUMNS = ["engine", "threads", "p50", "p90", "p99", "runs/s", "GFLOP/s", "of peak", "time / ours", "difference"]


@dataclass(frozen=True)
class Row:
    """One engine at one number of threads."""

    engine: str
    threads: int
    timing: Timing
    work: float
    peak: float
    ratio: float
    difference: float

    @property
    def rate(self) -> float:
        """Floating-point operations per second at the median latency."""
        return self.work / self.timing.median

    def record(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "threads": self.threads,
            "runs": len(self.timing.samples),
            "seconds": {f"p{p}": self.timing.percentile(p) for p in (50, 90, 99)} | {"mean": self.timing.mean},
            "runs_per_second": 1 / self.timing.mean,
            "gflops": self.rate / 1e9,
            "share_of_peak": self.rate / self.peak,
            "time_over_sardonyx": self.ratio,
            "largest_difference": self.difference,
        }

    def cells(self) -> tuple[str, ...]:
        return (
            self.engine,
            str(self.threads),
            *(seconds_text(self.timing.percentile(p)) for p in (50, 90, 99)),
            f"{1 / self.timing.mean:.1f}",
            f"{self.rate / 1e9:.1f}" if self.work else "",
            f"{self.rate / self.peak:.0%}" if self.work else "",
            f"{self.ratio:.2f}",
            f"{self.difference:.1e}",
        )


def bench(
    model: Path, source: FeedSource, *, threads: str, engines: str, rounds: int, seconds: float, as_json: bool
) -> None:
    """Measures and prints one row per engine and number of threads."""
    names = _engine_names(engines)
    feeds = source.feeds(open_session(model, quiet=as_json))
    work = Inspection(model).work(feeds)
    rows = [
        row
        for count in _thread_counts(threads)
        for row in _measure(model, feeds, names, count, work, rounds, seconds, as_json)
    ]
    record = {
        "model": str(model),
        "inputs": {name: {"dtype": str(value.dtype), "shape": list(value.shape)} for name, value in feeds.items()},
        "floating_point_operations": work,
        "results": [row.record() for row in rows],
    }
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feeds.items())
    title = f"{model.name} with {shapes}; {operations_text(work)} a run"
    emit(record, as_json, table(title, COLUMNS, [row.cells() for row in rows]))


def _measure(
    model: Path, feeds: Feeds, names: Sequence[str], threads: int, work: float, rounds: int, seconds: float, quiet: bool
) -> list[Row]:
    peak = fp32_peak(threads)
    opened: dict[str, Engine] = {}
    results: dict[str, list[Any]] = {}
    for name in names:
        try:
            opened[name] = open_engine(name, model, threads=threads)
            results[name] = [np.array(value) for value in opened[name](feeds)]
        except Exception as error:  # another engine's failure is a line of the report, not the end of it
            if name == OURS:
                raise
            opened.pop(name, None)
            console(stderr=True).print(f"{name} cannot run this model: {' '.join(str(error).split())[:200]}")
    runs = {name: partial(run, feeds) for name, run in opened.items()}
    with progress(f"measuring at {threads} threads", rounds, quiet) as advance:
        timings = take_turns(runs, rounds=rounds, seconds=seconds, on_round=advance)
    return [
        Row(
            name,
            threads,
            timing,
            work,
            peak,
            timing.ratio(timings[OURS]),
            largest_difference(results[name], results[OURS]),
        )
        for name, timing in timings.items()
    ]


def largest_difference(got: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest ``|a - b| / max|b|`` over all outputs; for integers and strings the share that differs."""
    worst = 0.0
    for one, other in zip(got, expected, strict=True):
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape:
            return float("inf")
        if b.size == 0:
            continue
        if b.dtype.kind in "fc":
            apart = np.max(np.abs(a.astype(np.complex128) - b.astype(np.complex128)))
            worst = max(worst, float(apart / (1e-6 + np.max(np.abs(b)))))
        else:
            worst = max(worst, float(np.mean(a != b)))
    return worst


def _engine_names(text: str) -> list[str]:
    """Ours first; 'all' takes what is installed."""
    if text == "all":
        return [name for name in ENGINES if importlib.util.find_spec(name) is not None]
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ENGINES:
            raise ProviderError(f"no engine is called {name!r}; expected one of {', '.join(ENGINES)}")
    return [OURS, *(name for name in names if name != OURS)]


def _thread_counts(text: str) -> list[int]:
    available = len(os.sched_getaffinity(0))
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--threads {text}: expected numbers separated by commas, such as 1,2") from error
    if any(count < 1 for count in counts):
        raise typer.BadParameter(f"--threads {text}: a number of threads is at least 1")
    usable = [count for count in counts if count <= available]
    return usable or [available]
