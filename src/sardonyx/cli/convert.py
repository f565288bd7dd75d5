"""``sardonyx convert``: a trained model to ONNX, and the certificate shown."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sardonyx import dtypes
from sardonyx.cli.output import FAILED, console, emit, table
from sardonyx.conversion import Certificate, recognise
from sardonyx.conversion import convert as convert_source

__all__ = ["Wishes", "convert"]


@dataclass(frozen=True)
class Wishes:
    """The command's options."""

    data: Path | None
    examples: tuple[str, ...]
    factory: str | None
    trust: bool
    opset: int | None
    dynamic: bool
    rows: int
    seed: int
    tolerance: float | None


def convert(
    source: Path, output: Path | None, wishes: Wishes, options: Sequence[str], *, html: Path | None, as_json: bool
) -> None:
    """Converts, writes model and certificate, shows the figures; exits with 1 when they are beyond tolerance."""
    form = recognise(source)
    if not as_json:
        console(stderr=True).print(f"{source}: {form.kind}; converting with {form.tool}", markup=False)
    target = output or Path(source.name).with_suffix(".onnx")
    if target.exists() and source.exists() and target.samefile(source):
        raise typer.BadParameter(f"{target} is the source itself; name another file with --output")
    with ExitStack() as stack:
        result = convert_source(
            source,
            target,
            example_inputs=_examples(wishes.examples),
            data=wishes.data,
            factory=_factory(wishes.factory),
            trust=wishes.trust,
            opset=wishes.opset,
            dynamic=wishes.dynamic,
            rows=wishes.rows,
            seed=wishes.seed,
            tolerance=wishes.tolerance,
            on_progress=_progress(stack, as_json),
            **dict(map(_option, options)),
        )
    if html is not None:
        result.save_html(html)
    certificate = result.certificate
    emit(
        {"path": str(target), "recognised": form.kind, "certificate": certificate.plain()},
        as_json,
        *_shown(certificate),
    )
    if not as_json:
        emit(
            {},
            False,
            f"written: {target}, {target.with_suffix('.certificate.json').name}" + (f", {html}" if html else ""),
        )
        emit({}, False, f"next: sardonyx check {target}")
    if not certificate.passed:
        sys.exit(FAILED)


def _progress(stack: ExitStack, quiet: bool) -> Callable[[str], None] | None:
    if quiet or not sys.stderr.isatty():
        return None
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    terminal = stack.enter_context(os.fdopen(os.dup(sys.stderr.fileno()), "w"))  # exporters' chatter is kept off stderr
    bar = stack.enter_context(Progress(*columns, console=Console(file=terminal), transient=True))
    task = bar.add_task("reading", total=None)
    return lambda text: bar.update(task, description=text)


def _shown(certificate: Certificate) -> list[object]:
    data, rows = certificate.data, []
    for o in certificate.outputs:
        figures = ("", "", "") if o.kind == "labels" else (f"{o.absolute:.2g}", f"{o.relative:.2g}", f"{o.ulp:.0f}")
        rows.append((o.name, o.problem or o.kind, o.rows, *figures, "" if o.kind == "numbers" else o.flips))
    origin = {"given": "your data", "training": "ranges of the training data", "types": "data drawn by type"}
    shown: list[object] = [
        table(
            f"Certificate: {data['rows']} rows ({origin[data['origin']]})",
            ["output", "kind", "rows", "absolute", "relative", "ulp", "label flips"],
            rows,
            left=2,
        )
    ]
    if "computed_by" in certificate.source:
        shown.append(f"the source's answers: {certificate.source['computed_by']}")
    splits = certificate.thresholds
    if splits is not None:
        shown.append(f"{splits.values} split values, {splits.rows} rows at and next to them: {splits.differ} differ")
    shown += [f"repaired: {note}" for note in certificate.notes]
    if certificate.passed:
        return [*shown, f"passed: answers as the source does (tolerance {certificate.tolerance:g} relative)"]
    for o in certificate.outputs:
        shown += [f"{o.name}, row {w.row}: source {w.source}, converted {w.converted}" for w in o.worst[:3]]
    if certificate.first_difference:
        shown.append(f"first layer that differs: {certificate.first_difference}")
    return [*shown, f"DIFFERS beyond tolerance ({certificate.tolerance:g} relative)"]


def _examples(texts: Sequence[str]) -> Any:
    """Arrays by name, or in order: zeros for integers (every vocabulary has a 0), ones for masks, seeded normal numbers
    for floats."""
    rng = np.random.default_rng(0)
    parsed = [_example(text, rng) for text in texts]
    if not parsed:
        return None
    if all(name for name, _ in parsed):
        return dict(parsed)
    if any(name for name, _ in parsed):
        raise typer.BadParameter("--example: name every input or none")
    return tuple(value for _, value in parsed)


def _example(text: str, rng: np.random.Generator) -> tuple[str, Any]:
    name, _, rest = text.rpartition("=")
    sizes, _, kind = rest.partition(":")
    try:
        shape = tuple(int(size) for size in sizes.lower().split("x")) if sizes else ()
        dtype = dtypes.from_name(kind or "float32")
    except (ValueError, KeyError) as error:
        raise typer.BadParameter(f"--example {text}: expected [NAME=]SHAPE[:TYPE], such as ids=1x128:int64") from error
    drawn = rng.standard_normal(shape) if dtype.kind in "fc" else np.full(shape, "mask" in name)
    return name, np.asarray(drawn).astype(dtype.numpy)


def _factory(text: str | None) -> Callable[[], Any] | None:
    """A function of the user's own modules, which the current folder is among."""
    if text is None:
        return None
    module, _, name = text.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise typer.BadParameter(f"--factory {text}: expected MODULE:FUNCTION that can be imported: {error}") from error
    if not callable(found):
        raise typer.BadParameter(f"--factory {text}: {name} is no function")
    return found  # type: ignore[no-any-return]


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--option {text}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
