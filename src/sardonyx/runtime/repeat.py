"""Loops whose body is one native region: once the sizes are settled, the trips run without leaving native code.

The first trip of a loop is an ordinary one. Where the carried values have kept their sizes, the plan of the next trip
is that of all further ones, and ``sardonyx_repeat`` (see ``lang.repeat``) makes them: carried values alternate between
two pieces of memory, scan outputs are written straight into their stacks. It comes back every few milliseconds, so that
signals and ``RunOptions.terminate`` are seen.

Where places or sizes inside of the region depend on elements of what changes (a slice that begins at the trip's
number), native code also plans every trip; it comes back when that changes the size of an array.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import ExecutionError
from sardonyx.runtime.address import address_of
from sardonyx.runtime.native import NativeStep
from sardonyx.runtime.pool import code
from sardonyx.runtime.program import Program
from sardonyx.runtime.region import DimOf, Slot

__all__ = ["Pattern", "Repeated", "Stack", "find_pattern", "repeat"]

Array: TypeAlias = npt.NDArray[Any]

_REPEAT = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4, ctypes.c_int64, ctypes.c_void_p)

# Positions of words; the numbers of sardonyx.lang.repeat.
(
    _DONE, _CONDITION, _NUMBER, _PLAN, _SYMBOLS, _ARENA, _CAPACITY, _SWAPS, _ADVANCES, _ELEMENTS, _SIZES, _MOVES,
) = range(12)  # fmt: skip
_CHANGED = -2

_FIRST_TRIPS, _MOST_TRIPS = 64, 1 << 40
_SHORT, _LONG = 2e-3, 20e-3  # seconds in native code between two looks at signals


class Stack(Protocol):
    """Memory for a scan output; see ``runtime.control``."""

    count: int

    @property
    def part(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and dtype of what one trip adds."""

    @property
    def address(self) -> int:
        """Where the next part goes."""

    def room(self) -> int:
        """Makes room for more parts; says for how many."""


@dataclass(frozen=True)
class Pattern:
    """How a body that is one region hangs together.

    ``reads`` has the body's input for each of the region's; ``number`` and ``condition`` are the region's input and
    output for the trip's number and for whether another follows (-1: none); ``carried`` are (carried value, output,
    input or -1) of the region where the body changes them; ``stacks`` are the outputs to stack, ``slices`` are
    (scan input, input of the region). ``planned`` says that the plan depends on elements of what changes.
    """

    step: NativeStep
    reads: tuple[int, ...]
    number: int
    condition: int
    carried: tuple[tuple[int, int, int], ...]
    stacks: tuple[int, ...]
    slices: tuple[tuple[int, int], ...]
    planned: bool


@dataclass(frozen=True)
class Repeated:
    """What became of trips: how many there were, whether the loop goes on, and the changed carried values."""

    trips: int
    going: bool
    carried: dict[int, Array]


def find_pattern(body: Program, ports: int, carried: int, slices: int = 0) -> Pattern | None:
    """The pattern of a body whose inputs are ``ports`` (the number and the condition, or none), the carried values and
    the slices, and whose outputs are the condition (with ports), the carried values and the parts of stacks."""
    step = body.steps[0] if len(body.steps) == 1 else None
    if not isinstance(step, NativeStep) or not step.region.plain:
        return None
    names, results = [spec.name for spec in body.inputs], [spec.name for spec in body.outputs]
    made = {name: place for place, name in enumerate(step.outputs)}
    read = {name: place for place, name in enumerate(step.inputs)}
    skip = 1 if ports else 0
    used = [name for name in results if name in made]
    changing = {0} if ports else set()
    found: list[tuple[int, int, int]] = []
    for place, name in enumerate(results[skip : skip + carried]):
        if name in made:
            found.append((place, made[name], read.get(names[ports + place], -1)))
            changing.add(ports + place)
        elif name in names[: ports + carried + slices] and name != names[ports + place]:
            return None  # handed from one carried value to another
    stacked = results[skip + carried :]
    condition = -1
    if ports:
        condition = made.get(results[0], -1)
        if condition < 0 and results[0] != names[1] and not _always(body, results[0]):
            return None
    if len(set(used)) < len(used) or any(name not in made for name in stacked):
        return None
    reads = tuple(names.index(name) for name in step.inputs)
    first = ports + carried
    changing |= set(range(first, first + slices))
    planned = any(reads[source.input] in changing for source in step.elements)
    if planned and any(step.region.inputs[source.input].dtype is not dtypes.int64 for source in step.elements):
        return None
    return Pattern(
        step,
        reads,
        read.get(names[0], -1) if ports else -1,
        condition,
        tuple(found),
        tuple(made[name] for name in stacked),
        tuple((k, read[names[first + k]]) for k in range(slices) if names[first + k] in read),
        planned,
    )


def _always(body: Program, name: str) -> bool:
    constant = body.constants.get(name)
    return isinstance(constant, np.ndarray) and constant.size == 1 and bool(constant.item())


def repeat(
    pattern: Pattern,
    arrays: Sequence[Array],
    stacks: Sequence[Stack],
    steps: Sequence[int],
    most: int | None,
    check: Callable[[], None],
) -> Repeated | None:
    """Makes up to ``most`` trips; None where the sizes are not settled.

    ``arrays`` are the body's inputs for the first of them, of which the trip's number and the changing carried values
    are written to; ``steps`` are the distances in bytes between slices. ``check`` is called from time to time.
    """
    step, native = pattern.step, code()
    inputs, plan = step.planned([arrays[place] for place in pattern.reads])
    if native is None or not _settled(pattern, inputs, plan.outputs, stacks):
        return None
    buffers = [None if k in pattern.stacks else np.empty(*output) for k, output in enumerate(plan.outputs)]
    frame = step.take_frame(plan)
    pointers, outputs = frame.pointers, step.first_input + len(inputs)
    for place, array in enumerate([*inputs, *buffers], step.first_input):
        pointers[place] = 0 if array is None else address_of(array)
    condition = buffers[pattern.condition] if pattern.condition >= 0 else None
    table, symbols = (plan.table.copy(), step.symbols_of(inputs)) if pattern.planned else (plan.table, None)
    words = _words(pattern, plan, steps, symbols, frame.capacity)
    arguments = step.run_address, frame.address, address_of(table), step.team.address
    words[_CONDITION] = 0 if condition is None else address_of(condition)
    words[_NUMBER] = 0 if pattern.number < 0 else address_of(inputs[pattern.number])
    run, done, going, status, chunk = _REPEAT(native.repeat), 0, True, 0, _FIRST_TRIPS
    while going and not status and (most is None or done < most):
        check()
        count = min(chunk, chunk if most is None else most - done, *(stack.room() for stack in stacks))
        for stack, output in zip(stacks, pattern.stacks, strict=True):
            pointers[outputs + output] = stack.address
        start = time.perf_counter()
        status = run(*arguments, count, ctypes.addressof(words))
        seconds = time.perf_counter() - start
        for stack in stacks:
            stack.count += words[_DONE]
        done += words[_DONE]
        if status and status != _CHANGED:
            raise ExecutionError(step.failure(status))
        going = condition is None or not words[_DONE] or bool(condition.item())
        if seconds < _SHORT:
            chunk = min(4 * chunk, _MOST_TRIPS)
        elif seconds > _LONG:
            chunk = max(1, chunk // 4)
    step.give_frame(frame)
    if not done:
        return None
    latest = {}
    for place, output, source in pattern.carried:
        array = buffers[output] if source < 0 or done % 2 else inputs[source]
        assert array is not None
        latest[place] = array
    return Repeated(done, going, latest)


def _words(pattern: Pattern, plan: Any, steps: Sequence[int], symbols: Array | None, capacity: int) -> Any:
    """What ``sardonyx_repeat`` is told; the addresses of condition and number are left to the caller."""
    step, region = pattern.step, pattern.step.region
    first, outputs = step.first_input, step.first_input + len(region.inputs)
    swaps = [(first + place, outputs + output) for _, output, place in pattern.carried if place >= 0]
    advances = [(first + place, steps[k]) for k, place in pattern.slices]
    advances += [(outputs + output, _bytes(plan.outputs[output])) for output in pattern.stacks]
    elements: list[tuple[int, ...]] = []
    sizes: list[tuple[int, ...]] = []
    if pattern.planned:
        elements = [
            (place, first + source.input, source.element, int(source.negative))
            for place, source in enumerate(region.symbols)
            if not isinstance(source, DimOf)
        ]
        wanted = [d for _, _, d in step.sizes_given] + [d for o in region.outputs for d in o.dims]
        numbers = plan.table.tolist()
        sizes = list(dict.fromkeys((d.index, numbers[d.index]) for d in wanted if isinstance(d, Slot)))
    arena = region.arena.index if pattern.planned and isinstance(region.arena, Slot) else -1
    head = [0, 0, 0, 0, 0, arena, capacity, len(swaps), len(advances), len(elements), len(sizes)]
    if symbols is not None:
        head[_PLAN], head[_SYMBOLS] = step.plan_address, address_of(symbols)
    numbers = [*head, *(number for group in (swaps, advances, elements, sizes) for row in group for number in row)]
    return (ctypes.c_int64 * len(numbers))(*numbers)


def _settled(
    pattern: Pattern, inputs: Sequence[Array], outputs: Sequence[tuple[Any, np.dtype[Any]]], stacks: Sequence[Stack]
) -> bool:
    """Whether another trip leaves all sizes as they are."""
    if any(dtype.hasobject for _, dtype in outputs):
        return False
    kept = all(
        source < 0 or (inputs[source].shape, inputs[source].dtype) == outputs[output]
        for _, output, source in pattern.carried
    )
    return kept and all(s.part == outputs[output] for s, output in zip(stacks, pattern.stacks, strict=True))


def _bytes(output: tuple[tuple[int, ...], np.dtype[Any]]) -> int:
    shape, dtype = output
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
