"""A native step: binds sizes, keeps plans and arenas, and makes the one call into compiled code."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from sardonyx.errors import ExecutionError, IncompatibleSizesError, InvalidInputError, MemoryLimitError
from sardonyx.runtime.address import address_of
from sardonyx.runtime.pool import SERIAL
from sardonyx.runtime.region import OVERFLOW, DimOf, Region, Size, Slot
from sardonyx.runtime.seeds import run_keys

__all__ = ["NativeCode", "NativeStep", "Team"]

Array: TypeAlias = npt.NDArray[Any]

_PLAN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_PREPARE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_RUN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

_ALIGNMENT = 64
_READY = 0x101  # C-contiguous and aligned, in numpy's flags
_PLANS_KEPT = 256
_FRAMES_KEPT = 8
_STATUS_BITS = 8
_STOPPED = 255  # known to ``compiler.driver``
STOPPED = "the run was told to end: RunOptions.terminate is set"
_LARGEST = (1 << 63) - (1 << 32)  # leaves room to add a few sizes

REASONS = {
    1: "an index is out of range",
    2: "an integer is divided by zero",
    3: "sizes do not fit together",
    4: "a sequence length is out of range",
    255: "the kernel was about to leave one of its buffers: please report this",
}


@dataclass(frozen=True)
class NativeCode:
    """Loaded code: ``objects`` are the object files it came from (what the cache keeps), ``addresses`` maps linker
    symbols to where they are, ``owner`` frees the memory when it is dropped."""

    objects: tuple[bytes, ...]
    addresses: Mapping[str, int]
    owner: object


_prepared_arenas: WeakValueDictionary[str, Array] = WeakValueDictionary()
"""Packed weights of the sessions of this process, by model and step; they go with the last session that has them."""


class Team(Protocol):
    """The threads a run may use; ``address`` is 0 for the calling thread alone."""

    @property
    def address(self) -> int: ...


class _Plan:
    """What ``plan`` computed for one set of sizes: the table, the arena's size, and the outputs' sizes."""

    __slots__ = ("address", "arena", "outputs", "table")

    def __init__(self, table: Array, arena: int, outputs: list[tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
        self.table = table
        self.address = address_of(table)
        self.arena = arena
        self.outputs = outputs


class Stop(Protocol):
    """Tells a run to end: looked at between steps, kernel calls, and the trips of a loop."""

    @property
    def terminate(self) -> bool: ...

    def watch(self, word: Array) -> None:
        """Sets the one element of ``word`` to 1 when (or as soon as) the run is to end."""

    def unwatch(self, word: Array) -> None: ...


class _Frame:
    """The memory of one concurrent run: the pointer list and the arena, both kept for the next run."""

    __slots__ = ("address", "arena", "capacity", "pointers", "table")

    def __init__(self, pointers: Sequence[int], table_size: int) -> None:
        self.pointers = (ctypes.c_size_t * len(pointers))(*pointers)
        self.address = ctypes.addressof(self.pointers)
        self.arena: Array | None = None
        self.capacity = 0
        self.table = np.empty(max(1, table_size), np.int64)

    def reserve(self, size: int) -> None:
        """Makes the arena at least ``size`` bytes long; the old one is given back first."""
        if size > self.capacity:
            self.arena, self.capacity = None, 0
            self.arena = aligned(size)
            self.capacity = size
            self.pointers[0] = address_of(self.arena)


def aligned(size: int) -> Array:
    """Uninitialised bytes that begin on a cache line."""
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -address_of(raw) % _ALIGNMENT
    return raw[start : start + size]


class NativeStep:
    """One compiled region, callable on numpy arrays from several threads at once.

    ``code`` has the region's linker symbols; ``weights`` are C-contiguous arrays (often views of the mapped model
    file). ``load`` must be called once before ``run``.
    """

    def __init__(self, region: Region, code: NativeCode, weights: Sequence[Array]) -> None:
        if len(weights) != region.weights:
            raise ValueError(f"{region.name}: {region.weights} weights expected, got {len(weights)}")
        self.region = region
        self.inputs = tuple(i.name for i in region.inputs)
        self.outputs = tuple(o.name for o in region.outputs)
        self.weights = [np.ascontiguousarray(w) for w in weights]
        self.code = code
        self.plan_address, self.run_address = code.addresses[region.plan], code.addresses[region.run]
        self._plan, self._run = _PLAN(self.plan_address), _RUN(self.run_address)
        self._prepare = _PREPARE(code.addresses[region.prepare]) if region.prepare else None
        self._dtypes = [i.dtype.memory for i in region.inputs]
        self._results = [(o.dims, o.dtype.memory) for o in region.outputs]
        self._ranks = [len(i.dims) for i in region.inputs]
        self.sizes_given = [
            (k, a, d) for k, i in enumerate(region.inputs) for a, d in enumerate(i.dims) if d is not None
        ]
        self.elements = [s for s in region.symbols if not isinstance(s, DimOf)]
        self.first_input = 2 + region.weights
        self._keys = None if region.keys is None else (2 + region.keys[0], region.keys[1])
        self._plans: OrderedDict[Any, _Plan] = OrderedDict()
        self._frames: list[_Frame] = []
        self._pointers: list[int] = []
        self.prepared: Array | None = None
        self.team: Team = SERIAL
        self._limit = 0

    def load(self, team: Team, memory_limit: int, key: str = "", after_each: Callable[[], None] | None = None) -> None:
        """Packs the weights. ``memory_limit`` (bytes) bounds the prepared arena and what one run may allocate.

        Steps of the same ``key`` (empty: none) are of the same region and weights and share the prepared arena.
        ``after_each`` is called after each weight that was packed.
        """
        self.team, self._limit = team, memory_limit
        self._check_limit(self.region.prepared, "the packed weights")
        prepared = _prepared_arenas.get(key) if key else None
        if prepared is None:
            prepared = self._pack(after_each)
            if key:
                _prepared_arenas[key] = prepared
        self.prepared = prepared
        self._pointers = self._layout(prepared)
        self._frames.clear()

    def _layout(self, prepared: Array) -> list[int]:
        """The pointers as ``run`` takes them; those that change from run to run are zero."""
        edges = len(self.region.inputs) + len(self.region.outputs)
        return [0, address_of(prepared), *(address_of(w) for w in self.weights), *([0] * edges)]

    def _pack(self, after_each: Callable[[], None] | None) -> Array:
        try:
            prepared = aligned(self.region.prepared)
        except MemoryError as error:
            raise MemoryLimitError(f"the system refused {self.region.prepared:,} bytes for packed weights") from error
        if self._prepare is None:
            return prepared
        pointers = self._layout(prepared)
        words = (ctypes.c_size_t * len(pointers))(*pointers)
        for call in range(self.region.prepare_calls):
            status = self._prepare(ctypes.addressof(words), self.team.address, call)
            if status:
                raise ExecutionError(f"region {self.region.name}: packing weight {call}: {_reason(status)}")
            if after_each is not None:
                after_each()
        return prepared

    def run(self, arrays: list[Array], profile: Array | None = None) -> list[Array]:
        """Runs on arrays in the order of ``inputs`` and returns new arrays in the order of ``outputs``.

        ``profile`` (of ``notes``) receives the start and end of every kernel call where the region was compiled for it.
        Raises InvalidInputError, MemoryLimitError or ExecutionError.
        """
        arrays, plan = self.planned(arrays)
        frame = self.take_frame(plan)
        pointers, position = frame.pointers, self.first_input
        if self._keys is not None:
            keys = run_keys(self._keys[1])  # until the run is over
            pointers[self._keys[0]] = address_of(keys)
        for array in arrays:
            pointers[position] = address_of(array)
            position += 1
        results: list[Array] = []
        try:
            for shape, dtype in plan.outputs:
                result = np.empty(shape, dtype)
                pointers[position] = address_of(result)
                position += 1
                results.append(result)
        except (MemoryError, ValueError) as error:  # numpy raises ValueError for a size past the address space
            raise MemoryLimitError(f"the system refused the memory of a run: {error}") from error
        table = plan.address
        if self.region.dynamic:
            frame.table[:] = plan.table
            table = address_of(frame.table)
        notes = 0 if profile is None else address_of(profile)
        status = self._run(frame.address, table, self.team.address, notes)
        if self.region.dynamic and not status:
            results = [self._true_size(result, k, frame.table) for k, result in enumerate(results)]
        self.give_frame(frame)
        if status:
            raise ExecutionError(self.failure(status))
        return results

    def notes(self) -> Array:
        """What ``run`` takes notes in: two words per kernel call, and one that ends the run when it is set."""
        return np.zeros(2 * len(self.region.calls) + 1, np.int64)

    def run_until(self, arrays: list[Array], stop: Stop, notes: Array | None = None) -> list[Array]:
        """``run`` that ends with an ExecutionError between two kernel calls when ``stop`` is told so."""
        notes = self.notes() if notes is None else notes
        word = notes[-1:]
        stop.watch(word)
        try:
            return self.run(arrays, notes)
        finally:
            stop.unwatch(word)

    def planned(self, arrays: list[Array]) -> tuple[list[Array], _Plan]:
        """The inputs as the code reads them, and the plan of a run on them."""
        key: list[Any] = []
        for i, dtype in enumerate(self._dtypes):
            array = arrays[i]
            if array.dtype is not dtype or array.flags.num & _READY != _READY:
                arrays = list(arrays)
                array = arrays[i] = self._converted(array, i)
            key.append(array.shape)
        for source in self.elements:
            key.append(self._element(arrays, source))
        shapes = tuple(key)
        plan = self._plans.get(shapes)
        if plan is None:
            plan = self._new_plan(shapes, arrays)
        return arrays, plan

    def plan_of(self, shapes: tuple[tuple[int, ...], ...]) -> _Plan | None:
        """The plan of a run on inputs of these shapes where one is known and the shapes are all it depends on."""
        return self._plans.get(shapes)

    def take_frame(self, plan: _Plan) -> _Frame:
        """The memory of a run, to be given back after it."""
        frame = self._frames.pop() if self._frames else _Frame(self._pointers, self.region.table_size)
        if frame.capacity < plan.arena:
            try:
                frame.reserve(plan.arena)
            except (MemoryError, ValueError) as error:
                raise MemoryLimitError(f"the system refused the memory of a run: {error}") from error
        return frame

    def give_frame(self, frame: _Frame) -> None:
        if len(self._frames) < _FRAMES_KEPT:
            self._frames.append(frame)

    def _converted(self, array: Array, index: int) -> Array:
        """The input as the code reads it; only its memory layout and byte order may differ."""
        expected = self._dtypes[index]
        if array.dtype != expected and array.dtype.newbyteorder("=") != expected:
            spec = self.region.inputs[index]
            raise InvalidInputError(f"value {spec.name!r}: expected {spec.dtype}, got {array.dtype}")
        return np.require(array.astype(expected, copy=False), requirements=["C", "A"]).reshape(array.shape)

    def _element(self, arrays: Sequence[Array], source: Any) -> int:
        array = arrays[source.input]
        if source.element >= array.size:
            name = self.inputs[source.input]
            raise InvalidInputError(
                f"input {name!r}: expected at least {source.element + 1} elements, got {array.size}"
            )
        value = int(array.item(source.element))
        return min(max(-value if source.negative else value, 0), _LARGEST)

    def _new_plan(self, key: tuple[Any, ...], arrays: Sequence[Array]) -> _Plan:
        region = self.region
        symbols, table = self.symbols_of(arrays), np.zeros(max(1, region.table_size), np.int64)
        status = self._plan(address_of(symbols), address_of(table))
        numbers = table.tolist()
        if status == OVERFLOW:
            raise MemoryLimitError(
                f"with inputs of shapes {[a.shape for a in arrays]} a tensor would exceed 2**47 bytes"
            )
        for place, axis, wanted in self.sizes_given:
            if _number(wanted, numbers) != arrays[place].shape[axis]:
                self._refuse_size(place, axis, _number(wanted, numbers), arrays[place].shape)
        if status:
            raise IncompatibleSizesError(f"{region.checks[status - 1]} (inputs of shapes {[a.shape for a in arrays]})")
        outputs = [(tuple([_number(d, numbers) for d in dims]), dtype) for dims, dtype in self._results]
        arena = _number(region.arena, numbers)
        total = arena
        for shape, dtype in outputs:
            total += _product(shape) * dtype.itemsize
        if total > self._limit:
            self._check_limit(total, f"a run with inputs of shapes {[a.shape for a in arrays]}")
        plan = _Plan(table, arena, outputs)
        self._plans[key] = plan
        if len(self._plans) > _PLANS_KEPT:
            self._plans.popitem(last=False)
        return plan

    def symbols_of(self, arrays: Sequence[Array]) -> Array:
        """The values of the region's symbols, as ``plan`` takes them."""
        for spec, rank, array in zip(self.region.inputs, self._ranks, arrays, strict=True):
            if array.ndim != rank:
                raise InvalidInputError(f"input {spec.name!r}: expected rank {rank}, got shape {array.shape}")
        values = [
            arrays[s.input].shape[s.axis] if isinstance(s, DimOf) else self._element(arrays, s)
            for s in self.region.symbols
        ]
        return np.array([*values, 0], np.int64)

    def _refuse_size(self, place: int, axis: int, wanted: int, shape: tuple[int, ...]) -> NoReturn:
        raise InvalidInputError(
            f"input {self.region.inputs[place].name!r}: expected {wanted} along axis {axis}, got {shape[axis]} "
            f"(shape {shape})"
        )

    def _check_limit(self, size: int, what: str) -> None:
        if size > self._limit:
            raise MemoryLimitError(
                f"{what} would take {size:,} bytes, more than the limit of {self._limit:,}: "
                "use smaller inputs or raise SessionOptions.memory_limit"
            )

    def _true_size(self, result: Array, index: int, table: Array) -> Array:
        actual = self.region.outputs[index].actual
        if actual is None:
            return result
        shape = tuple(int(table[position]) for position in actual)
        if shape == result.shape:
            return result
        return result.reshape(-1)[: _product(shape)].reshape(shape).copy()

    def failure(self, status: int) -> str:
        """What went wrong where a call gave a status other than 0."""
        if status == _STOPPED:
            return STOPPED
        number, code = status >> _STATUS_BITS, status & ((1 << _STATUS_BITS) - 1)
        reason = _reason(code)
        if 0 <= number < len(self.region.calls):
            call = self.region.calls[number]
            nodes = ", ".join(repr(n) for n in call.nodes) or "?"
            return f"node {nodes} ({call.kernel}): {reason}"
        return f"region {self.region.name}: {reason}"


def _reason(status: int) -> str:
    return REASONS.get(status, f"status {status}")


def _number(size: Size, numbers: Sequence[int]) -> int:
    return numbers[size.index] if isinstance(size, Slot) else size


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result
