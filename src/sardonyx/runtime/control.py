"""Control flow: steps that run programs of their own, their bodies.

    If      one of two bodies
    Loop    the body again and again, while a condition holds and up to a number of trips
    Scan    the body for every slice of some inputs
    SequenceMap  the body for every element of some sequences

Between trips a loop looks at the run's ``Stop``, and Python at signals. What piles up over the trips (scan outputs,
sequences that grow) counts against the memory limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import MemoryLimitError
from sardonyx.runtime.address import address_of
from sardonyx.runtime.program import ControlStep, Observer, Program, Step, Stop, ValueSpec, check_stop
from sardonyx.runtime.repeat import Pattern, find_pattern, repeat

__all__ = ["IfStep", "LoopStep", "MapStep", "ScanStep", "body_program", "control_step"]

Array: TypeAlias = npt.NDArray[Any]

_ATTEMPTS = 3  # how often a loop is tried whether its sizes have settled
_FIRST_CAPACITY = 16
_RECOUNT = 16  # a sequence is measured again when it may have grown by this part


def body_program(
    inputs: Sequence[str],
    captured: Sequence[str],
    outputs: Sequence[str],
    steps: Sequence[Step],
    constants: Mapping[str, Any],
) -> Program:
    """The program of a body; see ``Program``."""
    return Program(
        tuple(ValueSpec(name, "") for name in [*inputs, *captured]),
        tuple(ValueSpec(name, "") for name in outputs),
        tuple(steps),
        constants,
        captured=tuple(captured),
        is_body=True,
    )


def control_step(
    kernel: str,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    bodies: Sequence[Program],
    settings: Mapping[str, Any],
) -> ControlStep:
    """The step of an operator; KeyError for one that has none."""
    return _STEPS[kernel](name, kernel, inputs, outputs, bodies, settings)


class IfStep(ControlStep):
    """The outputs of the first body where the condition holds, else of the second."""

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        chosen = 0 if self.truth(values[0]) else 1
        arguments = [values[place] for place in self.captured[chosen]]
        return self.bodies[chosen].run(arguments, observer, stop)[: len(self.outputs)]


class LoopStep(ControlStep):
    """Settings: ``carried`` is the number of carried values; ``ranks`` are those of the trip's number and of the
    condition; ``stacks`` says what scan outputs are without a trip (see ``_Stack``)."""

    @cached_property
    def pattern(self) -> Pattern | None:
        return find_pattern(self.bodies[0], 2, self.settings["carried"])

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        count: int = self.settings["carried"]
        number_shape, condition_shape = ((1,) * rank for rank in self.settings["ranks"])
        most = None if values[0] is None else int(self.scalar(values[0], "the number of trips"))
        going = values[1] is None or self.truth(values[1])
        condition = np.ones(condition_shape, np.bool_)  # a trip begins only where it holds
        captured = [values[place] for place in self.captured[0]]
        carried = values[2 : 2 + count]
        body, trip, attempts = self.bodies[0], 0, 0
        piles = _Piles(self, values, most, exact=self.pattern is not None and self.pattern.condition < 0)
        while going and (most is None or trip < most):
            piles.check(stop, carried)
            if trip and observer is None and self.pattern is not None and attempts < _ATTEMPTS:
                attempts += 1
                arrays = [np.full(number_shape, trip, np.int64), condition, *carried, *captured]
                rest = None if most is None else most - trip
                made = repeat(self.pattern, arrays, piles.stacks, (), rest, partial(check_stop, stop))
                if made is not None:
                    trip, going = trip + made.trips, made.going
                    carried = [made.carried.get(place, value) for place, value in enumerate(carried)]
                    continue
            number = np.full(number_shape, trip, np.int64)
            results = body.run([number, condition, *carried, *captured], observer, stop)
            going = self.truth(results[0])
            carried = results[1 : 1 + count]
            piles.add(results[1 + count :])
            trip += 1
        return [*carried, *piles.arrays()][: len(self.outputs)]


class ScanStep(ControlStep):
    """Settings: ``states`` is the number of states; ``input_axes``, ``input_directions``, ``output_axes`` and
    ``output_directions`` are those of the operator; ``stacks`` says what scan outputs are without a trip."""

    @cached_property
    def pattern(self) -> Pattern | None:
        return find_pattern(self.bodies[0], 0, self.settings["states"], len(self.settings["input_axes"]))

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        settings = self.settings
        count: int = settings["states"]
        axes: list[int] = settings["input_axes"]
        slices = [self._slices(v, axis) for v, axis in zip(values[count : count + len(axes)], axes, strict=True)]
        trips = len(slices[0])
        if any(len(scanned) != trips for scanned in slices):
            self.fail(f"scan inputs have {[len(scanned) for scanned in slices]} slices; expected as many of each")
        captured = [values[place] for place in self.captured[0]]
        states = values[:count]
        body = self.bodies[0]
        piles = _Piles(self, values, trips, exact=True)
        directions = settings["input_directions"]
        trip = attempts = 0
        while trip < trips:
            piles.check(stop, states)
            parts = [x[trips - 1 - trip if d else trip, ...] for x, d in zip(slices, directions, strict=True)]
            arrays = [*states, *parts, *captured]
            if trip and observer is None and self.pattern is not None and attempts < _ATTEMPTS:
                attempts += 1
                steps = [-x.strides[0] if d else x.strides[0] for x, d in zip(slices, directions, strict=True)]
                made = repeat(self.pattern, arrays, piles.stacks, steps, trips - trip, partial(check_stop, stop))
                if made is not None:
                    trip += made.trips
                    states = [made.carried.get(place, value) for place, value in enumerate(states)]
                    continue
            results = body.run(arrays, observer, stop)
            states = results[:count]
            piles.add(results[count:])
            trip += 1
        stacks = zip(piles.arrays(), settings["output_axes"], settings["output_directions"], strict=True)
        return [*states, *(_placed(array, axis, direction) for array, axis, direction in stacks)]

    def _slices(self, value: Any, axis: int) -> Array:
        array = np.asarray(value)
        if not -array.ndim <= axis < array.ndim:
            self.fail(f"axis {axis} is outside of a scan input of shape {array.shape}")
        return np.require(np.moveaxis(array, axis, 0), requirements=["C", "A"])  # native code advances through it


def _placed(stack: Array, axis: int, direction: int) -> Array:
    """Slices stacked along axis 0 in the order of the trips, as the operator's output has them."""
    ordered = stack[::-1] if direction else stack
    return np.ascontiguousarray(np.moveaxis(ordered, 0, axis))


class MapStep(ControlStep):
    """Sequences of the body's results, from sequences (lists) and from what goes to every element."""

    def run(self, values: list[Any], observer: Observer | None = None, stop: Stop | None = None) -> Sequence[Any]:
        own = len(self.bodies[0].inputs) - len(self.captured[0])
        given, captured = values[:own], [values[place] for place in self.captured[0]]
        lengths = [len(value) for value in given if isinstance(value, list)]
        if len(set(lengths)) != 1:
            self.fail(f"its sequences have {lengths} elements; expected as many of each")
        results: list[list[Any]] = [[] for _ in self.outputs]
        taken = 0
        for place in range(lengths[0]):
            check_stop(stop)
            items = [value[place] if isinstance(value, list) else value for value in given]
            made = self.bodies[0].run([*items, *captured], observer, stop)
            for result, item in zip(results, made, strict=False):
                result.append(item)
                taken += _bytes(item)
            if taken > self.memory_limit:
                raise MemoryLimitError(
                    f"node {self.name} ({self.kernel}): after {place + 1:,} elements its results take {taken:,} bytes, "
                    f"more than the limit of {self.memory_limit:,}: raise SessionOptions.memory_limit"
                )
        return results


_STEPS: Mapping[str, type[ControlStep]] = {"If": IfStep, "Loop": LoopStep, "Scan": ScanStep, "SequenceMap": MapStep}


class _Piles:
    """What piles up over the trips of a loop: up to ``most`` of them, or as many where that is ``exact``."""

    def __init__(self, step: ControlStep, values: Sequence[Any], most: int | None, exact: bool) -> None:
        self.step = step
        self.stacks = [_Stack(self, k, empty, most, exact) for k, empty in enumerate(step.settings["stacks"])]
        self.values = values
        self.trip = self._recount_at = 0

    def check(self, stop: Stop | None, carried: Sequence[Any]) -> None:
        """Before a trip: ends the run where it was told to, and where sequences have grown past the memory limit."""
        check_stop(stop)
        self.trip += 1
        if self.trip > self._recount_at:
            lists = [value for value in carried if isinstance(value, list)]
            self.limit(sum(map(_bytes, lists)))
            self._recount_at = self.trip + max((len(value) for value in lists), default=0) // _RECOUNT

    def add(self, results: Sequence[Any]) -> None:
        for stack, result in zip(self.stacks, results, strict=True):
            stack.add(result)

    def arrays(self) -> list[Array]:
        return [stack.array(self.values) for stack in self.stacks]

    def left(self) -> int:
        """Bytes that the stacks may still take."""
        return self.step.memory_limit - sum(stack.bytes for stack in self.stacks)

    def limit(self, more: int) -> None:
        """Raises MemoryLimitError where the stacks and ``more`` bytes are too many."""
        total = more + sum(stack.bytes for stack in self.stacks)
        if total > self.step.memory_limit:
            raise MemoryLimitError(
                f"node {self.step.name} ({self.step.kernel}): after {self.trip:,} trips its results take {total:,} "
                f"bytes, more than the limit of {self.step.memory_limit:,}: raise SessionOptions.memory_limit"
            )


class _Stack:
    """One scan output, stacked along axis 0, in memory that doubles where the number of trips is not known.

    ``empty`` says what it is without a trip: the dtype's name, and for each size a number or the input and axis that
    tell it; None for sizes where the rank is not known.
    """

    def __init__(self, piles: _Piles, number: int, empty: Sequence[Any], most: int | None, exact: bool) -> None:
        self.piles, self.step = piles, piles.step
        self.number, self.empty, self.most, self.exact = number, empty, most, exact
        self.buffer: Array | None = None
        self.count = self.bytes = 0

    @property
    def part(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and dtype of what one trip adds; there was one."""
        assert self.buffer is not None
        return self.buffer.shape[1:], self.buffer.dtype

    def room(self) -> int:
        """Makes room for more parts; says for how many."""
        assert self.buffer is not None
        if self.count == len(self.buffer):
            self._grow(*self.part)
        return len(self.buffer) - self.count

    @property
    def address(self) -> int:
        """Where the next part goes."""
        assert self.buffer is not None
        return address_of(self.buffer) + self.count * self.buffer.strides[0]

    def add(self, value: Any) -> None:
        part = np.asarray(value)
        if self.buffer is None or self.count == len(self.buffer):
            self._grow(part.shape if self.buffer is None else self.buffer.shape[1:], part.dtype)
        buffer = self.buffer
        assert buffer is not None
        if buffer.shape[1:] != part.shape:
            self.step.fail(
                f"scan output {self.number} has shape {part.shape} in trip {self.count}, but {buffer.shape[1:]} before"
            )
        buffer[self.count] = part
        self.count += 1

    def _grow(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        capacity = max(2 * self.count, _FIRST_CAPACITY)
        if self.most is not None:
            capacity = max(self.most, 1) if self.exact else min(capacity, max(self.most, 1))
        if size and not self.exact:
            self.bytes = 0
            capacity = max(min(capacity, self.piles.left() // size), self.count + 1)
        self.bytes = capacity * size
        self.piles.limit(0)
        try:
            grown = np.empty((capacity, *shape), dtype)
        except (MemoryError, ValueError) as error:
            raise MemoryLimitError(f"the system refused the memory of a scan output: {error}") from error
        if self.buffer is not None:
            grown[: self.count] = self.buffer[: self.count]
        self.buffer = grown

    def array(self, values: Sequence[Any]) -> Array:
        if self.buffer is None:
            return self._without_trips(values)
        return self.buffer if self.count == len(self.buffer) else self.buffer[: self.count].copy()

    def _without_trips(self, values: Sequence[Any]) -> Array:
        name, sizes = self.empty
        shape = [size if isinstance(size, int) else np.asarray(values[size[0]]).shape[size[1]] for size in sizes or ()]
        return np.empty((0, *shape), np.float32 if name is None else dtypes.from_name(name).numpy)


def _bytes(value: Any) -> int:
    if isinstance(value, list):
        return sum([item.nbytes if type(item) is np.ndarray else _bytes(item) for item in value])
    return value.nbytes if isinstance(value, np.ndarray) else 0
