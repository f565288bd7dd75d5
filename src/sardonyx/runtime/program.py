"""A Program: the steps of one inference over named values.

    inputs -> step -> step -> ... -> outputs

A native step is one call into compiled code (``runtime.native``); a host step computes one node of ours on Python
objects (strings, sequences, maps); a control step runs programs of its own (``runtime.control``); a Python step
computes one node that has none of these. A model whose every operator is lowered is one native step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeAlias

import numpy as np

from sardonyx.dtypes import DType
from sardonyx.errors import ExecutionError, SardonyxError
from sardonyx.runtime.native import STOPPED, NativeCode, NativeStep, Stop, Team
from sardonyx.runtime.region import Call, DimOf, ElementOf, InputSpec, OutputSpec, Region, Size, Slot, SymbolSource

__all__ = [
    "Call",
    "ControlStep",
    "DimOf",
    "ElementOf",
    "HostStep",
    "InputSpec",
    "NativeCode",
    "NativeStep",
    "Observer",
    "OutputSpec",
    "Program",
    "PythonStep",
    "Region",
    "Size",
    "Slot",
    "Step",
    "Stop",
    "SymbolSource",
    "Team",
    "ValueSpec",
    "check_stop",
]


@dataclass(frozen=True)
class ValueSpec:
    """An input or output of the model.

    ``shape`` holds sizes, names of symbolic sizes, or None for an unknown size; it is None for an unknown rank.
    ``type`` is ONNX Runtime's type string (``tensor(float)``, ``seq(tensor(int64))``); ``dtype`` is that of a tensor,
    None for other kinds. An ``overridable`` input has an initializer of its name as default and may be left out.
    """

    name: str
    type: str
    dtype: DType | None = None
    shape: tuple[int | str | None, ...] | None = None
    overridable: bool = False


@dataclass(frozen=True)
class HostStep:
    """One node computed by a Python function on numpy arrays, lists (sequences), dicts (maps) or None (optionals).

    The function is the operator record's own: what it works on is no memory that native code could hold.

    ``function`` takes the values of ``inputs`` (None for an empty name) and returns those of ``outputs``. ``name`` says
    which node it is, in errors and profiles. ``recipe`` is what the compiler needs to build ``function`` again from a
    cache entry. ``kernel`` is the name of the operator.
    """

    name: str
    kernel: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: Callable[[Sequence[Any]], Sequence[Any]]
    recipe: bytes = b""

    def run(self, values: list[Any]) -> Sequence[Any]:
        """Runs the function; what it raises becomes an ExecutionError that names the node."""
        try:
            results = self.function(values)
        except SardonyxError:
            raise
        except Exception as error:
            raise ExecutionError(f"node {self.name} ({self.kernel}): {type(error).__name__}: {error}") from error
        if len(results) != len(self.outputs):
            raise ExecutionError(
                f"node {self.name} ({self.kernel}): expected {len(self.outputs)} outputs, got {len(results)}"
            )
        return results


@dataclass(frozen=True)
class PythonStep(HostStep):
    """A host step that runs on onnx's reference implementation, because its operator has no lowering here."""


def check_stop(stop: Stop | None) -> None:
    """Raises ExecutionError where a run was told to end."""
    if stop is not None and stop.terminate:
        raise ExecutionError(STOPPED)


class ControlStep(ABC):
    """One node that runs programs of its own, its bodies: control flow.

    ``name`` and ``kernel`` (the operator) say which node it is; ``settings`` is JSON data that ``runtime.control``
    builds the step from. ``captured`` has, for each body, the positions among the step's inputs of the values that
    follow the body's own inputs.
    """

    def __init__(
        self,
        name: str,
        kernel: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        bodies: Sequence[Program],
        settings: Mapping[str, Any],
    ) -> None:
        self.name, self.kernel = name, kernel
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.bodies = tuple(bodies)
        self.settings = settings
        places = {given: place for place, given in reversed(list(enumerate(self.inputs)))}
        self.captured = [[places[captured] for captured in body.captured] for body in self.bodies]
        self.memory_limit = 0

    def load(self, team: Team, memory_limit: int, key: str = "", after_each: Callable[[], None] | None = None) -> None:
        """Loads the bodies; see ``Program.load``."""
        self.memory_limit = memory_limit
        for number, body in enumerate(self.bodies):
            body.load(team, memory_limit, f"{key}.{number}" if key else "", after_each)

    @abstractmethod
    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        """The outputs from the values of ``inputs`` (None: omitted). They may be inputs or constants themselves."""

    def fail(self, message: str) -> NoReturn:
        """The data is wrong here."""
        raise ExecutionError(f"node {self.name} ({self.kernel}): {message}")

    def scalar(self, value: Any, what: str) -> Any:
        """The one element of an array."""
        array = np.asarray(value)
        if array.size != 1:
            self.fail(f"{what} must have one element, got shape {array.shape}")
        return array.item()

    def truth(self, condition: Any) -> bool:
        return bool(self.scalar(condition, "the condition"))


Step: TypeAlias = "NativeStep | HostStep | ControlStep"


class Observer(Protocol):
    """Runs the steps in the program's stead and takes notes; see ``runtime.profiler``."""

    def run_step(self, step: Step, values: list[Any], stop: Stop | None = None) -> Sequence[Any]: ...


@dataclass
class Program:
    """The compiled model. ``constants`` are values that no step computes: initializers that are outputs, that Python
    steps read, or that are the defaults of overridable inputs. ``metadata`` is what the model's author says about it
    (JSON data; the fields of ``graph.Metadata``). Call ``load`` once, then ``run`` from as many threads as you like.

    In the body of a control step the last inputs, those ``captured``, come from around the node; the results may share
    memory with inputs and constants.
    """

    inputs: tuple[ValueSpec, ...]
    outputs: tuple[ValueSpec, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    captured: tuple[str, ...] = ()
    is_body: bool = False

    def __post_init__(self) -> None:
        positions: dict[str, int] = {}
        for name in [*(v.name for v in self.inputs), *self.constants]:
            positions.setdefault(name, len(positions))
        self._inputs = [positions[v.name] for v in self.inputs]
        self._schedule: list[tuple[Step, list[int], list[int]]] = []
        for step in self.steps:
            reads = [positions[name] if name else -1 for name in step.inputs]
            writes = [positions.setdefault(name, len(positions)) if name else -1 for name in step.outputs]
            self._schedule.append((step, reads, writes))
        self._outputs = [positions[v.name] for v in self.outputs]
        native = {p for step, _, writes in self._schedule if isinstance(step, NativeStep) for p in writes}
        self._shared = not self.is_body and not native.issuperset(self._outputs)
        self._last_use = self._dead_after()
        self._constants = [(positions[name], _read_only(value)) for name, value in self.constants.items()]
        given = enumerate(self.inputs)
        self._defaults = [(k, _read_only(self.constants[v.name])) for k, v in given if v.name in self.constants]
        self._size = len(positions)
        names = tuple(v.name for v in self.inputs), tuple(v.name for v in self.outputs)
        single = self.steps[0] if len(self.steps) == 1 else None
        direct = isinstance(single, NativeStep) and (single.inputs, single.outputs) == names
        self._single = single if direct and isinstance(single, NativeStep) else None
        self._body = self._body_of_one_region() if self.is_body else None

    def _body_of_one_region(self) -> tuple[NativeStep, list[int], list[tuple[int, Any]]] | None:
        """The only step of a body, the inputs it reads, and the results: (output of the step, None), or where that is
        -1, the place of an input or a constant array."""
        step = self.steps[0] if len(self.steps) == 1 else None
        if not isinstance(step, NativeStep):
            return None
        places = {spec.name: place for place, spec in enumerate(self.inputs)}
        made = {name: place for place, name in enumerate(step.outputs)}
        constants = {name: _read_only(value) for name, value in self.constants.items()}
        if not places.keys() >= set(step.inputs):
            return None
        results = [(made.get(v.name, -1), places.get(v.name, constants.get(v.name))) for v in self.outputs]
        return step, [places[name] for name in step.inputs], results

    def _dead_after(self) -> list[list[int]]:
        """For each step the positions that nothing reads after it."""
        needed, result = set(self._outputs), []
        for _, reads, writes in reversed(self._schedule):
            dead = {p for p in [*reads, *writes] if p >= 0 and p not in needed}
            needed |= dead
            result.append(sorted(dead))
        return result[::-1]

    def load(self, team: Team, memory_limit: int, key: str = "", after_each: Callable[[], None] | None = None) -> None:
        """Prepares the native steps: packs weights on the threads of ``team``; ``memory_limit`` is in bytes.

        Programs of the same ``key`` (empty: none) share their packed weights. ``after_each`` is called after each
        weight that was packed; the mapped pages it came from may be given back.
        """
        for number, step in enumerate(self.steps):
            if not isinstance(step, HostStep):
                step.load(team, memory_limit, f"{key}.{number}" if key else "", after_each)

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> list[Any]:
        """Runs all steps on the values of ``inputs``, in their order; returns those of ``outputs``.

        A tensor input must have its dtype; its rank and sizes are checked here. ``None`` stands for an optional input
        that was left out. Raises InvalidInputError, ExecutionError (also where ``stop`` says so) or MemoryLimitError.
        """
        if self._single is not None and observer is None:
            if self._defaults:
                values = self._with_defaults(values)
            if stop is None or self.is_body:  # a loop looks at it between its trips, which are short
                return self._single.run(values)
            return self._single.run_until(values, stop)
        if self._body is not None and observer is None:
            return _run_region(*self._body, values)
        slots: list[Any] = [None] * (self._size + 1)  # the last one stands for empty names
        for position, value in self._constants:
            slots[position] = value
        for position, value in zip(self._inputs, values, strict=True):
            if value is not None or slots[position] is None:
                slots[position] = value
        for (step, reads, writes), dead in zip(self._schedule, self._last_use, strict=True):
            check_stop(stop)
            arguments = [slots[p] for p in reads]
            if isinstance(step, NativeStep):
                arguments = [a if isinstance(a, np.ndarray) else np.asarray(a) for a in arguments]
            if observer is not None:
                results = observer.run_step(step, arguments, stop)
            elif isinstance(step, ControlStep):
                results = step.run(arguments, None, stop)
            elif stop is not None and isinstance(step, NativeStep):
                results = step.run_until(arguments, stop)
            else:
                results = step.run(arguments)
            for position, result in zip(writes, results, strict=True):
                slots[position] = result
            for position in dead:
                slots[position] = None
            slots[-1] = None
        results = [slots[p] for p in self._outputs]
        return _unshared(results, values) if self._shared else results

    def _with_defaults(self, values: list[Any]) -> list[Any]:
        """The inputs with the initializers of their names where they were left out."""
        filled = list(values)
        for place, default in self._defaults:
            if filled[place] is None:
                filled[place] = default
        return filled

    @property
    def only_step(self) -> NativeStep | None:
        """The step that is the whole program, where there is one: its inputs and outputs are the program's."""
        return self._single

    @property
    def checks_sizes(self) -> bool:
        """Whether ``run`` itself checks the rank and sizes of every input against what the model declares."""
        return self._single is not None

    def all_steps(self) -> Iterator[Step]:
        """The steps, each followed by those of its bodies."""
        for step in self.steps:
            yield step
            if isinstance(step, ControlStep):
                for body in step.bodies:
                    yield from body.all_steps()

    @property
    def native_steps(self) -> tuple[NativeStep, ...]:
        return tuple(s for s in self.all_steps() if isinstance(s, NativeStep))

    @property
    def host_steps(self) -> tuple[HostStep, ...]:
        """Nodes computed by our own records on Python objects."""
        return tuple(s for s in self.all_steps() if isinstance(s, HostStep) and not isinstance(s, PythonStep))

    @property
    def python_steps(self) -> tuple[PythonStep, ...]:
        return tuple(s for s in self.all_steps() if isinstance(s, PythonStep))


def _run_region(step: NativeStep, reads: list[int], results: list[tuple[int, Any]], values: list[Any]) -> list[Any]:
    """A body of one region, without the bookkeeping that several steps need; see ``Program._body_of_one_region``."""
    arguments = [a if isinstance(a, np.ndarray) else np.asarray(a) for a in [values[p] for p in reads]]
    made = step.run(arguments)
    return [made[k] if k >= 0 else values[other] if isinstance(other, int) else other for k, other in results]


def _read_only(value: Any) -> Any:
    """A constant as a view that says that its memory is not the caller's to write to."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _unshared(results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The results with copies of what is, or may be, the memory of an input, of a constant or of another result: a
    write to it would reach the other end."""
    seen: set[int] = set()

    def note(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                note(item)
        else:
            seen.add(id(value))

    def own(value: Any) -> Any:
        if isinstance(value, list):
            return [own(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        if value.base is None and id(value) not in seen:
            seen.add(id(value))
            return value
        return value.copy()

    for value in inputs:
        note(value)
    return [own(value) for value in results]
