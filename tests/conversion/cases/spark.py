"""SparkML: pipelines trained on scikit-learn's data sets, seeded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from conversion.cases import Case
from sardonyx.conversion.quiet import quiet

Built = tuple[Any, dict[str, Any]]


@cache
def session() -> Any:
    """A local session of one thread."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with quiet():
        builder = SparkSession.builder.master("local[1]").appName("cases")
        for name, value in {
            "spark.ui.enabled": "false",
            "spark.log.level": "ERROR",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "1",
            "spark.driver.host": "127.0.0.1",
        }.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()


@cache
def iris() -> Any:
    """Columns a to d, the kind as text, and a size as text with gaps in column d."""
    from sklearn.datasets import load_iris

    data = load_iris()
    sizes = np.digitize(data.data[:, 2], [2.5, 5.0])
    rows = [
        (
            *map(float, x),
            str(data.target_names[y]),
            ("small", "medium", "large")[s],
            float("nan") if i % 17 == 0 else x[0],
        )
        for i, (x, y, s) in enumerate(zip(data.data.tolist(), data.target, sizes, strict=True))
    ]
    return session().createDataFrame(rows, ["a", "b", "c", "d", "kind", "size", "gappy"])


@cache
def table(name: str) -> Any:
    """Vectors ``features`` and numbers ``label`` of a data set, its first 300 rows."""
    from pyspark.ml.linalg import Vectors
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = [(Vectors.dense(row), float(label)) for row, label in zip(x[:300].tolist(), y[:300], strict=True)]
    return session().createDataFrame(rows, ["features", "label"])


def fitted(frame: Callable[[], Any], *stages: Callable[[], Any], **settings: Any) -> Callable[[], Built]:
    """A case of a pipeline, fitted when it is asked for."""

    def build() -> Built:
        from pyspark.ml import Pipeline

        data = frame()
        with quiet():
            return Pipeline(stages=[make() for make in stages]).fit(data), {"rows": 300, **settings}

    return build


def feature(name: str, **settings: Any) -> Callable[[], Any]:
    return _of("feature", name, settings)


def classifier(name: str, **settings: Any) -> Callable[[], Any]:
    return _of("classification", name, settings)


def regressor(name: str, **settings: Any) -> Callable[[], Any]:
    return _of("regression", name, settings)


def _of(module: str, name: str, settings: dict[str, Any]) -> Callable[[], Any]:
    def make() -> Any:
        from importlib import import_module

        return getattr(import_module(f"pyspark.ml.{module}"), name)(**settings)

    return make


def clusters() -> Any:
    from pyspark.ml.clustering import KMeans

    return KMeans(k=4, seed=1)


def back() -> Any:
    from pyspark.ml.feature import IndexToString

    return IndexToString(inputCol="prediction", outputCol="name", labels=["setosa", "versicolor", "virginica"])


def texts() -> Any:
    """Sentences about two things."""
    rng = np.random.default_rng(0)
    words = (["the", "game", "team", "goal", "season", "won"], ["the", "engine", "wheel", "road", "fuel", "drove"])
    rows = [(" ".join(rng.choice(words[i % 2], 8)).capitalize(), float(i % 2)) for i in range(200)]
    return session().createDataFrame(rows, ["text", "label"])


LABEL = feature("StringIndexer", inputCol="kind", outputCol="label", stringOrderType="alphabetAsc")
FOUR = feature("VectorAssembler", inputCols=["a", "b", "c", "d"], outputCol="features")
SCALED = (
    feature("VectorAssembler", inputCols=["a", "b", "c", "d"], outputCol="raw"),
    feature("StandardScaler", inputCol="raw", outputCol="features", withMean=True),
)
MIXED = (
    feature("StringIndexer", inputCol="size", outputCol="index", handleInvalid="keep"),
    feature("OneHotEncoder", inputCol="index", outputCol="hot", handleInvalid="keep"),
    feature("Imputer", inputCols=["gappy"], outputCols=["full"]),
    feature("Bucketizer", inputCol="b", outputCol="bucket", splits=[-float("inf"), 2.8, 3.2, float("inf")]),
    feature("VectorAssembler", inputCols=["a", "full", "bucket", "hot"], outputCol="features"),
)

CASES = [
    Case("scaled LogisticRegression, iris", fitted(iris, LABEL, *SCALED, classifier("LogisticRegression"))),
    Case(
        "strings, gaps and buckets, LogisticRegression, IndexToString",
        fitted(iris, LABEL, *MIXED, classifier("LogisticRegression", regParam=0.01), back),
    ),
    Case("DecisionTree, iris", fitted(iris, LABEL, FOUR, classifier("DecisionTreeClassifier"))),
    Case(
        "scaled RandomForest, iris",
        fitted(iris, LABEL, *SCALED, classifier("RandomForestClassifier", numTrees=15, seed=1)),
    ),
    Case(
        "RandomForest with categories",
        fitted(
            iris,
            LABEL,
            feature("StringIndexer", inputCol="size", outputCol="index", handleInvalid="keep"),
            feature("VectorAssembler", inputCols=["a", "index", "b"], outputCol="features"),
            classifier("RandomForestClassifier", numTrees=5, seed=1),
        ),
    ),
    Case(
        "GBTClassifier, breast cancer",
        fitted(lambda: table("breast_cancer"), classifier("GBTClassifier", maxIter=6, seed=1)),
    ),
    Case(
        "binary LogisticRegression with a threshold",
        fitted(lambda: table("breast_cancer"), classifier("LogisticRegression", regParam=0.1, threshold=0.3)),
    ),
    Case("LinearSVC, breast cancer", fitted(lambda: table("breast_cancer"), classifier("LinearSVC", regParam=0.1))),
    Case("NaiveBayes, iris", fitted(iris, LABEL, FOUR, classifier("NaiveBayes"))),
    Case("Gaussian NaiveBayes, iris", fitted(iris, LABEL, FOUR, classifier("NaiveBayes", modelType="gaussian"))),
    Case(
        "multilayer perceptron, iris",
        fitted(
            iris, LABEL, *SCALED, classifier("MultilayerPerceptronClassifier", layers=[4, 6, 3], seed=1, maxIter=40)
        ),
    ),
    Case("LinearRegression, diabetes", fitted(lambda: table("diabetes"), regressor("LinearRegression", regParam=0.1))),
    Case(
        "GeneralizedLinearRegression (gamma, log), diabetes",
        fitted(lambda: table("diabetes"), regressor("GeneralizedLinearRegression", family="gamma", link="log")),
    ),
    Case(
        "DecisionTreeRegressor, diabetes", fitted(lambda: table("diabetes"), regressor("DecisionTreeRegressor", seed=1))
    ),
    Case(
        "RandomForestRegressor, diabetes",
        fitted(lambda: table("diabetes"), regressor("RandomForestRegressor", numTrees=6, seed=1)),
    ),
    Case("GBTRegressor, diabetes", fitted(lambda: table("diabetes"), regressor("GBTRegressor", maxIter=6, seed=1))),
    Case(
        "MinMaxScaler, PCA, KMeans, iris",
        fitted(
            iris,
            feature("VectorAssembler", inputCols=["a", "b", "c", "d"], outputCol="raw"),
            feature("MinMaxScaler", inputCol="raw", outputCol="unit"),
            feature("PCA", k=2, inputCol="unit", outputCol="features"),
            clusters,
        ),
    ),
    Case(
        "Tokenizer, CountVectorizer, IDF, LogisticRegression",
        fitted(
            texts,
            feature("Tokenizer", inputCol="text", outputCol="words"),
            feature("CountVectorizer", inputCol="words", outputCol="counts"),
            feature("IDF", inputCol="counts", outputCol="features"),
            classifier("LogisticRegression", regParam=0.1),
        ),
    ),
    Case(
        "PolynomialExpansion (onnxmltools), LinearRegression",
        fitted(
            iris,
            feature("VectorAssembler", inputCols=["a", "b"], outputCol="raw"),
            feature("PolynomialExpansion", inputCol="raw", outputCol="features", degree=2),
            regressor("LinearRegression", labelCol="c", regParam=0.01),
        ),
    ),
]
