"""Scaling, imputing and linear models against ONNX Runtime and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.ml.against import FLOAT, INT64, STRING, check, node_model, run_ours
from sardonyx.errors import InvalidModelError

TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def table(rows: int, dtype: str = "float32", columns: int = 5) -> np.ndarray:
    rng = np.random.default_rng(rows)
    return (rng.normal(size=(rows, columns)) * 3).astype(dtype)


def floats(*sizes: int, seed: int = 0) -> list[float]:
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32).reshape(-1).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_scaler_and_normalizer(dtype: str) -> None:
    x = table(37, dtype)
    check("Scaler", x, [FLOAT], rows=[0, 1], offset=floats(5), scale=floats(5, seed=1))
    check("Scaler", x, [FLOAT], offset=[0.5], scale=[2.0])
    for norm in ("MAX", "L1", "L2"):
        check("Normalizer", x, [FLOAT], rows=[0, 1], norm=norm)


def test_normalizer_of_a_vector_and_of_zeros() -> None:
    for norm in ("MAX", "L1", "L2"):
        check("Normalizer", table(1)[0], [FLOAT], norm=norm)
        check("Normalizer", np.zeros((2, 3), np.float32), [FLOAT], norm=norm)


def test_binarizer() -> None:
    x = np.array([[-1, 0.5, 0.6, -np.inf, np.inf]], np.float32)
    check("Binarizer", x, [FLOAT], threshold=0.5)
    integers = np.array([[-3, 0, 1, 2]])
    for threshold, expected in ((0.5, [0, 0, 1, 1]), (-2.5, [0, 1, 1, 1]), (1e30, [0, 0, 0, 0])):
        model = node_model("Binarizer", {"x": integers}, [INT64], threshold=threshold)
        np.testing.assert_array_equal(run_ours(model, {"x": integers})[0], [expected])


def test_imputer() -> None:
    x = table(20)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    check("Imputer", x, [FLOAT], imputed_value_floats=floats(5), replaced_value_float=float("nan"))
    check("Imputer", np.round(table(20)), [FLOAT], imputed_value_floats=[7.0], replaced_value_float=2.0)
    check("Imputer", table(20, "int64"), [INT64], imputed_value_int64s=[9], replaced_value_int64=1)


@pytest.mark.parametrize("sizes", [[3], [8], [5]])
def test_feature_vectorizer(sizes: list[int]) -> None:
    check("FeatureVectorizer", table(7), [FLOAT], inputdimensions=sizes)


def test_feature_vectorizer_of_several_inputs() -> None:
    inputs = {"a": table(4), "b": table(4, columns=2)}
    model = node_model("FeatureVectorizer", inputs, [FLOAT], inputdimensions=[6, 1])
    expected = np.concatenate([inputs["a"], np.zeros((4, 1)), inputs["b"][:, :1]], axis=1)
    np.testing.assert_array_equal(run_ours(model, inputs)[0], expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("classes", [1, 2, 3, 40])
def test_linear_classifier(transform: str, classes: int) -> None:
    labels = max(2, classes)
    attributes: dict[str, Any] = {"coefficients": floats(classes, 5), "intercepts": floats(classes, seed=1)}
    attributes |= {"post_transform": transform, "multi_class": 1}
    if transform == "PROBIT" and classes == 1:
        return  # ONNX Runtime reads one score too many there
    tolerance = 1e-3 if transform == "PROBIT" else 1e-5
    if classes % 2:
        attributes["classlabels_ints"] = [*range(3, 3 + labels)]
    else:
        attributes["classlabels_strings"] = [f"label {k}" for k in range(labels)]
    kind = INT64 if classes % 2 else STRING
    check("LinearClassifier", table(67), [kind, FLOAT], tolerance=tolerance, rows=[0, 1], **attributes)


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32"])
def test_linear_classifier_of_other_types(dtype: str) -> None:
    attributes = {"coefficients": floats(3, 5), "intercepts": floats(3, seed=1), "classlabels_ints": [7, 8, 9]}
    check("LinearClassifier", table(9, dtype), [INT64, FLOAT], **attributes)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("targets", [1, 2, 5])
def test_linear_regressor(transform: str, targets: int) -> None:
    tolerance = 1e-3 if transform == "PROBIT" else 1e-5
    attributes = {"coefficients": floats(targets, 5), "intercepts": floats(targets, seed=1), "targets": targets}
    check(
        "LinearRegressor", table(67), [FLOAT], tolerance=tolerance, rows=[0, 1], post_transform=transform, **attributes
    )


def test_wide_linear_regressor_in_float64() -> None:
    x = table(9, "float64")
    model = node_model("LinearRegressor", {"x": x}, [FLOAT], coefficients=floats(2, 5), targets=2)
    expected = x @ np.array(floats(2, 5)).reshape(2, 5).T
    np.testing.assert_allclose(run_ours(model, {"x": x})[0], expected, 1e-6, 1e-6)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("Scaler", {"offset": [1.0, 2.0], "scale": [1.0, 2.0, 3.0]}, "2 offsets and 3 scales"),
        ("Normalizer", {"norm": "L3"}, "expected one of MAX, L1, L2"),
        ("Imputer", {}, "no imputed values"),
        ("LinearRegressor", {"coefficients": [1.0] * 5, "targets": 2}, "5 numbers for 2 scores"),
        ("LinearRegressor", {"coefficients": [1.0] * 5, "post_transform": "TANH"}, "post_transform is 'TANH'"),
        ("LinearRegressor", {"targets": 2}, "0 numbers for 2 scores"),
        ("FeatureVectorizer", {"inputdimensions": [-2]}, "negative size"),
    ],
)
def test_wrong_attributes(op: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run_ours(node_model(op, {"x": table(2)}, [FLOAT], **attributes), {"x": table(2)})


def test_wrong_classifiers() -> None:
    for attributes in ({"classlabels_ints": [1, 2, 3]}, {}):
        model = node_model("LinearClassifier", {"x": table(2)}, [INT64, FLOAT], coefficients=[1.0] * 10,
                           intercepts=[0.0, 0.0], **attributes)  # fmt: skip
        with pytest.raises(InvalidModelError, match="2 scores for"):
            run_ours(model, {"x": table(2)})
