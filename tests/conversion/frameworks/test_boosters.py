"""XGBoost, LightGBM and CatBoost: what their exporters get wrong, files, and bad input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn import datasets, pipeline, preprocessing

import sardonyx
from conversion.cases import lightgbm as lightgbm_cases
from conversion.cases import xgboost as xgboost_cases


@pytest.fixture(scope="module")
def cancer() -> Any:
    return datasets.load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def small(cancer: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=4, max_depth=3).fit(*cancer)


def checked(source: Any, **options: Any) -> Any:
    """A conversion that passed, on every side of every threshold."""
    result = sardonyx.convert(source, **{"rows": 300, **options})
    assert result.certificate.passed, result.certificate.outputs
    assert result.certificate.thresholds is None or result.certificate.thresholds.differ == 0
    return result


def test_scaling_ahead_of_xgboost_is_done_in_float64(cancer: Any) -> None:
    x, y = cancer
    steps = preprocessing.StandardScaler(), xgboost.XGBClassifier(n_estimators=50)
    model = pipeline.make_pipeline(*steps).fit(x, y)
    result = checked(model, data=x)
    given = result.session().run(["probabilities"], {"X": x})[0]
    assert np.abs(given - model.predict_proba(x)).max() < 1e-6
    narrow = sardonyx.convert(model, data=x, double=False).certificate
    assert not narrow.passed
    assert narrow.outputs[1].absolute > 0.01


@pytest.mark.parametrize("build", [xgboost_cases.dart, xgboost_cases.categories])
def test_xgboost(build: Any) -> None:
    checked(build()[0])


def test_several_targets_of_xgboost() -> None:
    for options in ({}, {"multi_strategy": "multi_output_tree"}):
        result = checked(xgboost_cases.two_targets(**options)[0])
        assert result.certificate.outputs[0].kind == "scores"


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_files_of_xgboost_need_no_trust(tmp_path: Path, small: Any, suffix: str) -> None:
    small.save_model(tmp_path / f"m.{suffix}")
    checked(tmp_path / f"m.{suffix}")


def test_pickles_of_xgboost_need_trust(tmp_path: Path, small: Any) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(small))
    with pytest.raises(sardonyx.UntrustedSourceError, match=r"XGBClassifier \(XGBoost\).*save_model"):
        sardonyx.convert(tmp_path / "m.pkl")
    checked(tmp_path / "m.pkl", trust=True)


def test_a_damaged_file_of_xgboost(tmp_path: Path, small: Any) -> None:
    small.save_model(tmp_path / "m.json")
    (tmp_path / "m.json").write_text((tmp_path / "m.json").read_text()[:2000])
    with pytest.raises(sardonyx.ConversionError, match=r"m\.json is damaged"):
        sardonyx.convert(tmp_path / "m.json")


def test_boosters_that_were_never_fitted() -> None:
    for model in (xgboost.XGBRegressor(), lightgbm.LGBMRegressor()):
        with pytest.raises(sardonyx.ConversionError, match="is not fitted"):
            sardonyx.convert(model)


@pytest.mark.parametrize("build", ["zeros", "categories", "forest"])
def test_lightgbm(build: str) -> None:
    checked(getattr(lightgbm_cases, build)()[0])


def test_thresholds_that_float32_cannot_tell_apart_take_float64() -> None:
    model, options = lightgbm_cases.close()
    result = checked(model, **options)
    assert result.session().get_inputs()[0].type == "tensor(double)"


def test_files_of_lightgbm_need_no_trust(tmp_path: Path, cancer: Any) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(*cancer)
    model.booster_.save_model(tmp_path / "m.txt")
    checked(tmp_path / "m.txt")
    (tmp_path / "bad.txt").write_text((tmp_path / "m.txt").read_text()[:600])
    with pytest.raises(sardonyx.ConversionError, match=r"bad\.txt is damaged"):
        sardonyx.convert(tmp_path / "bad.txt")


def test_linear_trees_are_named(cancer: Any) -> None:
    model = lightgbm.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1).fit(*cancer)
    with pytest.raises(sardonyx.ConversionError, match="linear trees"):
        sardonyx.convert(model)


def test_catboost(tmp_path: Path) -> None:
    options = {"iterations": 5, "verbose": 0, "allow_writing_files": False}
    x, y = datasets.load_iris(return_X_y=True)
    model = catboost.CatBoostClassifier(**options, loss_function="MultiClassOneVsAll").fit(x, y)
    model.save_model(tmp_path / "m.cbm")
    result = checked(tmp_path / "m.cbm")
    assert result.model.ir_version >= 8
    assert [v.name for v in result.session().get_outputs()] == ["label", "probabilities"]
    checked(catboost.CatBoostRegressor(**options, loss_function="Poisson").fit(x, y))
    checked(pipeline.make_pipeline(preprocessing.StandardScaler(), catboost.CatBoostClassifier(**options)).fit(x, y))
    letters = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0], ["c", 0.5]] * 5, object)
    model = catboost.CatBoostClassifier(**options).fit(letters, [0, 1, 0, 1] * 5, cat_features=[0])
    with pytest.raises(sardonyx.ConversionError, match=r"cat features cannot be converted.*: 0\. Encode"):
        sardonyx.convert(model)
    model = catboost.CatBoostRegressor(**options, grow_policy="Lossguide").fit(x, y)
    with pytest.raises(sardonyx.ConversionError, match="grow_policy 'Lossguide'"):
        sardonyx.convert(model)
    (tmp_path / "bad.cbm").write_bytes((tmp_path / "m.cbm").read_bytes()[:200])
    with pytest.raises(sardonyx.ConversionError, match=r"bad\.cbm is damaged"):
        sardonyx.convert(tmp_path / "bad.cbm")
