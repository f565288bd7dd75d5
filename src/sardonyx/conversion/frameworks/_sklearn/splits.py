"""Thresholds of trees, by the input column that reaches them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.conversion.frameworks._sklearn.boosters import is_booster, parsed
from sardonyx.conversion.frameworks._sklearn.flow import Visit

__all__ = ["is_tree", "splits", "thresholds"]

Splits = Iterator[tuple[int, npt.NDArray[np.float64]]]


def splits(visited: list[Visit], columns: int, narrow: bool) -> list[npt.NDArray[np.float64]]:
    """Per input column, the values with which trees compare it, in float64. ``narrow`` adds, for float64 inputs of
    trees that cast to float32, the values at which the cast changes its result."""
    found: dict[int, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for visit in visited:
        for feature, values in thresholds(visit.estimator):
            tag = visit.tags[feature] if feature < len(visit.tags) else None
            if tag is None:
                continue
            found[tag.source].append(tag.back(values))
            if narrow:
                found[tag.source].append(tag.back(_roundings(values)))
    return [np.unique(np.concatenate(found[i])) if i in found else np.zeros(0) for i in range(columns)]


def is_tree(model: Any) -> bool:
    """Whether an estimator compares its columns with thresholds."""
    return _reader(model) is not None


def thresholds(model: Any) -> Splits:
    """Features and the thresholds they are compared with."""
    reader = _reader(model)
    return iter(()) if reader is None else reader(model)


def _reader(model: Any) -> Callable[[Any], Splits] | None:
    if is_booster(model):
        return _booster
    if hasattr(model, "tree_"):
        return _tree
    if hasattr(model, "_predictors"):
        return _histogram
    return None


def _booster(model: Any) -> Splits:
    trees = parsed(model)[0].trees
    if trees is not None:
        yield from ((f, v) for f, v in trees.thresholds().items() if f not in trees.categorical)


def _tree(model: Any) -> Splits:
    tree = model.tree_
    inner = tree.children_left != -1
    yield from _by_feature(tree.feature[inner], tree.threshold[inner])


def _histogram(model: Any) -> Splits:
    nodes = [predictor.nodes for stage in model._predictors for predictor in stage]
    for table in nodes:
        inner = table[(table["is_leaf"] == 0) & (table["is_categorical"] == 0)]
        yield from _by_feature(inner["feature_idx"], inner["num_threshold"])


def _by_feature(features: Any, values: Any) -> Splits:
    for feature in np.unique(features):
        yield int(feature), np.asarray(values[features == feature], np.float64)


def _roundings(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Midway between the float32 numbers around each value."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    low = np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)
    high = np.nextafter(low, np.float32(np.inf))
    return (low.astype(np.float64) + high.astype(np.float64)) / 2
