"""``sardonyx run``: one run, its outputs shown or written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import sardonyx
from sardonyx import metadata
from sardonyx.cli.output import emit, seconds_text, table
from sardonyx.cli.sessions import open_session
from sardonyx.cli.source import FeedSource

__all__ = ["run"]

SHOWN_ELEMENTS = 8
SHOWN_CLASSES = 3
SHOWN_ROWS = 10


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
    named = _named(session, results)
    record = {
        "model": str(model),
        "load_seconds": loaded - start,
        "run_seconds": done - fed,
        "inputs": {name: _describe(value) for name, value in feeds.items()},
        "outputs": {name: _describe(value, values=output is None) for name, value in results.items()},
    }
    if named:
        record["classes"] = named
    rows = [(name, *_row(value), _preview(value)) for name, value in results.items()]
    emit(
        record,
        as_json,
        table(f"Outputs of {model.name}", ["output", "type", "shape", "values"], rows, left=4),
        *_class_table(named),
        f"loaded in {seconds_text(loaded - start)}, ran in {seconds_text(done - fed)}",
        *([f"written to {output}"] if output else []),
    )


def _named(session: sardonyx.InferenceSession, results: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Per row of scores the best classes by name, where the model carries names (``metadata.CLASSES``)."""
    classes = metadata.read(session.get_modelmeta().custom_metadata_map, metadata.CLASSES)
    by_output = classes if isinstance(classes, dict) else {}
    for name, value in results.items():
        names = by_output.get(name, classes if isinstance(classes, list) else None)
        scores = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 2
        if isinstance(names, list) and scores and value.shape[1] == len(names):
            best = np.argsort(-value.astype(np.float64), axis=1, kind="stable")[:, :SHOWN_CLASSES]
            return [
                [{"class": str(names[i]), "score": float(row[i])} for i in top]
                for row, top in zip(value, best, strict=True)
            ]
    return []


def _class_table(named: list[list[dict[str, Any]]]) -> list[object]:
    if not named:
        return []
    rows = [
        (index, *(f"{best['class']} ({best['score']:.4g})" for best in row))
        for index, row in enumerate(named[:SHOWN_ROWS])
    ]
    return [table("Classes by score", ["row", "best", *[""] * (len(named[0]) - 1)], rows, left=len(named[0]) + 1)]


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
