"""Where the time of a run goes, as a Chrome trace (chrome://tracing, Perfetto).

Every step is one event. A native step whose region was compiled with profiling hooks (``Region.profiled``) adds one
event per kernel call: its ``run`` gets an int64 array with two words per entry of ``Region.calls`` and writes
``sardonyx_now()`` into word ``2 * call`` before the call and into word ``2 * call + 1`` after it; a call that is
skipped leaves its words at zero. A region without hooks gets a null pointer, as does every run without a profiler.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sardonyx.runtime.native import NativeStep
from sardonyx.runtime.program import ControlStep, Step, Stop

__all__ = ["Profiler"]

_MAX_EVENTS = 1_000_000  # a session that is profiled for days must not fill the memory


class Profiler:
    """Takes notes of steps and kernel calls, from several threads at once; ``write`` puts them into a file."""

    def __init__(self) -> None:
        self.start_ns = time.perf_counter_ns()
        self.events: list[dict[str, Any]] = []
        self._process = os.getpid()

    def run_step(self, step: Step, values: list[Any], stop: Stop | None = None) -> Sequence[Any]:
        """Runs one step and notes its time, that of its kernels where it is compiled for it, and that of the steps
        inside of it."""
        start = time.perf_counter_ns()
        if isinstance(step, NativeStep):
            calls = step.region.calls
            notes = step.notes()
            results: Sequence[Any] = step.run(values, notes) if stop is None else step.run_until(values, stop, notes)
            self.note(step.region.name, "NativeStep", start, time.perf_counter_ns())
            for call, (begin, end) in zip(calls, notes[:-1].reshape(-1, 2).tolist(), strict=True):
                if end:
                    self.note(", ".join(call.nodes) or call.kernel, "Node", begin, end, kernel=call.kernel)
            return results
        results = step.run(values, self, stop) if isinstance(step, ControlStep) else step.run(values)
        self.note(step.name, type(step).__name__, start, time.perf_counter_ns(), kernel=step.kernel)
        return results

    def note(self, name: str, category: str, start: int, end: int, **arguments: Any) -> None:
        """Adds an event; ``start`` and ``end`` are those of ``time.perf_counter_ns``."""
        if len(self.events) < _MAX_EVENTS:
            self.events.append(
                {
                    "cat": category,
                    "name": name,
                    "ph": "X",
                    "pid": self._process,
                    "tid": threading.get_native_id(),
                    "ts": (start - self.start_ns) / 1000,
                    "dur": (end - start) / 1000,
                    "args": arguments,
                }
            )

    def write(self, prefix: str) -> str:
        """Writes the events to ``<prefix>_<date>.json`` and gives the file's name."""
        stem = f"{prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        for number in range(1000):
            path = Path(f"{stem}.json" if number == 0 else f"{stem}_{number}.json")
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write("[\n" + ",\n".join(map(json.dumps, self.events)) + "\n]\n")
                return str(path)
            except FileExistsError:
                continue
        raise FileExistsError(f"{stem}.json and a thousand files beside it exist already")
