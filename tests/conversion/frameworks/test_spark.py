"""SparkML sources: objects and folders, columns and their types, what invalid values become, sessions, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel, classification, feature, regression
from pyspark.ml.linalg import Vectors

import sardonyx
from conversion.cases.spark import FOUR, LABEL, iris, session, table
from sardonyx.errors import ConversionError, MissingPackageError

# pyspark and its way of reading the traces of its callers
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    """Stages cannot even be made without a session."""
    session()


def fitted(*stages: Any) -> Any:
    return Pipeline(stages=list(stages)).fit(iris())


def small() -> Any:
    return fitted(LABEL(), FOUR(), classification.DecisionTreeClassifier(maxDepth=2))


def answers(result: sardonyx.Conversion, **feeds: Any) -> dict[str, Any]:
    running = result.session()
    given = {name: np.asarray(value).reshape(-1, 1) for name, value in feeds.items()}
    return dict(zip([o.name for o in running.get_outputs()], running.run(None, given), strict=True))


def test_saved_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    small().write().save((tmp_path / "model").as_uri())
    capfd.readouterr()
    result = sardonyx.convert(tmp_path / "model", tmp_path / "m.onnx")
    assert result.form.kind == "a saved PipelineModel of SparkML"
    assert result.certificate.passed
    assert result.certificate.thresholds is not None
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.certificate.json", "m.onnx", "model"]
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert [(i.name, i.type, list(i.shape)) for i in result.session().get_inputs()] == [
        (name, "tensor(double)", ["batch", 1]) for name in "abcd"
    ]
    assert session().sql("select 1").collect()  # a session that was there goes on


def test_saved_models(tmp_path: Path) -> None:
    model = regression.LinearRegression(regParam=0.1).fit(table("diabetes"))
    model.write().save((tmp_path / "model").as_uri())
    result = sardonyx.convert(tmp_path / "model")
    assert result.certificate.passed
    assert list(result.session().get_inputs()[0].shape) == ["batch", 10]


def test_a_session_of_its_own(tmp_path: Path) -> None:
    small().write().save((tmp_path / "model").as_uri())
    program = (
        "import sys, sardonyx\n"
        "result = sardonyx.convert(sys.argv[1])\n"
        "from pyspark import SparkContext\n"
        "assert result.certificate.passed\n"
        "assert SparkContext._active_spark_context is None\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path / "model")], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_labels_become_class_names() -> None:
    result = sardonyx.convert(small())
    properties = {entry.key: entry.value for entry in result.model.metadata_props}
    assert json.loads(properties["sardonyx.classes"]) == {"probability": ["setosa", "versicolor", "virginica"]}
    assert any("left out: StringIndexer" in note for note in result.certificate.notes)


def test_strings_that_were_never_seen() -> None:
    kept = feature.StringIndexer(inputCol="size", outputCol="index", handleInvalid="keep")
    result = sardonyx.convert(fitted(kept))
    assert result.certificate.passed
    assert answers(result, size=np.asarray(["huge", "small"], object))["index"].tolist()[0] == 3
    strict = sardonyx.convert(fitted(feature.StringIndexer(inputCol="size", outputCol="index")))
    assert answers(strict, size=np.asarray(["huge"], object))["index"].tolist() == [-1]
    assert any("becomes -1, where Spark raises an error" in note for note in strict.certificate.notes)


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("invalid", ["error", "keep"])
def test_one_hot_settings(drop: bool, invalid: str) -> None:
    index = feature.StringIndexer(inputCol="size", outputCol="index", handleInvalid=invalid)
    hot = feature.OneHotEncoder(inputCol="index", outputCol="hot", dropLast=drop, handleInvalid=invalid)
    result = sardonyx.convert(fitted(index, hot), rows=60)
    assert result.certificate.passed
    assert result.session().get_outputs()[0].shape[1] == 3 + 2 * (invalid == "keep") - drop


@pytest.mark.parametrize(
    "make",
    [
        lambda: feature.Normalizer(inputCol="features", outputCol="out", p=1.0),
        lambda: feature.Normalizer(inputCol="features", outputCol="out", p=3.0),
        lambda: feature.MaxAbsScaler(inputCol="features", outputCol="out"),
        lambda: feature.MinMaxScaler(inputCol="features", outputCol="out", min=-1.0, max=3.0),
        lambda: feature.StandardScaler(inputCol="features", outputCol="out", withStd=False, withMean=True),
        lambda: feature.VectorSlicer(inputCol="features", outputCol="out", indices=[2, 0]),
        lambda: feature.ElementwiseProduct(inputCol="features", outputCol="out", scalingVec=Vectors.dense(1, 2, 3, 4)),
        lambda: feature.VarianceThresholdSelector(featuresCol="features", outputCol="out", varianceThreshold=0.5),
        lambda: feature.Binarizer(inputCols=["a", "b"], outputCols=["x", "y"], thresholds=[5.0, 3.1]),
        lambda: feature.Bucketizer(inputCol="a", outputCol="out", splits=[0.0, 5.0, 6.5, 20.0], handleInvalid="keep"),
        lambda: feature.Imputer(inputCols=["gappy"], outputCols=["out"], strategy="median"),
        lambda: feature.DCT(inputCol="features", outputCol="out"),
    ],
    ids=lambda make: make.__code__.co_names[1],
)
def test_transformers(make: Callable[[], Any]) -> None:
    result = sardonyx.convert(fitted(FOUR(), make()), rows=60)
    assert result.certificate.passed, result.certificate.plain()


@pytest.mark.parametrize(
    "make",
    [
        lambda: classification.OneVsRest(classifier=classification.LogisticRegression(regParam=0.1)),
        lambda: classification.LogisticRegression(thresholds=[0.2, 0.5, 0.9]),
        lambda: classification.NaiveBayes(modelType="multinomial", thresholds=[0.1, 0.5, 0.9]),
        lambda: classification.RandomForestClassifier(numTrees=2, maxDepth=0, seed=1),
        lambda: regression.GBTRegressor(labelCol="c", maxIter=3),
    ],
    ids=lambda make: make.__code__.co_names[1],
)
def test_predictors(make: Callable[[], Any]) -> None:
    result = sardonyx.convert(fitted(LABEL(), FOUR(), make()), rows=60)
    assert result.certificate.passed, result.certificate.plain()


def test_words_that_are_left_out() -> None:
    data = session().createDataFrame([("The Cat sat",), ("a dog sat",), ("the end",)], ["text"])
    words = feature.RegexTokenizer(inputCol="text", outputCol="words")
    kept = feature.StopWordsRemover(inputCol="words", outputCol="kept")
    counted = feature.CountVectorizer(inputCol="kept", outputCol="counts", binary=True)
    result = sardonyx.convert(Pipeline(stages=[words, kept, counted]).fit(data), rows=60)
    assert result.certificate.passed
    odd = feature.RegexTokenizer(inputCol="text", outputCol="words", pattern=",")
    with pytest.raises(ConversionError, match=r"RegexTokenizer_\w+ \(RegexTokenizer\) splits by the expression ','"):
        sardonyx.convert(PipelineModel([odd]))
    plain = feature.Tokenizer(inputCol="text", outputCol="words")
    with pytest.raises(ConversionError, match=r"HashingTF_\w+ \(HashingTF\).*CountVectorizer"):
        sardonyx.convert(PipelineModel([plain, feature.HashingTF(inputCol="words", outputCol="f")]))


def test_types_of_columns() -> None:
    model = small()
    result = sardonyx.convert(model, columns={"a": "float", "b": "long"}, rows=60)
    assert result.certificate.passed
    assert [i.type for i in result.session().get_inputs()][:2] == ["tensor(float)", "tensor(int64)"]
    with pytest.raises(ConversionError, match="columns names z; the model reads a, b, c, d"):
        sardonyx.convert(model, columns={"z": "double"})
    with pytest.raises(ConversionError, match="'a' cannot be a 'number'"):
        sardonyx.convert(model, columns={"a": "number"})
    alone = feature.Normalizer(inputCol="features", outputCol="out")
    with pytest.raises(ConversionError, match=r"how many numbers its input 'features' holds.*'vector\[N\]'"):
        sardonyx.convert(alone)
    assert sardonyx.convert(alone, columns={"features": "vector[3]"}, rows=60).certificate.passed


def test_types_from_a_data_frame() -> None:
    frame = session().createDataFrame([(1, 2.0, 3.0, 4.0)], "a int, b double, c float, d double")
    result = sardonyx.convert(small(), example_inputs=frame, rows=60)
    assert [i.type for i in result.session().get_inputs()] == [
        "tensor(int32)",
        "tensor(double)",
        "tensor(float)",
        "tensor(double)",
    ]


def test_stages_without_converter_are_named() -> None:
    isotonic = regression.IsotonicRegression(labelCol="a", featuresCol="b")
    with pytest.raises(ConversionError, match=r"IsotonicRegression_\w+ \(IsotonicRegressionModel\) has no converter"):
        sardonyx.convert(fitted(isotonic), columns={"b": "double"})
    with pytest.raises(ConversionError, match=r"\(LogisticRegression\) is not fitted: convert what its fit"):
        sardonyx.convert(classification.LogisticRegression())


def test_spark_is_quoted_where_it_refuses_data() -> None:
    model = fitted(FOUR(), LABEL(), classification.NaiveBayes())
    with pytest.raises(ConversionError, match=r"Spark itself fails on the data: .*nonnegative"):
        sardonyx.convert(model, data={name: np.full(3, -1.0) for name in "abcd"})


def test_damaged_folders(tmp_path: Path) -> None:
    small().write().save((tmp_path / "model").as_uri())
    for part in (tmp_path / "model" / "stages").glob("*DecisionTree*/data/*.parquet"):
        part.unlink()
    with pytest.raises(ConversionError, match="model cannot be read as PipelineModel"):
        sardonyx.convert(tmp_path / "model")
    (tmp_path / "odd" / "metadata").mkdir(parents=True)
    (tmp_path / "odd" / "metadata" / "part-00000").write_text('{"class": "org.apache.spark.ml.feature.NoSuchModel"}')
    with pytest.raises(ConversionError, match=r"NoSuchModel, which pyspark has no class for"):
        sardonyx.convert(tmp_path / "odd")


def test_java_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match=r"Spark runs on Java, and none was found.*openjdk-17"):
        sardonyx.convert(model)
