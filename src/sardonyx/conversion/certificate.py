"""How far a conversion is from its source, measured on data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

__all__ = ["Certificate", "Measure", "OutputFigures", "Thresholds", "WorstRow"]

_WORST_ROWS = 5
_PAIRS = 400
_FLOAT32, _FLOAT64 = 1e-5, 1e-12


@dataclass(frozen=True)
class WorstRow:
    """A row of the data and its largest difference."""

    row: int
    source: str
    converted: str
    absolute: float


@dataclass(frozen=True)
class OutputFigures:
    """What one output's comparison gave.

    ``kind`` is ``labels`` (integers, strings, booleans: must be equal), ``scores`` (floats of shape rows by classes),
    ``steps`` (quantised: at most one ``step`` apart) or ``numbers``. ``flips`` counts rows whose label, or class of the
    largest score, differs (among ``steps``: by more than a tie of neighbours). ``relative`` is the largest
    ``|source - converted| / max(|source|, r)``, with r the output's root mean square: what cancels to almost zero
    counts by the size of its neighbours. ``ulp`` is the largest distance in representable numbers of the type that the
    output is computed in, among elements of at least size r. ``decades`` counts elements by the power of ten that
    their relative difference is below (the first entry: equal ones), ``pairs`` is a sample of elements of both sides.
    """

    name: str
    kind: str
    rows: int
    absolute: float
    relative: float
    ulp: float
    flips: int
    worst: tuple[WorstRow, ...] = ()
    problem: str = ""
    decades: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    step: float = 0.0

    def within(self, tolerance: float) -> bool:
        """Whether this output counts as equal."""
        if self.problem or self.flips:
            return False
        return self.absolute <= self.step * (1 + _FLOAT32) if self.step else self.relative <= tolerance


@dataclass(frozen=True)
class Thresholds:
    """Trees: how many values are compared with, how many rows at and next to them ran, and how many differed."""

    values: int
    rows: int
    differ: int


@dataclass
class Certificate:
    """The evidence: who was compared with whom, on what, and how far they are apart."""

    source: dict[str, Any]
    model: dict[str, Any]
    engine: str
    data: dict[str, Any]
    outputs: list[OutputFigures]
    tolerance: float
    versions: dict[str, str]
    thresholds: Thresholds | None = None
    notes: list[str] = field(default_factory=list)
    first_difference: str = ""

    @property
    def passed(self) -> bool:
        """No label flips, every output within tolerance, and no comparison of a tree rounded the wrong way."""
        fine = all(output.within(self.tolerance) for output in self.outputs)
        return fine and (self.thresholds is None or self.thresholds.differ == 0)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        record = {"passed": self.passed, **asdict(self)}
        for output in record["outputs"]:
            del output["pairs"]
        return record


class Measure:
    """Collects the differences of one output, call by call. ``step`` is the distance of neighbours where the output is
    quantised; ``float64`` says that what is given in float64 is also computed in it."""

    def __init__(self, name: str, step: float = 0.0, float64: bool = True) -> None:
        self.name = name
        self.step = step
        self.float64 = float64
        self._source: list[npt.NDArray[Any]] = []
        self._converted: list[npt.NDArray[Any]] = []
        self._problem = ""

    def add(self, source: Any, converted: Any) -> None:
        """One call's results. A source that gives (rows,) where the model gives (rows, 1) is the same."""
        ours, theirs = np.asarray(converted), np.asarray(source)
        if ours.shape != theirs.shape and ours.size == theirs.size and ours.shape[:1] == theirs.shape[:1]:
            theirs = theirs.reshape(ours.shape)
        if ours.shape != theirs.shape:
            self._problem = f"the source gives shape {list(theirs.shape)}, the conversion {list(ours.shape)}"
            return
        self._source.append(theirs)
        self._converted.append(ours)

    def figures(self) -> OutputFigures:
        """The figures of everything that was added."""
        if self._problem or not self._source:
            return OutputFigures(
                self.name, "numbers", 0, 0.0, 0.0, 0.0, 0, (), self._problem or "the model gave nothing"
            )
        source, converted = ([_rows(part) for part in side] for side in (self._source, self._converted))
        if len({part.shape[1] for part in source}) > 1:  # sizes differ from call to call: compare element by element
            source, converted = ([part.reshape(-1, 1) for part in side] for side in (source, converted))
        theirs, ours = np.concatenate(source), np.concatenate(converted)
        if ours.dtype.kind != "c" and not is_float(ours.dtype) and not self.step:
            return self._labels(theirs, ours)
        return self._numbers(theirs, ours, self._source[0].ndim == 2 and theirs.shape[1] > 1)

    def _labels(self, theirs: npt.NDArray[Any], ours: npt.NDArray[Any]) -> OutputFigures:
        wrong = np.any(_comparable(theirs, ours) != _comparable(ours, theirs), axis=1)
        worst = tuple(
            WorstRow(int(r), _shown(theirs[r]), _shown(ours[r]), float("inf"))
            for r in np.flatnonzero(wrong)[:_WORST_ROWS]
        )
        return OutputFigures(self.name, "labels", len(ours), 0.0, 0.0, 0.0, int(wrong.sum()), worst)

    def _numbers(self, theirs: npt.NDArray[Any], ours: npt.NDArray[Any], scores: bool) -> OutputFigures:
        wide: Any = np.complex128 if ours.dtype.kind == "c" else np.float64
        a, b = theirs.astype(wide), ours.astype(wide)
        with np.errstate(all="ignore"):
            apart = np.abs(a - b)
            apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
            apart[np.isnan(apart)] = np.inf
            finite = np.abs(a[np.isfinite(a)])
            typical = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
            size = np.maximum(np.abs(np.where(np.isfinite(a), a, 0)), typical)
            relative = np.where(apart == 0, 0, apart / np.where(size == 0, 1, size))
        large = np.abs(a) >= typical
        unit = ours.dtype if self.float64 or ours.dtype != np.float64 else np.dtype(np.float32)
        ulp = _ulp(a[large], b[large], unit) if is_float(ours.dtype) and not self.step else 0.0
        flips = self._flips(a, b) if scores and len(a) else 0
        per_row = apart.max(axis=1, initial=0)
        worst = tuple(
            WorstRow(int(r), _shown(theirs[r]), _shown(ours[r]), float(per_row[r]))
            for r in np.argsort(-per_row, kind="stable")[:_WORST_ROWS]
            if per_row[r] > 0
        )
        largest = float(apart.max(initial=0)), float(relative.max(initial=0)), ulp
        kind = "steps" if self.step else "scores" if scores else "numbers"
        pairs = () if ours.dtype.kind == "c" else _pairs(a, b)
        decades = _decades(relative)
        return OutputFigures(self.name, kind, len(ours), *largest, flips, worst, "", decades, pairs, self.step)

    def _flips(self, theirs: npt.NDArray[Any], ours: npt.NDArray[Any]) -> int:
        """Rows whose class differs. Classes one quantised step apart in the source tie."""
        differ = np.argmax(theirs, axis=1) != np.argmax(ours, axis=1)
        if self.step:
            chosen = np.take_along_axis(theirs, np.argmax(ours, axis=1)[:, None], axis=1)[:, 0]
            differ &= theirs.max(axis=1) - chosen > self.step * (1 + _FLOAT32)
        return int(differ.sum())


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether a type holds real numbers, the small ones of ml_dtypes included."""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def default_tolerance(dtypes: Mapping[str, np.dtype[Any]], float64: bool) -> float:
    """The relative tolerance for outputs of these types: 1e-5 of float32 and 1e-12 of a model that computes in float64;
    coarser types get ten units in their last place."""
    finfo: Any = ml_dtypes.finfo
    coarse = [float(finfo(dtype).eps) for dtype in dtypes.values() if is_float(dtype) and dtype.itemsize < 4]
    return max(_FLOAT64 if float64 else _FLOAT32, 10 * max(coarse, default=0.0))


def _decades(relative: npt.NDArray[Any]) -> tuple[tuple[int, int], ...]:
    """How many elements are equal, and how many more below each power of ten."""
    exponents = np.ceil(np.log10(relative[(relative > 0) & np.isfinite(relative)])).astype(np.int64)
    numbers, counts = np.unique(exponents, return_counts=True)
    lowest = int(numbers.min()) if numbers.size else -7
    found = {lowest - 1: int((relative == 0).sum())}
    found |= dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return tuple(sorted(found.items())) if relative.size else ()


def _pairs(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[tuple[float, float], ...]:
    finite = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    chosen = finite[:: max(1, len(finite) // _PAIRS)][:_PAIRS]
    return tuple(zip(a.reshape(-1)[chosen].tolist(), b.reshape(-1)[chosen].tolist(), strict=True))


def _rows(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return part.reshape(part.shape[0], -1) if part.ndim and part.shape[0] else part.reshape(-1, 1)


def _comparable(values: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels as text where one side has text."""
    return values.astype(str) if values.dtype.kind in "OSUT" or other.dtype.kind in "OSUT" else values


def _ulp(a: npt.NDArray[Any], b: npt.NDArray[Any], dtype: np.dtype[Any]) -> float:
    """The largest distance in units in the last place of ``dtype`` at ``a``."""
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return 0.0
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(a[both]).astype(dtype)).astype(np.float64)
        return float(np.nan_to_num(np.abs(a[both] - b[both]) / unit).max())


def _shown(row: npt.NDArray[Any]) -> str:
    text = " ".join(f"{v:.8g}" if isinstance(v, float) else str(v) for v in row[:6].tolist())
    return text + (" ..." if row.size > 6 else "")
