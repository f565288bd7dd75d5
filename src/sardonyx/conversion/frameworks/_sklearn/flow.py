"""Which of the model's input columns reach which estimator, and how they were scaled on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from sardonyx.conversion.frameworks._sklearn.signature import positions_of
from sardonyx.conversion.frameworks._sklearn.steps import kind_of, unwrapped

__all__ = ["Tag", "Tags", "Visit", "visits"]


@dataclass(frozen=True)
class Tag:
    """A column that is ``(input - shift) / scale`` of the model's input column ``source``; ``filled`` says that
    missing values were replaced on the way."""

    source: int
    scale: float = 1.0
    shift: float = 0.0
    filled: bool = False

    def back(self, values: Any) -> Any:
        """Values of the column as values of the input."""
        return np.asarray(values, np.float64) * self.scale + self.shift


Tags: TypeAlias = list[Tag | None]


@dataclass(frozen=True)
class Visit:
    """An estimator and what is known of its input's columns (None: computed from something else)."""

    estimator: Any
    tags: Tags


def visits(model: Any, columns: int) -> list[Visit]:
    """Every estimator inside a model, in the order in which data reaches them."""
    found: list[Visit] = []
    _through(unwrapped(model), [Tag(i) for i in range(columns)], found)
    return found


def _through(model: Any, tags: Tags, found: list[Visit]) -> Tags:
    """Visits an estimator and all inside it; gives the tags of what a transformer returns."""
    model = unwrapped(model)
    if isinstance(model, str) or model is None:
        return tags if model != "drop" else []
    if hasattr(model, "named_steps"):
        for _, step in model.steps:
            tags = _through(step, tags, found)
        return tags
    if kind_of(model) == "ColumnTransformer":
        return _columns(model, tags, found)
    if kind_of(model) == "FeatureUnion":
        return [tag for _, part in model.transformer_list for tag in _through(part, tags, found)]
    found.append(Visit(model, tags))
    for inner, chosen in _inside(model):
        _through(inner, [tags[i] for i in chosen] if chosen is not None else tags, found)
    return _out(model, tags)


def _columns(model: Any, tags: Tags, found: list[Visit]) -> Tags:
    outs: dict[str, Tags] = {}
    for name, part, chosen in model.transformers_:
        if not isinstance(part, str) or part == "passthrough":
            outs[name] = _through(part, [tags[i] for i in positions_of(chosen, model)], found)
    total = max((place.stop for place in model.output_indices_.values()), default=0)
    result: Tags = [None] * total
    for name, place in model.output_indices_.items():
        if name in outs and len(outs[name]) == place.stop - place.start:
            result[place] = outs[name]
    return result


def _inside(model: Any) -> list[tuple[Any, Any]]:
    """Estimators that see the same columns, or a choice of them."""
    if hasattr(model, "calibrated_classifiers_"):
        return [(c.estimator, None) for c in model.calibrated_classifiers_]
    if hasattr(model, "estimators_features_"):
        return list(zip(model.estimators_, model.estimators_features_, strict=True))
    inner = getattr(model, "estimators_", None)
    if inner is None:
        inner = [getattr(model, name) for name in ("estimator_", "regressor_") if hasattr(model, name)]
    inner = list(getattr(inner, "flat", inner))
    return [(e, None) for e in inner if hasattr(e, "get_params")]


def _out(model: Any, tags: Tags) -> Tags:
    kind = kind_of(model)
    if hasattr(model, "get_support") and hasattr(model, "transform"):
        return [tag for tag, kept in zip(tags, model.get_support(), strict=False) if kept]
    if kind == "SimpleImputer":
        kept = [tag for tag, value in zip(tags, model.statistics_, strict=True) if not _is_nan(value)]
        added = len(model.indicator_.features_) if getattr(model, "indicator_", None) is not None else 0
        return [None if t is None else replace(t, filled=True) for t in kept] + [None] * (added and _width(model, kept))
    if kind == "FunctionTransformer" and model.func is None:
        return tags
    scaling = _scaling(model, kind)
    if scaling is not None:
        scale, shift = (np.broadcast_to(part, len(tags)) for part in scaling)
        return [t and _scaled(t, float(s), float(m)) for t, s, m in zip(tags, scale, shift, strict=True)]
    return [None] * _width(model, tags)


def _scaling(model: Any, kind: str) -> tuple[Any, Any] | None:
    if kind == "StandardScaler":
        return (1.0 if model.scale_ is None else model.scale_), (0.0 if model.mean_ is None else model.mean_)
    if kind == "RobustScaler":
        return (1.0 if model.scale_ is None else model.scale_), (0.0 if model.center_ is None else model.center_)
    if kind == "MinMaxScaler" and not model.clip:
        return 1 / model.scale_, -model.min_ / model.scale_
    if kind == "MaxAbsScaler":
        return model.scale_, 0.0
    return None


def _scaled(tag: Tag, scale: float, shift: float) -> Tag:
    """``((x - a) / b - shift) / scale = (x - (a + b shift)) / (b scale)``"""
    return replace(tag, scale=tag.scale * scale, shift=tag.shift + tag.scale * shift)


def _width(model: Any, tags: Tags) -> int:
    """How many columns a transformer returns (0: unknown, it may be no transformer)."""
    try:
        return len(model.get_feature_names_out())
    except Exception:  # not every estimator can say, and each fails in its own way
        return 0


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
