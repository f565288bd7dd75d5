"""``sardonyx inspect``: the parts of a compiled model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from sardonyx.cli.output import emit, seconds_text, table
from sardonyx.cli.sessions import open_session
from sardonyx.cli.source import FeedSource
from sardonyx.errors import InvalidInputError
from sardonyx.inspection import Inspection, KernelRecord, profile

__all__ = ["Wanted", "inspect"]

SHOWN_NODES = 6


@dataclass(frozen=True)
class Wanted:
    """Which parts to show; ``graph`` names a pass, ``ir`` and ``assembly`` name a kernel."""

    passes: bool = False
    graph: str | None = None
    kernels: bool = False
    ir: str | None = None
    assembly: str | None = None
    buffers: bool = False
    profile: bool = False

    @property
    def nothing(self) -> bool:
        return self == Wanted()


def inspect(model: Path, wanted: Wanted, source: FeedSource | None, *, threads: int, as_json: bool) -> None:
    """Prints the wanted parts; the steps where nothing in particular is wanted."""
    inspection = Inspection(model)
    record: dict[str, Any] = {"model": str(model)}
    shown: list[object] = []
    for name, part, views in _parts(inspection, wanted, source, threads):
        record[name] = part
        shown += views
    emit(record, as_json, *shown)


def _parts(
    inspection: Inspection, wanted: Wanted, source: FeedSource | None, threads: int
) -> Iterator[tuple[str, Any, list[object]]]:
    if wanted.nothing:
        yield _steps(inspection)
    if wanted.passes:
        yield _passes(inspection)
    if wanted.graph is not None:
        yield _graph(inspection, wanted.graph)
    if wanted.kernels:
        yield _kernels(inspection)
    if wanted.ir is not None:
        kernel = _kernel(inspection, wanted.ir)
        yield "llvm_ir", kernel.llvm_ir, [kernel.llvm_ir]
    if wanted.assembly is not None:
        kernel = _kernel(inspection, wanted.assembly)
        yield "assembly", kernel.assembly, [kernel.assembly]
    if wanted.buffers:
        yield _buffers(inspection)
    if source is not None:
        yield _profile(inspection, source, threads)


def _steps(inspection: Inspection) -> tuple[str, Any, list[object]]:
    steps = inspection.steps
    rows = [
        (
            index,
            step.kind,
            _counts(step.operators) if step.kind in ("native", "late") else step.nodes[0],
            step.inside,
            step.reason,
        )
        for index, step in enumerate(steps)
    ]
    view = table("Steps", ["step", "kind", "operators", "inside", "why not native"], rows, left=5)
    return "steps", [asdict(step) for step in steps], [view]


def _counts(operators: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in operators.items())


def _passes(inspection: Inspection) -> tuple[str, Any, list[object]]:
    passes = inspection.passes
    rows = [(p.name, p.reason, p.nodes_before, p.nodes_after, p.changes, seconds_text(p.seconds)) for p in passes]
    columns = ["pass", "why here", "nodes before", "after", "edits", "time"]
    view = table("Passes, in order", columns, rows, left=2)
    return "passes", [asdict(p) for p in passes], [view]


def _graph(inspection: Inspection, name: str) -> tuple[str, Any, list[object]]:
    found = [p for p in inspection.passes if p.name == name]
    if not found:
        known = ", ".join(p.name for p in inspection.passes)
        raise InvalidInputError(f"no pass is called {name!r}; the passes are: {known}")
    one = found[0]
    views = [Text(f"Before {name}", "bold"), one.before, "", Text(f"After {name}", "bold"), one.after]
    return "graph", {"pass": name, "before": one.before, "after": one.after}, views


def _kernels(inspection: Inspection) -> tuple[str, Any, list[object]]:
    kernels = inspection.kernels
    rows = [(k.index, k.step, k.name, k.nodes, k.tasks, k.work) for k in kernels]
    view = table(
        "Kernels, in the order of their calls", ["call", "step", "kernel", "computes", "tasks", "work"], rows, left=4
    )
    distinct = f"{len(kernels)} calls of {len({k.symbol for k in kernels})} distinct kernels; show one: --ir CALL"
    return "kernels", [k.plain() for k in kernels], [view, distinct]


def _kernel(inspection: Inspection, wanted: str) -> KernelRecord:
    """A kernel by the number of its call, its name or its linker symbol."""
    for kernel in inspection.kernels:
        if wanted in (str(kernel.index), kernel.name, kernel.symbol):
            return kernel
    raise InvalidInputError(f"no kernel is called {wanted!r}; `sardonyx inspect --kernels` lists them")


def _buffers(inspection: Inspection) -> tuple[str, Any, list[object]]:
    buffers = inspection.buffers
    rows = [(b.step, b.kind, b.bytes, b.offset, b.first, b.last) for b in buffers]
    columns = ["step", "kind", "bytes", "offset", "first call", "last call"]
    return "buffers", [asdict(b) for b in buffers], [table("Buffers", columns, rows, left=2)]


def _profile(inspection: Inspection, source: FeedSource, threads: int) -> tuple[str, Any, list[object]]:
    session = open_session(inspection.path, threads=threads, quiet=True)
    times = profile(session.program, source.feeds(session))
    total = sum(time.seconds for time in times) or 1.0
    slowest = sorted(times, key=lambda time: -time.seconds)
    rows = [(t.index, t.name, t.nodes, seconds_text(t.seconds), f"{t.seconds / total:.1%}") for t in slowest]
    view = table("Time per kernel call, slowest first", ["call", "kernel", "computes", "time", "share"], rows, left=3)
    return "profile", [asdict(time) for time in times], [view, f"all kernels: {seconds_text(total)} a run"]
