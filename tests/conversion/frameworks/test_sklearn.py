"""scikit-learn: what its exporter gets wrong, which float type is chosen, and bad input."""

from __future__ import annotations

import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn import (
    compose,
    datasets,
    ensemble,
    feature_extraction,
    impute,
    linear_model,
    pipeline,
    preprocessing,
    svm,
    tree,
)

import sardonyx
from conversion.cases.sklearn import people
from sardonyx import metadata
from sardonyx.conversion.frameworks._sklearn import tables


@pytest.fixture(scope="module")
def iris() -> Any:
    return datasets.load_iris(return_X_y=True)


def test_forests_keep_every_comparison_and_every_tie(iris: Any) -> None:
    x, y = iris
    model = ensemble.RandomForestClassifier(10, random_state=0).fit(x, y)
    result = sardonyx.convert(model)
    assert result.certificate.passed
    assert result.certificate.thresholds is not None
    assert result.certificate.thresholds.differ == 0
    assert result.certificate.thresholds.values > 20
    assert result.session().get_inputs()[0].type == "tensor(float)"
    assert metadata.read({p.key: p.value for p in result.model.metadata_props}, metadata.CLASSES) == ["0", "1", "2"]


def test_histogram_boosting_compares_as_its_source(iris: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = iris
    model = ensemble.HistGradientBoostingClassifier(max_iter=2).fit(x, y)
    certificate = sardonyx.convert(model).certificate
    assert certificate.passed
    assert certificate.thresholds is not None
    assert certificate.thresholds.differ == 0
    monkeypatch.setattr(tables, "rounded_down", lambda values: values.astype(np.float32))
    nearest = sardonyx.convert(model, double=False).certificate
    assert nearest.thresholds is not None
    assert nearest.thresholds.differ > 0
    assert not nearest.passed


def test_missing_values_go_where_the_trees_send_them(iris: Any) -> None:
    x, y = iris
    x = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    assert sardonyx.convert(tree.DecisionTreeClassifier(random_state=0).fit(x, y)).certificate.passed


def test_scaling_ahead_of_trees_is_done_in_float64(iris: Any) -> None:
    x, y = iris
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), tree.DecisionTreeClassifier(random_state=0))
    result = sardonyx.convert(model.fit(x, y), data=x)
    assert result.session().get_inputs()[0].type == "tensor(double)"
    assert result.certificate.passed
    assert result.certificate.thresholds is not None
    assert result.certificate.thresholds.differ == 0
    assert any("StandardScaler computes in float64" in note for note in result.certificate.notes)


def test_text_needs_no_locale_that_may_be_absent() -> None:
    lines = ["The fox is quick", "a quick dog", "markets fell", "shares and markets rose"] * 3 + ["markets"]
    steps = feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression()
    model = pipeline.make_pipeline(*steps).fit(lines, ["animals", "animals", "money", "money"] * 3 + ["money"])
    result = sardonyx.convert(model)
    assert result.certificate.passed
    locales = [a.s for node in result.model.graph.node for a in node.attribute if a.name == "locale"]
    assert locales == [b"C"]
    assert result.session().run(None, {"X": np.array(["Quick foxes", "MARKETS"], object)})[0].tolist()[1] == "money"


def test_a_frame_with_strings_and_missing_values() -> None:
    frame, y = people(200)
    words = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder(handle_unknown="ignore")
    )
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    columns = compose.ColumnTransformer([("n", numbers, ["age", "income"]), ("w", words, ["town", "job"])])
    model = pipeline.Pipeline([("columns", columns), ("model", linear_model.LogisticRegression())]).fit(frame, y)
    result = sardonyx.convert(model, data=frame.fillna({"job": ""}))
    assert result.certificate.passed
    assert [v.name for v in result.session().get_inputs()] == ["age", "income", "town", "job"]


def test_pickles_need_trust(tmp_path: Path, iris: Any) -> None:
    model = linear_model.LogisticRegression(max_iter=1000).fit(*iris)
    joblib.dump(model, tmp_path / "m.joblib")
    with pytest.raises(sardonyx.UntrustedSourceError, match=r"a pickle of LogisticRegression.*\.skops"):
        sardonyx.convert(tmp_path / "m.joblib")
    assert sardonyx.convert(tmp_path / "m.joblib", tmp_path / "m.onnx", trust=True).certificate.passed
    assert json.loads((tmp_path / "m.certificate.json").read_text())["passed"]


def test_skops_files_need_none(tmp_path: Path, iris: Any) -> None:
    skops.io.dump(linear_model.LogisticRegression(max_iter=1000).fit(*iris), tmp_path / "m.skops")
    assert sardonyx.convert(tmp_path / "m.skops").certificate.passed
    skops.io.dump(preprocessing.FunctionTransformer(people).fit(iris[0]), tmp_path / "f.skops")
    with pytest.raises(sardonyx.UntrustedSourceError, match="people"):
        sardonyx.convert(tmp_path / "f.skops")
    (tmp_path / "bad.skops").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(sardonyx.ConversionError, match="cannot be read as a skops file"):
        sardonyx.convert(tmp_path / "bad.skops")


def test_a_damaged_pickle(tmp_path: Path, iris: Any) -> None:
    content = pickle.dumps(linear_model.LogisticRegression(max_iter=1000).fit(*iris))
    (tmp_path / "m.pkl").write_bytes(content[: len(content) // 2])
    with pytest.raises(sardonyx.ConversionError, match=r"m\.pkl is damaged"):
        sardonyx.convert(tmp_path / "m.pkl", trust=True)


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(sardonyx.ConversionError, match="holds an object of dict, not an estimator"):
        sardonyx.convert(tmp_path / "m.pkl", trust=True)


def test_a_class_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = types.ModuleType("somebodys_steps")
    exec("class Step:\n    pass", home.__dict__)
    monkeypatch.setitem(sys.modules, "somebodys_steps", home)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(home.Step()))
    monkeypatch.delitem(sys.modules, "somebodys_steps")
    with pytest.raises(sardonyx.MissingPackageError, match="module 'somebodys_steps'"):
        sardonyx.convert(tmp_path / "m.pkl", trust=True)


def test_an_unsupported_step_is_named(iris: Any) -> None:
    model = pipeline.Pipeline([("odd", preprocessing.SplineTransformer()), ("last", tree.DecisionTreeClassifier())])
    with pytest.raises(sardonyx.ConversionError, match=r"step 'odd', SplineTransformer, \(.*cannot be converted"):
        sardonyx.convert(model.fit(*iris))


def test_an_unfitted_step_is_named() -> None:
    model = pipeline.Pipeline([("scale", preprocessing.StandardScaler()), ("last", linear_model.LogisticRegression())])
    with pytest.raises(sardonyx.ConversionError, match="step 'scale', StandardScaler, is not fitted"):
        sardonyx.convert(model)


def test_another_version_of_scikit_learn_is_noted(tmp_path: Path, iris: Any) -> None:
    content = pickle.dumps(tree.DecisionTreeClassifier(max_depth=2).fit(*iris))
    import sklearn

    (tmp_path / "m.pkl").write_bytes(content.replace(sklearn.__version__.encode(), b"1.9.0"))
    certificate = sardonyx.convert(tmp_path / "m.pkl", trust=True).certificate
    assert any("written by scikit-learn 1.9.0" in note for note in certificate.notes)


def test_kernel_machines_compute_in_float64(iris: Any) -> None:
    x, y = iris
    result = sardonyx.convert(svm.SVC(kernel="poly").fit(x[50:], y[50:]))
    assert result.certificate.passed
    scores = result.session().run(["probabilities"], {"X": x.astype(np.float32)})[0]
    decisions = svm.SVC(kernel="poly").fit(x[50:], y[50:]).decision_function(x.astype(np.float32))
    assert np.abs(scores[:, 1] - decisions).max() < 1e-5 * np.abs(decisions).max()


def test_counts_of_words_are_sublinear_as_the_source_means_it() -> None:
    lines = ["one fox", "one fox fox", "a dog dog dog", "dog one"] * 2
    steps = feature_extraction.text.TfidfVectorizer(sublinear_tf=True), linear_model.Ridge()
    result = sardonyx.convert(pipeline.make_pipeline(*steps).fit(lines, [1.0, 2.0, 3.0, 4.0] * 2))
    assert result.certificate.passed
    assert any("sublinear_tf" in note for note in result.certificate.notes)


def test_what_the_exporter_would_leave_out_is_named(iris: Any) -> None:
    steps = impute.SimpleImputer(add_indicator=True), tree.DecisionTreeClassifier()
    with pytest.raises(sardonyx.ConversionError, match=r"step 'simpleimputer', SimpleImputer, .*add_indicator"):
        sardonyx.convert(pipeline.make_pipeline(*steps).fit(*iris))
    boosted = ensemble.HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(*iris)
    with pytest.raises(sardonyx.ConversionError, match="sets of categories"):
        sardonyx.convert(boosted)


def test_a_table_is_read_by_the_names_of_columns(tmp_path: Path) -> None:
    data = datasets.load_iris(as_frame=True)
    model = tree.DecisionTreeClassifier(random_state=0).fit(data.data, data.target)
    backwards = data.frame[list(data.frame.columns)[::-1]]  # the answer is a column too
    backwards.to_csv(tmp_path / "d.csv", index=False)
    result = sardonyx.convert(model, data=tmp_path / "d.csv")
    assert result.certificate.passed
    assert result.certificate.data["rows"] == 150
