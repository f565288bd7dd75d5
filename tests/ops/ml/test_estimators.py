"""Estimators and transformers of scikit-learn, LightGBM and XGBoost, converted and held against ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import pytest
import skl2onnx
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloats
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    cluster,
    compose,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import is_classifier

from ops.ml.against import reference_of, session_of

Array = np.ndarray

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 6)).astype(np.float32)
GAPS = np.where(rng.random(X.shape) < 0.1, np.nan, X).astype(np.float32)
THREE = np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-0.5, 0.5])
TWO = (THREE > 0).astype(int)
NAMES = np.array(["no", "maybe", "yes"])[THREE]
NUMBERS = (X[:, 0] * 2 + np.sin(X[:, 1])).astype(np.float32)
PAIRS = np.stack([NUMBERS, X[:, 2] - NUMBERS], axis=1)
COUNTS = rng.integers(0, 5, (200, 4))
WORDS = np.array(["red", "green", "blue", "", "ñ"], object)[rng.integers(0, 5, (200, 3))]
ROWS = rng.normal(size=(57, 6)).astype(np.float32)
ROWS_WITH_GAPS = np.where(rng.random(ROWS.shape) < 0.1, np.nan, ROWS).astype(np.float32)


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """skl2onnx hands bools to onnx's helper, which no longer takes them."""
    make = onnx.helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **options: Any) -> onnx.AttributeProto:
        if isinstance(value, list):
            value = [int(v) if isinstance(v, bool | np.bool_) else v for v in value]
        return make(key, value, *rest, **options)

    monkeypatch.setattr(onnx.helper, "make_attribute", make_attribute)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compare(model: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    """Labels equal, scores close, no step of the fallback; on all rows, and on one."""
    ours, theirs = session_of(model), reference_of(model)
    for rows in (slice(None), slice(1)):
        part = {name: x[rows] for name, x in feeds.items()}
        for got, expected in zip(ours.run(None, part), theirs.run(None, part), strict=True):
            if isinstance(expected, list):
                assert got == expected
                continue
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
            if got.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, 1e-5, 2e-5)
            else:
                np.testing.assert_array_equal(got, expected)


def convert(estimator: Any, x: Array) -> onnx.ModelProto:
    kinds = {"f": FloatTensorType, "i": Int64TensorType, "O": StringTensorType}
    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    inputs = [("x", kinds[x.dtype.kind]([None, x.shape[1]]))]
    opsets = {"": 18, "ai.onnx.ml": 3}
    model: onnx.ModelProto = skl2onnx.convert_sklearn(
        estimator, initial_types=inputs, target_opset=opsets, options=options
    )
    return model


CLASSIFIERS = [
    linear_model.LogisticRegression(),
    linear_model.SGDClassifier(random_state=0),
    svm.SVC(),
    svm.SVC(kernel="poly"),
    svm.SVC(kernel="sigmoid", probability=True, random_state=0),
    svm.NuSVC(nu=0.3, probability=True, random_state=0),
    tree.DecisionTreeClassifier(max_depth=5),
    ensemble.RandomForestClassifier(10, max_depth=5, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=5),
    ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
    ensemble.StackingClassifier([("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())], cv=2),
    ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())], flatten_transform=False
    ),
    neighbors.KNeighborsClassifier(),
    naive_bayes.GaussianNB(),
    naive_bayes.BernoulliNB(),
    neural_network.MLPClassifier((8,), max_iter=30, random_state=0),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.QuadraticDiscriminantAnalysis(),
    multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    calibration.CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2),
]
REGRESSORS = [
    linear_model.LinearRegression(),
    linear_model.Lasso(0.1),
    svm.SVR(),
    tree.DecisionTreeRegressor(max_depth=5),
    ensemble.RandomForestRegressor(10, max_depth=5, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=5),
    ensemble.AdaBoostRegressor(n_estimators=5, random_state=0),
    neighbors.KNeighborsRegressor(),
    gaussian_process.GaussianProcessRegressor(),
    neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
    cross_decomposition.PLSRegression(2),
]
TRANSFORMERS = [
    cluster.KMeans(3, n_init=1, random_state=0),
    decomposition.PCA(3),
    decomposition.TruncatedSVD(3, random_state=0),
    preprocessing.StandardScaler(),
    preprocessing.MinMaxScaler(),
    preprocessing.Normalizer(),
    preprocessing.Binarizer(),
    preprocessing.PolynomialFeatures(2),
    preprocessing.KBinsDiscretizer(4, encode="ordinal"),
    preprocessing.PowerTransformer(),
    preprocessing.QuantileTransformer(n_quantiles=20),
    svm.OneClassSVM(),
    ensemble.IsolationForest(n_estimators=5, random_state=0),
    neighbors.LocalOutlierFactor(novelty=True),
    mixture.GaussianMixture(2, random_state=0),
]


def name_of(estimator: object) -> str:
    return type(estimator).__name__


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name_of)
def test_classifiers(estimator: Any) -> None:
    compare(convert(estimator.fit(X, THREE), X), {"x": ROWS})


@pytest.mark.parametrize("estimator", REGRESSORS, ids=name_of)
def test_regressors(estimator: Any) -> None:
    compare(convert(estimator.fit(X, NUMBERS), X), {"x": ROWS})


@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=name_of)
def test_transformers(estimator: Any) -> None:
    compare(convert(estimator.fit(X, THREE), X), {"x": ROWS})


@pytest.mark.parametrize(
    ("estimator", "labels"),
    [
        (svm.SVC(probability=True, random_state=0), TWO),
        (svm.SVC(probability=True, random_state=0), NAMES),
        (ensemble.RandomForestClassifier(5, max_depth=5, random_state=0), NAMES),
        (ensemble.GradientBoostingClassifier(n_estimators=5), TWO),
        (linear_model.LogisticRegression(), NAMES),
        (ensemble.RandomForestRegressor(5, max_depth=5, random_state=0), PAIRS),
    ],
)
def test_other_labels(estimator: Any, labels: Array) -> None:
    compare(convert(estimator.fit(X, labels), X), {"x": ROWS})


@pytest.mark.parametrize(
    "estimator",
    [
        ensemble.HistGradientBoostingClassifier(max_iter=5),
        ensemble.HistGradientBoostingRegressor(max_iter=5),
        impute.SimpleImputer(),
        pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), linear_model.LogisticRegression()),
    ],
    ids=name_of,
)
def test_missing_values(estimator: Any) -> None:
    compare(convert(estimator.fit(GAPS, THREE), GAPS), {"x": ROWS_WITH_GAPS})


@pytest.mark.parametrize("data", [COUNTS, WORDS], ids=["int64", "string"])
def test_encoders(data: Array) -> None:
    unknown = np.append(data[:30], np.full((1, data.shape[1]), 9 if data is COUNTS else "?"), axis=0).astype(data.dtype)
    ordinal = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    for encoder in (ordinal, preprocessing.OneHotEncoder(handle_unknown="ignore")):
        compare(convert(encoder.fit(data), data), {"x": unknown})


def test_columns() -> None:
    """Strings and numbers with gaps, each column an input of its own."""
    import pandas

    table = pandas.DataFrame({f"n{k}": GAPS[:, k] for k in range(4)} | {f"s{k}": WORDS[:, k] for k in range(3)})
    numeric = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    split = compose.ColumnTransformer(
        [
            ("n", numeric, [f"n{k}" for k in range(4)]),
            (
                "s",
                preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                [f"s{k}" for k in range(3)],
            ),
        ]
    )
    model = pipeline.make_pipeline(split, ensemble.RandomForestClassifier(5, max_depth=4, random_state=0))
    model.fit(table, NAMES)
    inputs = [(name, (FloatTensorType if name[0] == "n" else StringTensorType)([None, 1])) for name in table]
    options = {id(model): {"zipmap": True}}
    made = skl2onnx.convert_sklearn(
        model, initial_types=inputs, target_opset={"": 18, "ai.onnx.ml": 3}, options=options
    )
    compare(made, {name: table[name].to_numpy().reshape(-1, 1)[:40] for name in table})


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_text(ngrams: tuple[int, int]) -> None:
    vocabulary = ["Cat", "dog", "bird", "the", "fish", "is", "ÜBER"]
    texts = np.array([" ".join(rng.choice(vocabulary, rng.integers(1, 9))) for _ in range(120)], object)
    vectorizer = feature_extraction.text.TfidfVectorizer(ngram_range=ngrams, token_pattern="[a-zA-ZüÜ]+")
    model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression()).fit(texts, THREE[:120])
    made = skl2onnx.convert_sklearn(
        model,
        initial_types=[("x", StringTensorType([None, 1]))],
        target_opset={"": 16, "ai.onnx.ml": 3},
        options={id(model): {"zipmap": False}, id(vectorizer): {"locale": "C.UTF-8"}},
    )
    compare(made, {"x": texts[:50, None]})


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("make", [lightgbm.LGBMClassifier, xgboost.XGBClassifier], ids=name_of)
def test_boosting_classifiers(make: Any, labels: Array) -> None:
    quiet = {"verbose": -1, "n_jobs": 1} if make is lightgbm.LGBMClassifier else {"n_jobs": 1}
    model = make(n_estimators=8, **quiet).fit(GAPS, labels)
    compare(boosted(model), {"x": ROWS_WITH_GAPS})


@pytest.mark.parametrize("make", [lightgbm.LGBMRegressor, xgboost.XGBRegressor], ids=name_of)
def test_boosting_regressors(make: Any) -> None:
    quiet = {"verbose": -1, "n_jobs": 1} if make is lightgbm.LGBMRegressor else {"n_jobs": 1}
    compare(boosted(make(n_estimators=8, **quiet).fit(GAPS, NUMBERS)), {"x": ROWS_WITH_GAPS})


def boosted(model: Any) -> onnx.ModelProto:
    inputs = [("x", ToolsFloats([None, X.shape[1]]))]
    if type(model).__module__.startswith("lightgbm"):
        options = {"zipmap": False} if "Classifier" in type(model).__name__ else {}
        made: onnx.ModelProto = onnxmltools.convert_lightgbm(model, initial_types=inputs, target_opset=15, **options)
        return made
    made = onnxmltools.convert_xgboost(model, initial_types=inputs, target_opset=15)
    return made
