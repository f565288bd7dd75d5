"""A part of a program that is compiled when the ranks of its inputs are known; see ``compiler.late``."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sardonyx.runtime.pool import SERIAL
from sardonyx.runtime.program import ControlStep, Observer, Program, Stop, Team

__all__ = ["LateStep"]

_KEPT = 16


class LateStep(ControlStep):
    """Runs the program of the model in ``recipe`` for the ranks of its inputs.

    ``with_ranks`` tells a recipe the ranks, ``opener`` makes a program of the result; programs are kept, as ``bodies``,
    for the combinations of ranks that came last.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        recipe: bytes,
        with_ranks: Callable[[bytes, tuple[int, ...]], bytes],
    ) -> None:
        super().__init__(name, "Late", inputs, outputs, (), {})
        self.recipe = recipe
        self.opener: Callable[[bytes], Program] | None = None
        self._with_ranks = with_ranks
        self._programs: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        self._lock = threading.Lock()
        self._team: Team = SERIAL

    def load(self, team: Team, memory_limit: int, key: str = "", after_each: Callable[[], None] | None = None) -> None:
        """Notes what programs are to be loaded with."""
        self._team, self.memory_limit = team, memory_limit

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        arrays = [np.asarray(value) for value in values]
        return self._program(tuple(array.ndim for array in arrays)).run(arrays, observer, stop)

    def _program(self, ranks: tuple[int, ...]) -> Program:
        with self._lock:
            program = self._programs.get(ranks)
            if program is None:
                if self.opener is None:
                    raise AssertionError("nobody said how parts that wait for ranks are compiled")
                program = self.opener(self._with_ranks(self.recipe, ranks))
                program.load(self._team, self.memory_limit)
                self._programs[ranks] = program
                while len(self._programs) > _KEPT:
                    self._programs.popitem(last=False)
                self.bodies = tuple(self._programs.values())
        return program
