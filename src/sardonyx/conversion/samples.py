"""Data that the source and its conversion both run on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.conversion.framework import Arrays, Domain
from sardonyx.errors import ConversionError
from sardonyx.session.arguments import NodeArg

__all__ = ["Samples", "generated", "given", "next_to_splits"]

_LARGEST_BATCH = 1 << 21  # elements of one call's inputs
_DEFAULT_SIZE = 8
_MISSING_SHARE = 0.05
_MOST_SPLIT_ROWS = 200_000
_WORDS = ("alpha", "beta", "gamma", "delta", "the quick brown fox", "Ünïcödé", "", "42")


@dataclass(frozen=True)
class Samples:
    """Calls of the model, and where their data came from: ``given``, ``training`` (ranges that the model holds) or
    ``types`` (only the declared types are known). ``batched`` says that the first axis of every input counts rows."""

    calls: list[Arrays]
    origin: str
    batched: bool


def given(inputs: Sequence[NodeArg], data: Mapping[str, Any]) -> Samples:
    """The caller's data; raises ConversionError for a name that is missing or unknown."""
    names = [value.name for value in inputs]
    if set(names) != set(data):
        raise ConversionError(f"the data holds {sorted(data)}, the model's inputs are {names}")
    arrays = {value.name: _as_input(value, data[value.name]) for value in inputs}
    batched = _is_batched(inputs)
    if not batched:
        return Samples([arrays], "given", False)
    rows = {array.shape[0] if array.ndim else 1 for array in arrays.values()}
    if len(rows) != 1:
        raise ConversionError(f"the inputs have different numbers of rows: {sorted(rows)}")
    return Samples(list(_split(arrays, _rows_of_a_call(arrays))), "given", True)


def generated(
    inputs: Sequence[NodeArg],
    domains: Mapping[str, Domain],
    sizes: Mapping[str, int],
    rows: int,
    seed: int,
    origin: str,
    other_sizes: Mapping[str, int] | None = None,
) -> Samples:
    """Seeded random data within the domains; where there is none, of the declared type: floats standard normal,
    integers 0 and 1, strings from a few words. With ``other_sizes``, one more row has those."""
    rng = np.random.default_rng(seed)
    if not _is_batched(inputs):
        varied = [{**sizes, **other} for other in _other_sizes(inputs, sizes)]
        shapes = [{v.name: _shape(v, None, chosen) for v in inputs} for chosen in varied]
        calls = [{v.name: _drawn(rng, v, shape[v.name], domains.get(v.name)) for v in inputs} for shape in shapes]
        return Samples(calls, origin, False)
    per_row = sum(int(np.prod(_shape(v, 1, sizes))) for v in inputs)
    rows = max(2, min(rows, _LARGEST_BATCH * 4 // max(per_row, 1)))
    arrays = {v.name: _drawn(rng, v, _shape(v, rows, sizes), domains.get(v.name)) for v in inputs}
    calls = list(_split(arrays, _rows_of_a_call(arrays)))
    if other_sizes:
        other = {v.name: _drawn(rng, v, _shape(v, 1, other_sizes), domains.get(v.name)) for v in inputs}
        calls.insert(0, other)
    return Samples(calls, origin, True)


def next_to_splits(
    base: Arrays, splits: Mapping[str, Sequence[npt.NDArray[np.float64]]], seed: int
) -> Iterator[Arrays]:
    """Rows of ``base`` with one value replaced by a split value, and by its nearest neighbours in the input's type
    above and below: where a comparison that was rounded the wrong way shows. At most 200,000 rows, evenly spread, in
    batches."""
    rng = np.random.default_rng(seed)
    for name, columns in splits.items():
        wanted = [_around(np.asarray(values, np.float64), base[name].dtype) for values in columns]
        share = min(1.0, _MOST_SPLIT_ROWS / max(1, sum(map(len, wanted))))
        for column, values in enumerate(wanted):
            if share < 1:
                values = values[:: int(np.ceil(1 / share))]
            for begin in range(0, len(values), 4096):
                chosen = values[begin : begin + 4096]
                rows = rng.integers(0, base[name].shape[0], len(chosen))
                feeds = {key: array[rows] for key, array in base.items()}
                feeds[name].reshape(len(chosen), -1)[:, column] = chosen
                yield feeds


def _around(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Each value as the input's type can hold it, and the numbers beside it."""
    unique = np.unique(values[np.isfinite(values)])
    if dtype.kind != "f":
        near = np.concatenate([np.floor(unique), np.ceil(unique), np.floor(unique) - 1, np.ceil(unique) + 1])
        return np.unique(near.astype(dtype))
    with np.errstate(over="ignore"):
        near = unique.astype(dtype)
        near = np.concatenate([near, np.nextafter(near, dtype.type(-np.inf)), np.nextafter(near, dtype.type(np.inf))])
    return np.unique(near[np.isfinite(near)])


def _is_batched(inputs: Sequence[NodeArg]) -> bool:
    firsts = {value.shape[0] if value.shape else 0 for value in inputs}
    return len(firsts) == 1 and not isinstance(next(iter(firsts)), int)


def _other_sizes(inputs: Sequence[NodeArg], sizes: Mapping[str, int]) -> list[dict[str, int]]:
    """Four calls: where the first input's first axis is open, it has other sizes in two of them."""
    first = inputs[0].shape[0] if inputs and inputs[0].shape else 0
    if isinstance(first, int):
        return [{}] * 4
    usual = sizes.get(str(first), _DEFAULT_SIZE)
    return [{str(first): size} for size in (usual, 1, usual + 3, usual)]


def _rows_of_a_call(arrays: Arrays) -> int:
    per_row = sum(array[:1].size for array in arrays.values())
    return max(1, _LARGEST_BATCH // max(per_row, 1))


def _split(arrays: Arrays, most: int) -> Iterator[Arrays]:
    """One call with one row, which shows that the batch is open, then the rest."""
    rows = next(iter(arrays.values())).shape[0]
    bounds = [0, min(1, rows), *range(1 + most, rows, most), rows]
    for begin, end in itertools.pairwise(bounds):
        if end > begin:
            yield {name: array[begin:end] for name, array in arrays.items()}


def _shape(value: NodeArg, rows: int | None, sizes: Mapping[str, int]) -> tuple[int, ...]:
    made = []
    for axis, size in enumerate(value.shape or ()):
        if isinstance(size, int):
            made.append(size)
        elif axis == 0 and rows is not None:
            made.append(rows)
        else:
            made.append(sizes.get(str(size), _DEFAULT_SIZE))
    return tuple(made)


def _element_type(value: NodeArg) -> dtypes.DType:
    for dtype in dtypes.ALL:
        if value.type == f"tensor({dtype.ort_name})":
            return dtype
    raise ConversionError(f"input {value.name!r} is a {value.type}: give data for it, random data needs tensors")


def _drawn(rng: np.random.Generator, value: NodeArg, shape: tuple[int, ...], domain: Domain | None) -> npt.NDArray[Any]:
    dtype = _element_type(value)
    domain = domain or Domain()
    if domain.padding and shape:
        return np.asarray(np.arange(shape[-1]) < rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))).astype(dtype.numpy)
    if dtype.kind == "s":
        drawn = _from_points(rng, shape, domain.points or [np.asarray(_WORDS, object)]).astype(object)
    elif dtype.kind == "b":
        drawn = rng.integers(0, 2, shape).astype(np.bool_)
    elif dtype.kind in "iu":
        low, high = (0 if domain.low is None else domain.low), (1 if domain.high is None else domain.high)
        drawn = rng.integers(np.asarray(low, np.int64), np.asarray(high, np.int64), shape, endpoint=True)
    elif domain.low is not None and domain.high is not None:
        low, high = np.asarray(domain.low, np.float64), np.asarray(domain.high, np.float64)
        drawn = low + (high - low) * rng.random(shape)
    else:
        drawn = rng.standard_normal(shape)
    if dtype.kind in "iuf" and domain.points:
        drawn = np.where(rng.random(shape) < 0.5, _from_points(rng, shape, domain.points), drawn)
    if domain.missing:
        gap: Any = "" if dtype.kind == "s" else np.nan
        drawn = np.where(rng.random(shape) < _MISSING_SHARE, gap, drawn)
    return np.asarray(drawn).astype(dtype.numpy)


def _from_points(
    rng: np.random.Generator, shape: tuple[int, ...], points: Sequence[npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    if len(points) == 1 or not shape:
        return np.asarray(points[0][rng.integers(0, len(points[0]), shape)])
    columns = [np.asarray(p if len(p) else [0])[rng.integers(0, max(len(p), 1), shape[:-1])] for p in points]
    return np.stack(columns, axis=-1)


def _as_input(value: NodeArg, data: Any) -> npt.NDArray[Any]:
    """Data as the input has it: cast to its type, and a column of shape (rows,) where the model takes (rows, 1)."""
    dtype = _element_type(value)
    try:
        array = np.asarray(data).astype(dtype.numpy)
    except (ValueError, TypeError) as error:
        raise ConversionError(f"the data of input {value.name!r} cannot become {dtype.name}: {error}") from error
    if array.ndim + 1 == len(value.shape) and value.shape[-1] == 1:
        array = array[..., None]
    if array.ndim != len(value.shape):
        raise ConversionError(f"input {value.name!r} takes shape {list(value.shape)}, the data has {list(array.shape)}")
    return array
