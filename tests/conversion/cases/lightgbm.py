"""LightGBM: objectives, missing values of each kind, categories, forests and dropped trees, pipelines."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from sklearn import pipeline, preprocessing

from conversion.cases import Case
from conversion.cases.sklearn import cancer, diabetes, gaps, iris, wine

Built = tuple[Any, dict[str, Any]]


def classifier(load: Any, **options: Any) -> Built:
    """The scikit-learn interface."""
    return lightgbm.LGBMClassifier(n_estimators=30, verbose=-1, **options).fit(*load()), {}


def regressor(**options: Any) -> Built:
    """The scikit-learn interface."""
    return lightgbm.LGBMRegressor(n_estimators=40, verbose=-1, **options).fit(*diabetes()), {}


def missing() -> Built:
    """NaN is missing."""
    x, y = wine()
    return lightgbm.LGBMClassifier(n_estimators=30, verbose=-1).fit(gaps(x, 0.2), y), {}


def zeros() -> Built:
    """Zeros are missing."""
    x, y = cancer()
    rng = np.random.default_rng(0)
    x = np.where(rng.random(x.shape) < 0.3, 0, x - x.mean(axis=0))
    return lightgbm.LGBMClassifier(n_estimators=30, verbose=-1, zero_as_missing=True).fit(x, y), {}


def categories(rows: int = 800) -> Built:
    """A column of categories beside numbers."""
    rng = np.random.default_rng(0)
    town = rng.integers(0, 12, rows)
    x = np.stack([town, rng.normal(size=rows)], axis=1)
    y = np.isin(town, [1, 4, 5, 9]) * 3.0 + x[:, 1]
    model = lightgbm.LGBMRegressor(n_estimators=30, verbose=-1, min_data_per_group=5, cat_smooth=1)
    return model.fit(x, y, categorical_feature=[0]), {}


def ranking() -> Built:
    """Scores by which rows of a group are ordered."""
    x, y = diabetes()
    model = lightgbm.LGBMRanker(n_estimators=20, verbose=-1)
    return model.fit(x, np.digitize(y, [80, 140, 200]), group=[17] * 26), {}


def forest() -> Built:
    """A random forest."""
    return classifier(cancer, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7)


def close() -> Built:
    """Values that float32 cannot tell apart."""
    x = 1 + np.arange(400.0)[:, None] * 1e-8
    y = np.sin(np.arange(400.0) / 10)
    return lightgbm.LGBMRegressor(n_estimators=10, verbose=-1).fit(x, y), {"data": x}


def booster(objective: str, load: Any = diabetes, **parameters: Any) -> Built:
    """The plain interface."""
    x, y = load()
    options = {"objective": objective, "verbose": -1, **parameters}
    return lightgbm.train(options, lightgbm.Dataset(x, label=y), num_boost_round=20), {}


def scaled() -> Built:
    """Scaling in float64 ahead of trees."""
    x, y = cancer()
    steps = preprocessing.StandardScaler(), lightgbm.LGBMClassifier(n_estimators=30, verbose=-1)
    return pipeline.make_pipeline(*steps).fit(x, y), {"data": x}


CASES = [
    Case("LGBMClassifier, two classes", lambda: classifier(cancer)),
    Case("LGBMClassifier, named classes, missing values", missing),
    Case("LGBMClassifier, zeros are missing", zeros),
    Case("LGBMClassifier, random forest", forest),
    Case("LGBMClassifier, one against the rest", lambda: classifier(iris, objective="multiclassova")),
    Case("LGBMRegressor", regressor),
    Case("LGBMRegressor, Poisson", lambda: regressor(objective="poisson")),
    Case("LGBMRegressor, square root", lambda: regressor(reg_sqrt=True)),
    Case("LGBMRegressor, dart", lambda: regressor(boosting_type="dart")),
    Case("LGBMRegressor, sets of categories", categories),
    Case("LGBMRegressor, thresholds that float32 cannot tell apart", close),
    Case("LGBMRanker", ranking),
    Case("Booster, quantile", lambda: booster("quantile", alpha=0.8)),
    Case("Booster, cross entropy", lambda: booster("cross_entropy", cancer)),
    Case("StandardScaler, LGBMClassifier", scaled),
]
