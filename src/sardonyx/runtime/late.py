"""A part of a program that is compiled when the ranks of its inputs are known; see ``compiler.late``."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sardonyx.runtime.pool import SERIAL
from sardonyx.runtime.program import ControlStep, Observer, Program, Stop, Team

__all__ = ["Form", "LateStep"]

Form: TypeAlias = "tuple[int, int | None]"
"""What a part is compiled for: an input's rank and, where it is counted, its last size."""

_KEPT = 16


class LateStep(ControlStep):
    """Runs the program of the model in ``recipe`` for the ranks of its inputs and the last sizes of those ``counted``.

    ``with_forms`` tells a recipe both, ``opener`` makes a program of the result; programs are kept, as ``bodies``, for
    the combinations that came last.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        recipe: bytes,
        with_forms: Callable[[bytes, tuple[Form, ...]], bytes],
        counted: Sequence[str] = (),
    ) -> None:
        super().__init__(name, "Late", inputs, outputs, (), {})
        self.recipe = recipe
        self.counted = tuple(counted)
        self.opener: Callable[[bytes], Program] | None = None
        self._with_forms = with_forms
        self._programs: OrderedDict[tuple[Form, ...], Program] = OrderedDict()
        self._lock = threading.Lock()
        self._team: Team = SERIAL

    def load(self, team: Team, memory_limit: int, key: str = "", after_each: Callable[[], None] | None = None) -> None:
        """Notes what programs are to be loaded with."""
        self._team, self.memory_limit = team, memory_limit

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        arrays = [np.asarray(value) for value in values]
        return self._program(tuple(map(self._form, self.inputs, arrays))).run(arrays, observer, stop)

    def _form(self, name: str, array: npt.NDArray[Any]) -> Form:
        return array.ndim, array.shape[-1] if name in self.counted and array.ndim else None

    def _program(self, forms: tuple[Form, ...]) -> Program:
        with self._lock:
            program = self._programs.get(forms)
            if program is None:
                if self.opener is None:
                    raise AssertionError("nobody said how parts that wait for ranks are compiled")
                program = self.opener(self._with_forms(self.recipe, forms))
                program.load(self._team, self.memory_limit)
                self._programs[forms] = program
                while len(self._programs) > _KEPT:
                    self._programs.popitem(last=False)
                self.bodies = tuple(self._programs.values())
        return program
