"""Data for a certificate from arrays, tables and files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sardonyx.errors import ConversionError, MissingPackageError
from sardonyx.session.arguments import NodeArg

__all__ = ["read_data"]


def read_data(data: Any, inputs: Sequence[NodeArg], columns: Mapping[str, Sequence[str]] | None = None) -> Any:
    """Arrays by input name, or one array for a model of one input.

    ``data`` is that already, or a table (named columns and ``to_numpy``), or the path of a .npz, .npy, .json, .csv or
    .parquet file. A table's columns go to the inputs of their names, or together into the model's one input: those
    that ``columns`` names for it, in that order, or all.
    """
    known = columns or {}
    if isinstance(data, str | Path):
        return _from_table(_read(Path(data)), inputs, known)
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        return _from_table({str(c): data[c].to_numpy() for c in data.columns}, inputs, known)
    return data


def _read(path: Path) -> Any:
    readers = {".npz": _npz, ".npy": _npy, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConversionError(f"{path}: data is read from {', '.join(readers)} files")
    try:
        return reader(path)
    except (OSError, ValueError, csv.Error) as error:
        raise ConversionError(f"{path}: cannot be read as {path.suffix}: {error}") from error


def _npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _json(path: Path) -> Any:
    content = json.loads(path.read_text())
    return {k: np.asarray(v) for k, v in content.items()} if isinstance(content, dict) else np.asarray(content)


def _csv(path: Path) -> Any:
    """Columns by the names in the first line; a column is numbers when all of it is, an empty cell then being NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if len(lines) < 2:
        raise ValueError("expected a line of column names and at least one row")
    widths = {len(line) for line in lines if line}
    if len(widths) != 1:
        raise ValueError(f"rows of different lengths: {sorted(widths)}")
    columns = zip(*(line for line in lines if line), strict=True)
    return {column[0]: _column(column[1:]) for column in columns}


def _column(cells: Sequence[str]) -> Any:
    try:
        return np.asarray([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.asarray(cells, object)


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from error
    table = parquet.read_table(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _from_table(columns: Any, inputs: Sequence[NodeArg], known: Mapping[str, Sequence[str]]) -> Any:
    """Columns that are the inputs stay so; columns of the one input's width are put side by side."""
    names = [value.name for value in inputs]
    if not isinstance(columns, Mapping) or set(names) <= set(columns):
        return {name: columns[name] for name in names} if isinstance(columns, Mapping) else columns
    wanted = known.get(names[0], ()) if len(names) == 1 else ()
    chosen = wanted if wanted and set(wanted) <= set(columns) else columns
    arrays = [np.asarray(columns[name]) for name in chosen]
    if len(inputs) != 1 or any(array.ndim != 1 for array in arrays):
        raise ConversionError(f"the data has the columns {list(columns)}, the model's inputs are {names}")
    return {names[0]: np.stack(arrays, axis=1)}
