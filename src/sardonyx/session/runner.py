"""``run``: checked feeds through a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sardonyx.errors import ExecutionError, InvalidInputError
from sardonyx.options import RunOptions
from sardonyx.runtime.entry import open_door
from sardonyx.runtime.profiler import Profiler
from sardonyx.runtime.program import Program
from sardonyx.session.feeds import check_names, check_sizes, normalised

__all__ = ["Runner"]


class Runner:
    """Runs a program on feeds by name.

    ``fast`` is a native function that does what ``run`` does, in a fraction of a microsecond where a call is like the
    one before, and calls ``run`` where it is not; None where there can be none. It keeps the runner alive, not the
    other way round.
    """

    def __init__(self, program: Program, profiler: Profiler | None) -> None:
        self.program = program
        self.profiler = profiler
        self._names = [spec.name for spec in program.inputs]
        self._dtypes = [None if spec.dtype is None else spec.dtype.numpy for spec in program.inputs]
        self._output_names = [spec.name for spec in program.outputs]
        self._outputs = {name: position for position, name in enumerate(self._output_names)}
        step = program.only_step
        plain = profiler is None and not any(spec.overridable or spec.dtype is None for spec in program.inputs)
        self._door = open_door(step) if plain and step is not None else None

    @property
    def fast(self) -> Callable[..., list[Any]] | None:
        """Made at each access; a session asks once."""
        return None if self._door is None else self._door.function(self.run)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """See ``InferenceSession.run``."""
        if run_options is not None and run_options.terminate:
            raise ExecutionError("the run was told to end: RunOptions.terminate is set")
        values = [input_feed.get(name) for name in self._names]
        for value, dtype in zip(values, self._dtypes, strict=True):
            if type(value) is not np.ndarray or value.dtype is not dtype:
                values = self._checked(input_feed)
                break
        else:
            if len(input_feed) != len(values) or not self.program.checks_sizes:
                values = self._checked(input_feed)
        results = self._execute(values, run_options)
        if self._door is not None:
            self._door.follow(values)
        if output_names is None or output_names == self._output_names or len(output_names) == 0:
            return results
        try:
            return [results[self._outputs[name]] for name in output_names]
        except KeyError as error:
            raise InvalidInputError(f"unknown output {error}: the model's outputs are {self._output_names}") from None

    def _execute(self, values: list[Any], run_options: RunOptions | None) -> list[Any]:
        if self.profiler is None:
            return self.program.run(values, None, run_options)
        start = time.perf_counter_ns()
        results = self.program.run(values, self.profiler, run_options)
        self.profiler.note("model_run", "Session", start, time.perf_counter_ns())
        return results

    def _checked(self, feeds: Mapping[str, Any]) -> list[Any]:
        """The values in the program's order and form; every mistake in them is an error that names the input."""
        specs = self.program.inputs
        check_names(feeds, specs)
        values = [normalised(feeds.get(spec.name), spec) for spec in specs]
        for value, spec in zip(values, specs, strict=True):
            check_sizes(value, spec)
        return values
