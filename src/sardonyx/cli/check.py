"""``sardonyx check``: what a model is, what is wrong with it, what runs natively."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from rich.text import Text

from sardonyx.cli.output import emit, table
from sardonyx.inspection import Inspection

__all__ = ["check"]

# The model runs, but not all of it natively: another status than failure, for scripts that insist.
PARTLY_PYTHON = 3


def check(model: Path, *, as_json: bool) -> None:
    """Loads the model, prints a summary, and exits with 3 if some node would run in Python."""
    inspection = Inspection(model)
    steps = inspection.steps
    python = [step for step in steps if step.kind == "python"]
    native: Counter[str] = Counter()
    for step in steps:
        if step.kind == "native":
            native.update(step.operators)
    summary = inspection.summary
    record = {
        "model": str(model),
        "valid": True,
        **summary,
        "native_operators": dict(native.most_common()),
        "python_steps": [{"node": step.nodes[0], "reason": step.reason} for step in python],
        "runs_natively": not python,
    }
    verdict = "Every operator runs natively." if not python else f"{len(python)} nodes run in Python:"
    emit(
        record,
        as_json,
        table(str(model), ["", ""], [(key.replace("_", " "), _text(value)) for key, value in summary.items()], left=2),
        "",
        Text(verdict, "yellow" if python else "green"),
        *([table("", ["node", "why"], [(step.nodes[0], step.reason) for step in python], left=2)] if python else []),
    )
    if python:
        sys.exit(PARTLY_PYTHON)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
