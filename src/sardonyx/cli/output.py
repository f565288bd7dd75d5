"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from sardonyx.errors import SardonyxError

__all__ = ["console", "emit", "errors_as_messages", "seconds_text", "table"]

# Failures of a model or an input, as opposed to 2, which typer uses for a command line that it cannot read.
FAILED = 1


def console(*, stderr: bool = False) -> Console:
    """Where people read; plain text when it is not a terminal."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def emit(record: dict[str, Any], as_json: bool, *shown: object) -> None:
    """Prints ``record`` as JSON, or ``shown`` (tables, lines) for people."""
    if as_json:
        print(json.dumps(record, indent=2, default=str))
        return
    out = console()
    for item in shown:
        out.print(item)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> Table:
    """A table whose first ``left`` columns are text and whose others are numbers, aligned on the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.1f} us"


@contextmanager
def errors_as_messages(as_json: bool) -> Iterator[None]:
    """Turns an error that sardonyx raises on purpose into one message and exit status 1; no traceback."""
    try:
        yield
    except (SardonyxError, FileNotFoundError) as error:
        if as_json:
            print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}, indent=2))
        else:
            console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: ", end="")
            print(error, file=sys.stderr)
        sys.exit(FAILED)
