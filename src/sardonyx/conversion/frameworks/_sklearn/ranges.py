"""Values that the inputs take, as far as the estimator remembers its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.conversion.framework import Domain
from sardonyx.conversion.frameworks._sklearn.boosters import is_booster
from sardonyx.conversion.frameworks._sklearn.flow import Visit
from sardonyx.conversion.frameworks._sklearn.signature import Column, Signature
from sardonyx.conversion.frameworks._sklearn.splits import thresholds
from sardonyx.conversion.frameworks._sklearn.steps import kind_of

__all__ = ["domains"]

_DOCUMENTS = 300
_LARGEST = 1e30  # beyond are thresholds that tell missing values from all others
_SPREAD = 2.5


def domains(called: Signature, visited: list[Visit]) -> Mapping[str, Domain]:
    """What each input may hold; nothing where the model remembers nothing."""
    if called.form == "text":
        words = sorted({w for visit in visited for w in getattr(visit.estimator, "vocabulary_", ())})
        return {"X": Domain(points=[_documents(words)])} if words else {}
    if called.form == "labels":
        known = np.asarray(visited[0].estimator.classes_)
        return {"X": Domain(low=known.min(), high=known.max())} if known.dtype.kind in "iu" else _labels(known)
    found = [_column(column, i, visited) for i, column in enumerate(called.columns)]
    if called.form == "columns":
        return {c.name: d for c, d in zip(called.columns, found, strict=True) if d is not None}
    if not any(found):
        return {}
    if called.columns[0].text:
        return {"X": Domain(points=[_only(d) for d in found])}
    low = [np.min(d.low) if d is not None and d.low is not None else -1.0 for d in found]
    high = [np.max(d.high) if d is not None and d.high is not None else 1.0 for d in found]
    points = [np.asarray(d.points[0]) if d is not None and d.points else np.zeros(0) for d in found]
    points = [p if len(p) else np.linspace(lo, hi, 7) for p, lo, hi in zip(points, low, high, strict=True)]
    missing = any(d is not None and d.missing for d in found)
    return {"X": Domain(low, high, points if any(d and d.points for d in found) else (), missing)}


def _labels(known: npt.NDArray[Any]) -> dict[str, Domain]:
    return {"X": Domain(points=[known.astype(object)])}


def _only(domain: Domain | None) -> npt.NDArray[Any]:
    return np.asarray(domain.points[0], object) if domain is not None and domain.points else np.asarray([""], object)


def _column(column: Column, index: int, visited: list[Visit]) -> Domain | None:
    """What the estimators know of one column: the first that knows its range, and every one's categories."""
    if column.text:
        return _text(column, visited)
    low = high = None
    points: list[npt.NDArray[np.float64]] = []
    missing = any(tag is not None and tag.source == index for visit in visited for tag in visit.tags)
    for visit in visited:
        for position, tag in enumerate(visit.tags):
            if tag is None or tag.source != index:
                continue
            missing &= tag.filled or _takes_missing(visit.estimator)
            known = _known(visit.estimator, position)
            if known is None or not len(known):
                continue
            values = np.sort(tag.back(known[np.abs(known) < _LARGEST]))
            if not len(values):
                continue
            if kind_of(visit.estimator) in ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
                return Domain(values.min(), values.max(), [values, values], missing)
            if low is None:
                low, high = values[0], values[-1]
            if len(known) > 2:
                points.append(values)
    if low is None or high is None:
        return Domain(-1.0, 1.0, (), True) if missing else None
    return Domain(low, high, [np.concatenate(points)] if points else (), missing)


def _text(column: Column, visited: list[Visit]) -> Domain:
    values: list[str] = []
    missing = False
    for reader, position in column.readers:
        missing |= kind_of(reader) == "SimpleImputer"
        if hasattr(reader, "vocabulary_"):
            values += list(_documents(sorted(reader.vocabulary_)))
        if hasattr(reader, "categories_"):
            values += [v for v in reader.categories_[position] if isinstance(v, str)]
            if getattr(reader, "handle_unknown", "error") != "error":
                values.append("never seen")
        elif hasattr(reader, "statistics_"):
            values += _later_categories(column, visited)
    return Domain(points=[np.asarray(values or ["a", "b"], object)], missing=missing)


def _later_categories(column: Column, visited: list[Visit]) -> list[str]:
    """Categories of the encoders that stand behind an imputer of strings."""
    return [
        str(value)
        for visit in visited
        if hasattr(visit.estimator, "categories_")
        for known, tag in zip(visit.estimator.categories_, visit.tags, strict=False)
        if tag is not None and any((reader, 0) for reader, _ in column.readers)
        for value in known
        if isinstance(value, str)
    ]


def _documents(words: list[str]) -> npt.NDArray[Any]:
    """Texts from the words of a vocabulary (and of words that are not in it), as people write them."""
    rng = np.random.default_rng(0)
    known = np.asarray([*words, "unheard", "of"], object)
    made = []
    for _ in range(_DOCUMENTS):
        text = " ".join(known[rng.integers(0, len(known), rng.integers(1, 25))])
        made.append(text.capitalize() + rng.choice([".", "!", "", " ..."]))
    return np.asarray(made, object)


def _takes_missing(model: Any) -> bool:
    """Whether an estimator accepts NaN."""
    if kind_of(model) in ("SimpleImputer", "KNNImputer") and isinstance(model.missing_values, str | int):
        return False
    if is_booster(model):
        return True
    return bool(model.__sklearn_tags__().input_tags.allow_nan)


def _known(model: Any, position: int) -> Any:
    """Values of a column that an estimator holds: two for a range, more for values that matter in themselves."""
    for name in ("_fit_X", "support_vectors_", "X_train_", "cluster_centers_", "quantiles_"):
        rows = getattr(model, name, None)
        if rows is not None and not hasattr(rows, "toarray") and np.ndim(rows) == 2 and rows.shape[1] > position:
            return np.asarray([rows[:, position].min(), rows[:, position].max()], np.float64)
    if hasattr(model, "data_min_"):
        return np.asarray([model.data_min_[position], model.data_max_[position]])
    if hasattr(model, "max_abs_"):
        return np.asarray([-1, 1]) * model.max_abs_[position]
    if kind_of(model) in ("StandardScaler", "RobustScaler"):
        center = getattr(model, "mean_", None) if hasattr(model, "mean_") else model.center_
        middle = 0.0 if center is None else center[position]
        width = 1.0 if model.scale_ is None else model.scale_[position]
        return np.asarray([middle - _SPREAD * width, middle + _SPREAD * width])
    if hasattr(model, "bin_edges_"):
        return np.asarray(model.bin_edges_[position])
    if hasattr(model, "categories_"):
        known = [v for v in model.categories_[position] if not isinstance(v, str) and v == v]
        return np.asarray(known, np.float64)
    if hasattr(model, "statistics_"):
        value = model.statistics_[position]
        return np.asarray([value - abs(value) / 2 - 1, value + abs(value) / 2 + 1]) if value == value else None
    if hasattr(model, "theta_") and hasattr(model, "var_"):
        spread = _SPREAD * np.sqrt(model.var_[:, position])
        return np.asarray([(model.theta_[:, position] - spread).min(), (model.theta_[:, position] + spread).max()])
    if hasattr(model, "_bin_mapper"):
        edges = model._bin_mapper.bin_thresholds_[position]
        return np.asarray(edges, np.float64)
    compared = [values for feature, values in thresholds(model) if feature == position]
    return np.unique(np.concatenate(compared)) if compared else None
