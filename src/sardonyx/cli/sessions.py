"""Opening a session for a command, with a progress bar while it compiles."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import sardonyx
from sardonyx.cli.output import console

__all__ = ["open_session"]


def open_session(
    model: Path, *, threads: int = 0, strict: bool = False, quiet: bool = False
) -> sardonyx.InferenceSession:
    """A session on a model file; 0 threads means the default, ``strict`` refuses operators that would run in Python."""
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    options.strict = strict
    with ExitStack() as stack:
        if not quiet and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            bar = stack.enter_context(Progress(*columns, console=console(stderr=True), transient=True))
            task = bar.add_task("reading the model", total=None)
            options.on_progress = lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            )
        return sardonyx.InferenceSession(model, options)
