"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from sardonyx.errors import SardonyxError

__all__ = [
    "bytes_text",
    "console",
    "emit",
    "errors_as_messages",
    "operations_text",
    "progress",
    "seconds_text",
    "table",
]

# Failures of a model or an input, as opposed to 2, which typer uses for a command line that it cannot read.
FAILED = 1


# Where the output is no terminal there is no width to keep to: pipes and files get every line whole.
UNBOUNDED = 1000


def console(*, stderr: bool = False) -> Console:
    """Where people read; plain text when it is not a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else UNBOUNDED)


def emit(record: dict[str, Any], as_json: bool, *shown: object) -> None:
    """Prints ``record`` as JSON, or ``shown`` (tables, lines) for people."""
    if as_json:
        print(json.dumps(record, indent=2, default=str))
        return
    out = console()
    for item in shown:
        out.print(Text(item) if isinstance(item, str) else item)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> Table:
    """A table whose first ``left`` columns are text and whose others are numbers, aligned on the right."""
    made = Table(
        title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))  # a Text, because "[batch]" would be read as markup
    return made


def bytes_text(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def operations_text(count: float) -> str:
    """A number of floating-point operations in the unit that suits it."""
    for unit, size in (("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6), ("kFLOP", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} FLOP"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.1f} us"


@contextmanager
def progress(what: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on the terminal's error stream; gives the function that is told how much is done."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    with Progress(transient=True, console=console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


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
