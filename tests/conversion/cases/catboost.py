"""CatBoost: losses, missing values at either end, several targets, other tree shapes, pipelines."""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
from sklearn import pipeline, preprocessing

from conversion.cases import Case
from conversion.cases.sklearn import cancer, diabetes, gaps, iris, wine

Built = tuple[Any, dict[str, Any]]
OPTIONS = {"iterations": 30, "verbose": 0, "allow_writing_files": False, "random_seed": 0}


def classifier(load: Any, **options: Any) -> Built:
    """A CatBoostClassifier."""
    return catboost.CatBoostClassifier(**OPTIONS, **options).fit(*load()), {}


def regressor(**options: Any) -> Built:
    """A CatBoostRegressor."""
    return catboost.CatBoostRegressor(**OPTIONS, **options).fit(*diabetes()), {}


def missing(mode: str) -> Built:
    """Missing values below or above all others."""
    x, y = cancer()
    return catboost.CatBoostClassifier(**OPTIONS, nan_mode=mode).fit(gaps(x), y), {}


def two_targets() -> Built:
    """Two numbers."""
    x, y = diabetes()
    return catboost.CatBoostRegressor(**OPTIONS, loss_function="MultiRMSE").fit(x, np.stack([y, y[::-1]], axis=1)), {}


def ranking() -> Built:
    """Scores by which rows of a group are ordered."""
    x, y = diabetes()
    return catboost.CatBoostRanker(**OPTIONS).fit(x, y, group_id=np.arange(len(y)) // 20), {}


def scaled() -> Built:
    """Scaling in float64 ahead of trees."""
    x, y = cancer()
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), catboost.CatBoostClassifier(**OPTIONS))
    return model.fit(x, y), {"data": x}


CASES = [
    Case("CatBoostClassifier, two classes", lambda: classifier(cancer)),
    Case("CatBoostClassifier, named classes", lambda: classifier(wine)),
    Case("CatBoostClassifier, one against the rest", lambda: classifier(iris, loss_function="MultiClassOneVsAll")),
    Case("CatBoostClassifier, missing values lowest", lambda: missing("Min")),
    Case("CatBoostClassifier, missing values highest", lambda: missing("Max")),
    Case("CatBoostRegressor", regressor),
    Case("CatBoostRegressor, Poisson", lambda: regressor(loss_function="Poisson")),
    Case("CatBoostRegressor, Tweedie", lambda: regressor(loss_function="Tweedie:variance_power=1.5")),
    Case("CatBoostRegressor, quantile", lambda: regressor(loss_function="Quantile:alpha=0.8")),
    Case("CatBoostRegressor, two targets", two_targets),
    Case("CatBoostRanker", ranking),
    Case("StandardScaler, CatBoostClassifier", scaled),
]
