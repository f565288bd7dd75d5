"""Support vector machines against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.ml.against import FLOAT, INT64, STRING, check, node_model, run_ours
from sardonyx.errors import InvalidModelError

KERNELS = ["LINEAR", "POLY", "RBF", "SIGMOID"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"]
FEATURES = 5


def machine(classes: int, kernel: str, seed: int = 0, proba: bool = False, positive: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng([classes, seed, len(kernel)])
    per_class = [int(n) for n in rng.integers(1, 9, classes)]
    pairs = classes * (classes - 1) // 2
    coefficients = rng.normal(size=(classes - 1) * sum(per_class)).astype(np.float32)
    result: dict[str, Any] = {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.1, 2.0],
        "support_vectors": rng.normal(size=sum(per_class) * FEATURES).astype(np.float32).tolist(),
        "coefficients": (abs(coefficients) if positive else coefficients).tolist(),
        "rho": rng.normal(size=pairs).astype(np.float32).tolist(),
        "vectors_per_class": per_class,
    }
    if proba:
        result |= {name: rng.normal(size=pairs).astype(np.float32).tolist() for name in ("prob_a", "prob_b")}
    return result


def table(rows: int = 150) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("proba", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classifier(kernel: str, proba: bool, classes: int) -> None:
    attributes = machine(classes, kernel, proba=proba)
    x = table()
    if kernel in ("LINEAR", "POLY"):
        attributes["classlabels_ints"] = [*range(7, 7 + classes)]
    else:
        attributes["classlabels_strings"] = [f"class {k}" for k in range(classes)]
    kind = INT64 if "classlabels_ints" in attributes else STRING
    check("SVMClassifier", x, [kind, FLOAT], rows=[0, 1], tolerance=2e-5, **attributes)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("proba", [False, True])
def test_transforms(transform: str, classes: int, proba: bool) -> None:
    for positive in (False, True):
        attributes = machine(classes, "RBF", 1, proba, positive) | {"classlabels_ints": [*range(7, 7 + classes)]}
        check("SVMClassifier", table(), [INT64, FLOAT], post_transform=transform, tolerance=2e-5, **attributes)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("positive", [False, True])
def test_linear_scores(classes: int, transform: str, positive: bool) -> None:
    rng = np.random.default_rng(classes)
    coefficients = rng.normal(size=classes * FEATURES).astype(np.float32)
    attributes = {
        "coefficients": (abs(coefficients) if positive else coefficients).tolist(),
        "rho": [0.2] * classes,
        "kernel_type": "LINEAR",
        "kernel_params": [0.0, 0.0, 0.0],
        "classlabels_ints": [*range(7, 7 + classes)],
        "post_transform": transform,
    }
    check("SVMClassifier", table(), [INT64, FLOAT], **attributes)


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32"])
def test_other_types(dtype: str) -> None:
    attributes = machine(3, "RBF") | {"classlabels_ints": [1, 2, 3]}
    check("SVMClassifier", (table() * 3).astype(dtype), [INT64, FLOAT], **attributes)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_regressor(kernel: str, one_class: int) -> None:
    rng = np.random.default_rng(2)
    attributes = machine(2, kernel)
    del attributes["vectors_per_class"]
    count = len(attributes["coefficients"])
    attributes |= {"n_supports": count, "one_class": one_class, "rho": [0.1]}
    check("SVMRegressor", table(), [FLOAT], rows=[0, 1], tolerance=2e-5, **attributes)
    linear = {"coefficients": rng.normal(size=FEATURES).astype(np.float32).tolist(), "rho": [0.3]}
    linear["kernel_params"] = [0.0, 0.0, 0.0]
    check("SVMRegressor", table(), [FLOAT], one_class=one_class, kernel_type="LINEAR", **linear)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_of_regressors(transform: str) -> None:
    attributes = machine(2, "RBF")
    del attributes["vectors_per_class"]
    attributes |= {"n_supports": len(attributes["coefficients"]), "rho": [0.1]}
    check("SVMRegressor", table(), [FLOAT], post_transform=transform, tolerance=2e-5, **attributes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_type": "COSINE"}, "expected one of LINEAR, POLY, RBF, SIGMOID"),
        ({"kernel_params": [1.0]}, "expected gamma, coef0 and degree"),
        ({"vectors_per_class": [1, 2]}, "for 3 classes"),
        ({"rho": [1.0]}, "1 rho"),
        ({"prob_a": [1.0], "prob_b": [1.0]}, "1 prob_a and 1 prob_b for 3 pairs"),
        ({"classlabels_ints": [1]}, "1 class labels"),
    ],
)
def test_wrong_attributes(change: dict[str, Any], message: str) -> None:
    attributes = machine(3, "RBF") | {"classlabels_ints": [1, 2, 3]} | change
    model = node_model("SVMClassifier", {"x": table()}, [INT64, FLOAT], **attributes)
    with pytest.raises(InvalidModelError, match=message):
        run_ours(model, {"x": table()})
