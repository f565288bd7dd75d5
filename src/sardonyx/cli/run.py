"""``sardonyx run``: one run, its outputs shown or written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sardonyx.cli.output import emit, seconds_text, table
from sardonyx.cli.sessions import open_session
from sardonyx.cli.source import FeedSource

__all__ = ["run"]

SHOWN_ELEMENTS = 8


def run(model: Path, source: FeedSource, *, output: Path | None, threads: int, strict: bool, as_json: bool) -> None:
    """Loads, runs once and prints every output: name, dtype, shape and values (or the file they were written to)."""
    start = time.perf_counter()
    session = open_session(model, threads=threads, strict=strict, quiet=as_json)
    loaded = time.perf_counter()
    feeds = source.feeds(session)
    fed = time.perf_counter()
    results = dict(zip((value.name for value in session.get_outputs()), session.run(None, feeds), strict=True))
    done = time.perf_counter()
    if output is not None:
        np.savez(output, **results)
    record = {
        "model": str(model),
        "load_seconds": loaded - start,
        "run_seconds": done - fed,
        "inputs": {name: _describe(value) for name, value in feeds.items()},
        "outputs": {name: _describe(value, values=output is None) for name, value in results.items()},
    }
    rows = [(name, *_row(value), _preview(value)) for name, value in results.items()]
    emit(
        record,
        as_json,
        table(f"Outputs of {model.name}", ["output", "type", "shape", "values"], rows, left=4),
        f"loaded in {seconds_text(loaded - start)}, ran in {seconds_text(done - fed)}",
        *([f"written to {output}"] if output else []),
    )


def _row(value: Any) -> tuple[str, str]:
    if isinstance(value, np.ndarray):
        return str(value.dtype), str(list(value.shape))
    return type(value).__name__, str(len(value)) if hasattr(value, "__len__") else ""


def _preview(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return str(value)[:80]
    flat = value.reshape(-1)
    if value.dtype.kind in "OSU":
        shown = " ".join(map(str, flat[:SHOWN_ELEMENTS]))
    else:
        shown = " ".join(f"{item:.6g}" for item in flat[:SHOWN_ELEMENTS].tolist())
    return shown + (" ..." if flat.size > SHOWN_ELEMENTS else "")


def _describe(value: Any, *, values: bool = False) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        return {"type": type(value).__name__} | ({"data": _plain(value)} if values else {})
    record: dict[str, Any] = {"dtype": str(value.dtype), "shape": list(value.shape)}
    return record | ({"data": _plain(value)} if values else {})


def _plain(value: Any) -> Any:
    """Numbers, strings, lists and dicts, as JSON knows them."""
    if isinstance(value, np.ndarray):
        return (value if value.dtype.kind in "biufOSU" else value.astype(np.float32)).tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value
