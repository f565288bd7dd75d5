"""What the runtime must know of one compiled region besides its code. Plain data, kept as JSON in the cache.

The native side of a region is three functions (C signatures; every address is handed over by the loader):

    int64_t plan(const int64_t* symbols, int64_t* table)
        Computes all sizes, offsets and task counts from the values of the size symbols. Returns 0, ``OVERFLOW`` (-1)
        when a size leaves int64 or an allocation would pass 2**47 bytes, or 1 + the number of a check that failed.
    int64_t prepare(void** pointers, void* team, int64_t call)
        Makes one of the ``prepare_calls`` kernel calls that fill the prepared arena (packed weights); the runtime makes
        them in order at load. Uses the pointers up to the weights. Returns 0 or the status of the kernel.
    int64_t run(void** pointers, int64_t* table, void* team, int64_t* profile)
        Makes all kernel calls. Returns 0, or ``call << 8 | status`` of the kernel call that failed.

``pointers`` are the addresses of: arena, prepared arena, weights ..., inputs ..., outputs ...  ``team`` is for
``sardonyx_parallel`` (see ``lang.pool``); it may be null. ``profile`` is null, or, when the region was compiled with
profiling hooks (``profiled``), an array of two words per call that ``run`` fills with ``sardonyx_now()`` before and
after each call. ``run`` may write to ``table`` only at the positions named by ``OutputSpec.actual``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sardonyx import dtypes
from sardonyx.dtypes import DType

__all__ = [
    "OVERFLOW",
    "Call",
    "DimOf",
    "ElementOf",
    "InputSpec",
    "OutputSpec",
    "Region",
    "Size",
    "Slot",
    "SymbolSource",
]

OVERFLOW = -1


@dataclass(frozen=True)
class Slot:
    """A number that ``plan`` leaves at this position of the table."""

    index: int


Size: TypeAlias = "int | Slot"


@dataclass(frozen=True)
class DimOf:
    """A symbol whose value is the size of one axis of an input."""

    input: int
    axis: int


@dataclass(frozen=True)
class ElementOf:
    """A symbol whose value is one element (in C order) of an integer input, read when the region runs.

    Symbols are never negative: the value is the element's positive part, or what it is below 0 where ``negative``.
    """

    input: int
    element: int
    negative: bool = False


SymbolSource: TypeAlias = "DimOf | ElementOf"


@dataclass(frozen=True)
class InputSpec:
    """One input: C-contiguous, of ``dtype``. A dim is what the size must be, or None where any will do (it binds a
    symbol, or nothing depends on it)."""

    name: str
    dtype: DType
    dims: tuple[Size | None, ...]


@dataclass(frozen=True)
class OutputSpec:
    """One output, allocated by the runtime with the sizes ``dims``.

    ``actual`` holds table positions where ``run`` writes the true sizes of an output whose sizes depend on the data;
    ``dims`` are then upper bounds and the result is the C-contiguous array of the true sizes at the buffer's start.
    """

    name: str
    dtype: DType
    dims: tuple[Size, ...]
    actual: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Call:
    """One kernel call, for error messages and profiles: the kernel's name and the graph nodes it computes."""

    kernel: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Region:
    """A compiled region. ``symbols`` says where each symbol's value comes from, in the order that ``plan`` reads them.

    ``arena`` and ``prepared`` are sizes in bytes; ``weights`` is how many weight pointers the region takes; ``checks``
    are the messages of the conditions that ``plan`` tests. ``plan``, ``prepare`` and ``run`` are the linker symbols
    (``prepare`` is empty when nothing is prepared). ``strings`` are those that handles 0, 1 ... of constants stand for;
    None for a region without strings. ``keys``: the place among the weights and the number of the words (uint64) that
    every run draws at random, if it needs any.
    """

    name: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    symbols: tuple[SymbolSource, ...] = ()
    table_size: int = 0
    arena: Size = 0
    prepared: int = 0
    weights: int = 0
    calls: tuple[Call, ...] = ()
    checks: tuple[str, ...] = ()
    profiled: bool = False
    plan: str = ""
    run: str = ""
    prepare: str = ""
    prepare_calls: int = 0
    strings: tuple[str, ...] | None = None
    keys: tuple[int, int] | None = None
    dynamic: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dynamic", any(o.actual is not None for o in self.outputs))

    @property
    def plain(self) -> bool:
        """Whether a run is one call and nothing else: there are no strings, random numbers or sizes that data tell."""
        return not self.dynamic and self.strings is None and self.keys is None

    @property
    def symbols_needed(self) -> tuple[str, ...]:
        """The linker symbols to ask the loader for."""
        return tuple(name for name in (self.plan, self.run, self.prepare) if name)

    def to_json(self) -> dict[str, Any]:
        """This description as JSON data."""
        return {
            "name": self.name,
            "inputs": [[i.name, i.dtype.name, [_size_out(d) for d in i.dims]] for i in self.inputs],
            "outputs": [[o.name, o.dtype.name, [_size_out(d) for d in o.dims], o.actual] for o in self.outputs],
            "symbols": [_source_out(s) for s in self.symbols],
            "table_size": self.table_size,
            "arena": _size_out(self.arena),
            "prepared": self.prepared,
            "weights": self.weights,
            "calls": [[c.kernel, list(c.nodes)] for c in self.calls],
            "checks": list(self.checks),
            "profiled": self.profiled,
            "strings": self.strings,
            "keys": self.keys,
            "functions": [self.plan, self.run, self.prepare, self.prepare_calls],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Region:
        """The description that ``to_json`` gave; raises KeyError, TypeError or ValueError for anything else."""
        plan, run, prepare, prepare_calls = data["functions"]
        return Region(
            name=data["name"],
            inputs=tuple(
                InputSpec(n, dtypes.from_name(t), tuple(None if d is None else _size_in(d) for d in dims))
                for n, t, dims in data["inputs"]
            ),
            outputs=tuple(
                OutputSpec(n, dtypes.from_name(t), tuple(_size_in(d) for d in dims), None if a is None else tuple(a))
                for n, t, dims, a in data["outputs"]
            ),
            symbols=tuple(_source_in(s) for s in data["symbols"]),
            table_size=data["table_size"],
            arena=_size_in(data["arena"]),
            prepared=data["prepared"],
            weights=data["weights"],
            calls=tuple(Call(kernel, tuple(nodes)) for kernel, nodes in data["calls"]),
            checks=tuple(data["checks"]),
            profiled=data["profiled"],
            plan=plan,
            run=run,
            prepare=prepare,
            prepare_calls=prepare_calls,
            strings=None if data["strings"] is None else tuple(data["strings"]),
            keys=None if data["keys"] is None else (int(data["keys"][0]), int(data["keys"][1])),
        )


def _size_out(size: Size | None) -> int | list[int] | None:
    return [size.index] if isinstance(size, Slot) else size


def _size_in(data: int | list[int]) -> Size:
    return Slot(data[0]) if isinstance(data, list) else data


def _source_out(source: SymbolSource) -> list[Any]:
    if isinstance(source, DimOf):
        return ["dim", source.input, source.axis]
    return ["below" if source.negative else "element", source.input, source.element]


def _source_in(data: list[Any]) -> SymbolSource:
    kind, index, position = data
    return DimOf(index, position) if kind == "dim" else ElementOf(index, position, kind == "below")
