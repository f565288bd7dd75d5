"""``sardonyx compare``: where two engines, models or sets of passes part."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from sardonyx.cli.output import FAILED, emit, table
from sardonyx.cli.source import FeedSource
from sardonyx.graph import read_model
from sardonyx.inspection import Candidate, Comparison, Difference, Tolerance
from sardonyx.inspection import compare as compare_candidates
from sardonyx.ops.registry import foreign_operators
from sardonyx.session.arguments import NodeArg

__all__ = ["Settings", "compare"]


@dataclass(frozen=True)
class Settings:
    """What is compared with the first model; settings of sardonyx are those of the second side."""

    engine_a: str
    engine_b: str
    disabled_passes: tuple[str, ...]
    level: int
    exact_convolution: bool
    target: str
    threads: int


def compare(
    first: Path,
    second: Path | None,
    source: FeedSource,
    settings: Settings,
    *,
    tolerance: Tolerance,
    output: Path | None,
    as_json: bool,
) -> None:
    """Prints the outputs' largest differences and the first node that makes one; exits with 1 where there is one."""
    a = Candidate.load(first, engine=settings.engine_a, threads=settings.threads)
    b = _second(a, second, settings)
    feeds = source.feeds(_Described(first))
    found = compare_candidates(a, b, feeds, tolerance=tolerance, output=output)
    emit(found.plain(), as_json, *_shown(found))
    if not found.same:
        sys.exit(FAILED)


class _Described:
    """A model's inputs, as a session would tell them, without compiling it."""

    def __init__(self, path: Path) -> None:
        self._inputs = read_model(path, custom_ops=foreign_operators()).inputs

    def get_inputs(self) -> list[NodeArg]:
        return [NodeArg(value.name, value.type, list(value.shape or ())) for value in self._inputs]


def _second(a: Candidate, second: Path | None, settings: Settings) -> Candidate:
    """The other side: another model under the same engine, or the same one under another engine or other passes."""
    own = bool(settings.disabled_passes or settings.level != 99 or settings.exact_convolution or settings.target)
    engine = settings.engine_b or ("sardonyx" if own else a.engine if second is not None else _another(a.engine))
    options = {
        "engine": engine,
        "disabled_passes": settings.disabled_passes,
        "level": settings.level,
        "exact_convolution": settings.exact_convolution,
        "target": settings.target,
        "threads": settings.threads,
    }
    return Candidate.load(a.model, name=a.name, **options) if second is None else Candidate.load(second, **options)


def _another(engine: str) -> str:
    """ONNX Runtime beside sardonyx where it is installed, else the reference implementation."""
    import importlib.util

    if engine != "sardonyx":
        return "sardonyx"
    return "reference" if importlib.util.find_spec("onnxruntime") is None else "onnxruntime"


def _shown(found: Comparison) -> list[object]:
    rows = [_row(output) for output in found.outputs]
    columns = ["output", "type", "", "absolute", "relative", "where", "a", "b"]
    shown: list[object] = [f"a: {found.a}", f"b: {found.b}", table("Largest differences", columns, rows, left=3)]
    first = found.first
    if first is None:
        return [*shown, "no output differs beyond tolerance"]
    what = (
        "The outputs part, though every value between agrees once it is an output: look at fusion before"
        if (first.fused)
        else "The first node whose result differs is"
    )
    shown.append(f"{what} {first.node!r} ({first.operator})")
    shown.append(table("", columns, [_row(first.difference)], left=3))
    if len(first.nodes) > 1:
        shown.append(f"between values that agree lie: {', '.join(first.nodes)}")
    alone = "differ on the same inputs too" if first.reproduced else "agree on the same inputs"
    shown.append(f"alone, these {len(first.nodes)} node(s) {alone}")
    shown += [f"written: {name}" for name in first.files]
    return shown


def _row(item: Difference) -> tuple[object, ...]:
    verdict = "same" if item.same else "DIFFERS"
    if item.reason:
        return (item.name, item.type, verdict, item.reason, "", "", "", "")
    where = str(list(item.where)) if not item.same else ""
    return (item.name, item.type, verdict, f"{item.absolute:.3g}", f"{item.relative:.3g}", where, item.a, item.b)
