"""What the estimator says, by the model's output names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from sardonyx.conversion.frameworks._sklearn.signature import Signature
from sardonyx.conversion.frameworks._sklearn.steps import final, kind_of, unwrapped

__all__ = ["classes", "reference"]

_MIXTURES = ("GaussianMixture", "BayesianGaussianMixture")
_CENTERS = ("KMeans", "MiniBatchKMeans")
_ONE_COLUMN = ("LinearSVC", "RidgeClassifier", "RidgeClassifierCV")
_OUTLIERS = ("IsolationForest", "OneClassSVM", "SGDOneClassSVM", "LocalOutlierFactor", "EllipticEnvelope")


def reference(model: Any, called: Signature, graph: onnx.GraphProto) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The estimator's own answers to the model's inputs, by the model's output names."""
    model = unwrapped(model)
    names = [value.name for value in graph.output]
    asked = _asked(model, len(names))

    def answer(feeds: Mapping[str, Any]) -> dict[str, Any]:
        given = called.arguments(feeds)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = [_dense(ask(given)) for ask in asked]
        return dict(zip(names, found, strict=True))

    return answer


def _asked(model: Any, count: int) -> list[Callable[[Any], Any]]:
    """One question per output: labels and scores of classifiers, outlier detectors and clusterers; values."""
    last = kind_of(final(model))
    if last == "NearestNeighbors":
        return [lambda x: model.kneighbors(x)[1], lambda x: model.kneighbors(x)[0]][:count]
    if count == 1:
        return [_single(model)]
    if last in _CENTERS:
        return [model.predict, model.transform]
    if last in _OUTLIERS:
        return [model.predict, model.decision_function]
    if hasattr(model, "predict_proba"):
        return [model.predict, model.predict_proba]
    if last in _ONE_COLUMN:
        return [model.predict, model.decision_function]
    total = 1.0 if last == "OneVsOneClassifier" else 0.0
    return [model.predict, lambda x: _two_sided(model.decision_function(x), total)]


def _single(model: Any) -> Callable[[Any], Any]:
    asks = model.predict if hasattr(model, "predict") and not hasattr(model, "get_support") else model.transform
    return asks  # type: ignore[no-any-return]


def _two_sided(scores: Any, total: float) -> Any:
    """skl2onnx gives a score for each of two classes where scikit-learn gives that of the second; ``total`` is what
    both add up to."""
    return np.stack([total - scores, scores], axis=1) if np.ndim(scores) == 1 else scores


def _dense(found: Any) -> Any:
    if hasattr(found, "toarray"):
        return found.toarray()
    if isinstance(found, list):  # predict_proba of several outputs: one array each
        return np.stack(found) if len({np.shape(part) for part in found}) == 1 else found
    return found.to_numpy() if hasattr(found, "to_numpy") else found


def classes(model: Any) -> list[str] | None:
    """Class names in the order of the scores."""
    found = getattr(unwrapped(model), "classes_", None)
    if found is None or isinstance(found, list) or kind_of(final(model)) in ("LabelEncoder", "LabelBinarizer"):
        return None
    return [str(name) for name in np.asarray(found).tolist()]
