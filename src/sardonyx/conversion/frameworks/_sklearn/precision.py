"""Where float32 would change answers.

Trees of scikit-learn and XGBoost cast their input to float32 themselves: a float32 model answers exactly as they do.
Not so where something is computed in float64 and then compared: scaling ahead of trees, distances of neighbours. Such
models take float64. Everything else is smooth in its input: float32, which is what callers of
ONNX Runtime expect; when a certificate shows that it is not enough, the conversion is repeated in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._sklearn.flow import Visit
from sardonyx.conversion.frameworks._sklearn.splits import is_tree, thresholds
from sardonyx.conversion.frameworks._sklearn.steps import kind_of

__all__ = ["why_double"]

_EXACT = ("OneHotEncoder", "OrdinalEncoder", "VarianceThreshold", "MissingIndicator", "Binarizer")
_WIDE = {
    "GaussianProcessRegressor": "its kernel matrix is inverted and cancels",
    "GaussianProcessClassifier": "its kernel matrix is inverted and cancels",
    "KNeighborsClassifier": "neighbours at almost equal distances would change places",
    "KNeighborsRegressor": "neighbours at almost equal distances would change places",
    "KNeighborsTransformer": "neighbours at almost equal distances would change places",
    "NearestNeighbors": "neighbours at almost equal distances would change places",
    "RadiusNeighborsClassifier": "a neighbour at the radius would be in or out",
    "RadiusNeighborsRegressor": "a neighbour at the radius would be in or out",
    "LocalOutlierFactor": "neighbours at almost equal distances would change places",
    "KBinsDiscretizer": "a value at the edge of a bin would change its bin",
}


def why_double(visited: list[Visit]) -> str:
    """Why the model has to take float64; empty where float32 will do."""
    for visit in visited:
        kind = kind_of(visit.estimator)
        if kind in _WIDE:
            return f"{kind} computes in float64: {_WIDE[kind]} in float32"
    for visit in visited:
        if not is_tree(visit.estimator):
            continue
        before = _computed(visited, visit)
        if before:
            return f"{before} computes in float64 what the trees of {kind_of(visit.estimator)} compare"
        if collide(visit.estimator):
            return f"thresholds of {kind_of(visit.estimator)} that differ would be one float32 number"
    return ""


def _computed(visited: list[Visit], trees: Visit) -> str:
    """The first transformer ahead of trees that computes."""
    for visit in visited:
        if visit is trees:
            return ""
        model = visit.estimator
        kind = kind_of(model)
        if not hasattr(model, "transform") or hasattr(model, "get_support") or kind in _EXACT or is_tree(model):
            continue
        if kind == "SimpleImputer" and _narrow(model.statistics_):
            continue
        if kind == "FunctionTransformer" and model.func is None:
            continue
        return kind
    return ""


def _narrow(values: Any) -> bool:
    """Whether float32 holds these numbers exactly (or they are no numbers)."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        return True
    return bool(np.all((array.astype(np.float32) == array) | (array != array)))


def collide(model: Any) -> bool:
    """Whether two thresholds of a feature become one in float32 though no float32 number lies between them."""
    for _, values in thresholds(model):
        distinct = np.unique(values)
        if len(np.unique(distinct.astype(np.float32))) < len(distinct) and not hasattr(model, "tree_"):
            return True
    return False
