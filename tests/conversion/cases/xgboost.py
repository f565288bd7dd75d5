"""XGBoost: objectives, missing values, categories, several targets, dropped trees, pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost
from sklearn import model_selection, pipeline, preprocessing

from conversion.cases import Case
from conversion.cases.sklearn import cancer, diabetes, gaps, iris, wine

Built = tuple[Any, dict[str, Any]]


def binary() -> Built:
    """Two classes, stopped early."""
    x, y = cancer()
    train, test, y_train, y_test = model_selection.train_test_split(x, y, random_state=0)
    model = xgboost.XGBClassifier(n_estimators=100, early_stopping_rounds=5)
    return model.fit(train, y_train, eval_set=[(test, y_test)], verbose=False), {}


def multiclass() -> Built:
    """Three classes with missing values."""
    x, y = wine()
    return xgboost.XGBClassifier(n_estimators=30).fit(gaps(x), preprocessing.LabelEncoder().fit_transform(y)), {}


def categories(rows: int = 500) -> Built:
    """A column of categories beside numbers, both with gaps."""
    import pandas

    rng = np.random.default_rng(0)
    town = rng.integers(0, 12, rows)
    size = rng.normal(size=rows)
    y = np.isin(town, [1, 4, 5, 9]) * 3.0 + size
    frame = pandas.DataFrame({"town": pandas.Categorical(np.where(rng.random(rows) < 0.1, None, town)), "size": size})
    return xgboost.XGBRegressor(n_estimators=30, enable_categorical=True, max_cat_to_onehot=2).fit(frame, y), {}


def dart() -> Built:
    """Dropped trees weigh less."""
    model = xgboost.XGBRegressor(booster="dart", rate_drop=0.3, n_estimators=30, random_state=0)
    return model.fit(*diabetes()), {}


def two_targets(**options: Any) -> Built:
    """Two numbers."""
    x, y = diabetes()
    return xgboost.XGBRegressor(n_estimators=20, **options).fit(x, np.stack([y, y[::-1]], axis=1)), {}


def ranking() -> Built:
    """Scores by which rows of a group are ordered."""
    x, y = diabetes()
    model = xgboost.XGBRanker(n_estimators=20, objective="rank:ndcg")
    return model.fit(x, np.digitize(y, [80, 140, 200]), qid=np.arange(len(y)) // 20), {}


def booster(objective: str, **parameters: Any) -> Built:
    """The plain interface."""
    x, y = iris() if objective.startswith("multi") else cancer()
    options = {"objective": objective, "max_depth": 4, **parameters}
    return xgboost.train(options, xgboost.DMatrix(x, label=y), num_boost_round=20), {}


def scaled() -> Built:
    """Scaling in float64 ahead of trees."""
    x, y = cancer()
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), xgboost.XGBClassifier(n_estimators=50))
    return model.fit(x, y), {"data": x}


CASES = [
    Case("XGBClassifier, two classes, early stopping", binary),
    Case("XGBClassifier, three classes, missing values", multiclass),
    Case("XGBRegressor", lambda: (xgboost.XGBRegressor(n_estimators=50).fit(*diabetes()), {})),
    Case("XGBRegressor, Poisson", lambda: (xgboost.XGBRegressor(objective="count:poisson").fit(*diabetes()), {})),
    Case("XGBRegressor, dart", dart),
    Case("XGBRegressor, gblinear", lambda: (xgboost.XGBRegressor(booster="gblinear").fit(*diabetes()), {})),
    Case("XGBRegressor, sets of categories", categories),
    Case("XGBRegressor, two targets", two_targets),
    Case("XGBRegressor, two targets in each leaf", lambda: two_targets(multi_strategy="multi_output_tree")),
    Case("XGBRanker", ranking),
    Case("XGBRFClassifier", lambda: (xgboost.XGBRFClassifier(n_estimators=30).fit(*cancer()), {})),
    Case("Booster, multi:softmax", lambda: booster("multi:softmax", num_class=3)),
    Case("Booster, binary:hinge", lambda: booster("binary:hinge")),
    Case("Booster, binary:logitraw", lambda: booster("binary:logitraw", base_score=0.3)),
    Case("StandardScaler, XGBClassifier", scaled),
]
