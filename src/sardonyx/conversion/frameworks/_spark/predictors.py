"""Linear models, naive Bayes, perceptrons and clusters, in float64 and by Spark's own formulas.

onnxmltools gives logistic instead of softmax probabilities for three classes and more, forgets thresholds and raw
predictions, and rounds coefficients to float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from sardonyx.conversion.frameworks._spark.columns import called, inputs_of, value
from sardonyx.conversion.frameworks._spark.graph import INTEGERS, NUMBERS, Graph
from sardonyx.errors import ConversionError

__all__ = ["PREDICTORS", "classified", "predicted"]


def classified(graph: Graph, stage: Any, raw: str, probability: str | None, classes: int) -> None:
    """Adds a classifier's columns; the predicted class has the largest probability, measured by ``thresholds``."""
    scores = raw if probability is None else probability
    limits = value(stage, "thresholds")
    if limits and probability is not None:
        if not all(limit > 0 for limit in limits):
            raise ConversionError(f"{called(stage)} has a threshold of 0 among {limits}, which cannot be converted")
        scores = graph.emit("Div", [scores, graph.constant([limits])])
    else:
        scores = raw
    predicted(graph, stage, graph.emit("ArgMax", [scores], axis=1, keepdims=1), INTEGERS)
    _scores(graph, stage, raw, probability, classes)


def predicted(graph: Graph, stage: Any, tensor: str, kind: str = NUMBERS) -> None:
    """Adds the column of predictions."""
    name = value(stage, "predictionCol")
    if name:
        graph.add(name, tensor, 1, kind)


def _scores(graph: Graph, stage: Any, raw: str, probability: str | None, classes: int) -> None:
    for parameter, tensor in (("rawPredictionCol", raw), ("probabilityCol", probability)):
        name = value(stage, parameter)
        if name and tensor is not None:
            graph.add(name, tensor, classes)


def _margin(graph: Graph, stage: Any, coefficients: Any, intercept: Any) -> str:
    """x · coefficients + intercept; coefficients of shape (features, outputs)."""
    column = graph.numbers(inputs_of(stage)[0])
    product = graph.emit("MatMul", [column.tensor, graph.constant(coefficients)])
    return graph.emit("Add", [product, graph.constant(np.asarray(intercept).reshape(1, -1))])


def _both_sides(graph: Graph, margin: str) -> str:
    return graph.emit("Concat", [graph.emit("Neg", [margin]), margin], axis=1)


def logistic_regression(graph: Graph, stage: Any) -> None:
    coefficients, intercepts = stage.coefficientMatrix.toArray(), stage.interceptVector.toArray()
    margin = _margin(graph, stage, coefficients.T, intercepts)
    if len(coefficients) > 1:
        classified(graph, stage, margin, graph.emit("Softmax", [margin], axis=1), len(coefficients))
        return
    raw = _both_sides(graph, margin)
    no = graph.emit("Sigmoid", [graph.emit("Neg", [margin])])
    probability = graph.emit("Concat", [no, graph.emit("Sub", [graph.constant(1.0), no])], axis=1)
    _above(graph, stage, margin, _logit(stage.getThreshold()))
    _scores(graph, stage, raw, probability, 2)


def _logit(threshold: float) -> float:
    if threshold in (0, 1):
        return float("inf") if threshold else -float("inf")
    return float(np.log(threshold / (1 - threshold)))


def _above(graph: Graph, stage: Any, margin: str, limit: float) -> None:
    above = graph.emit("Greater", [margin, graph.constant(limit)])
    predicted(graph, stage, graph.emit("Cast", [above], to=TensorProto.INT64), INTEGERS)


def support_vectors(graph: Graph, stage: Any) -> None:
    margin = _margin(graph, stage, stage.coefficients.toArray()[:, None], stage.intercept)
    _above(graph, stage, margin, stage.getThreshold())
    _scores(graph, stage, _both_sides(graph, margin), None, 2)


def linear_regression(graph: Graph, stage: Any) -> None:
    predicted(graph, stage, _margin(graph, stage, stage.coefficients.toArray()[:, None], stage.intercept))


def generalized_linear(graph: Graph, stage: Any) -> None:
    if value(stage, "family") == "tweedie":
        raise ConversionError(f"{called(stage)} is of the family tweedie, which cannot be converted")
    usual = {"gaussian": "identity", "binomial": "logit", "poisson": "log", "gamma": "inverse"}
    link = value(stage, "link") or usual[value(stage, "family")]
    margin = _margin(graph, stage, stage.coefficients.toArray()[:, None], stage.intercept)
    if value(stage, "linkPredictionCol"):
        graph.add(value(stage, "linkPredictionCol"), margin, 1)
    inverse: dict[str, Callable[[], str]] = {
        "identity": lambda: margin,
        "log": lambda: graph.emit("Exp", [margin]),
        "logit": lambda: graph.emit("Sigmoid", [margin]),
        "inverse": lambda: graph.emit("Reciprocal", [margin]),
        "sqrt": lambda: graph.emit("Mul", [margin, margin]),
    }
    if link not in inverse:
        raise ConversionError(f"{called(stage)} has the link {link}, which cannot be converted")
    predicted(graph, stage, inverse[link]())


def naive_bayes(graph: Graph, stage: Any) -> None:
    kind, theta, prior = value(stage, "modelType"), stage.theta.toArray(), stage.pi.toArray()
    column = graph.numbers(inputs_of(stage)[0])
    if kind == "multinomial":
        raw = _margin(graph, stage, theta.T, prior)
        for position in range(column.width):
            graph.know(column, position, [0, 5])
            graph.bound(column, position, 0, np.inf)
    elif kind == "bernoulli":
        no = np.log(1 - np.exp(theta))
        raw = _margin(graph, stage, (theta - no).T, prior + no.sum(1))
    elif kind == "gaussian":
        raw = _gaussian(graph, column.tensor, theta, stage.sigma.toArray(), prior)
    else:
        raise ConversionError(f"{called(stage)} is of the type {kind}, which cannot be converted")
    classified(graph, stage, raw, graph.emit("Softmax", [raw], axis=1), len(prior))


def _gaussian(graph: Graph, tensor: str, theta: Any, sigma: Any, prior: Any) -> str:
    apart = graph.emit(
        "Sub", [graph.emit("Unsqueeze", [tensor, graph.constant([1], np.int64)]), graph.constant([theta])]
    )
    measured = graph.emit("Div", [graph.emit("Mul", [apart, apart]), graph.constant([sigma])])
    total = graph.emit("ReduceSum", [measured, graph.constant([2], np.int64)], keepdims=0)
    total = graph.emit("Add", [total, graph.constant([np.log(sigma).sum(1)])])
    return graph.emit("Sub", [graph.constant([prior]), graph.emit("Div", [total, graph.constant(2.0)])])


def perceptron(graph: Graph, stage: Any) -> None:
    sizes, weights = list(value(stage, "layers")), stage.weights.toArray()
    tensor, place = graph.numbers(inputs_of(stage)[0]).tensor, 0
    for index, (given, made) in enumerate(itertools.pairwise(sizes)):
        matrix = weights[place : place + given * made].reshape(given, made)
        place += given * made
        bias = weights[place : place + made]
        place += made
        if index:
            tensor = graph.emit("Sigmoid", [tensor])
        tensor = graph.emit("MatMul", [tensor, graph.constant(matrix)])
        tensor = graph.emit("Add", [tensor, graph.constant([bias])])
    classified(graph, stage, tensor, graph.emit("Softmax", [tensor], axis=1), sizes[-1])


def one_vs_rest(graph: Graph, stage: Any) -> None:
    """The raw predictions of the second class of each model, side by side."""
    parts = []
    for model in stage.models:
        emit = PREDICTORS.get(type(model).__name__)
        if emit is None:
            raise ConversionError(f"{called(stage)} is made of {called(model)}, which has no converter")
        outside = dict(graph.columns)
        emit(graph, model)
        raw = graph.columns[value(model, "rawPredictionCol")].tensor
        graph.columns = outside
        parts.append(graph.emit("Gather", [raw, graph.constant([1], np.int64)], axis=1))
    raw = graph.emit("Concat", parts, axis=1)
    predicted(graph, stage, graph.emit("ArgMax", [raw], axis=1, keepdims=1), INTEGERS)
    _scores(graph, stage, raw, None, len(parts))


def k_means(graph: Graph, stage: Any) -> None:
    column, centers = graph.numbers(inputs_of(stage)[0]), np.vstack(stage.clusterCenters())
    for position in range(column.width):
        graph.know(column, position, [centers[:, position].min(), centers[:, position].max()])
    if value(stage, "distanceMeasure") == "cosine":
        norm = graph.emit("ReduceL2", [column.tensor, graph.constant([1], np.int64)])
        unit = graph.emit("Div", [column.tensor, norm])
        near = graph.emit("MatMul", [unit, graph.constant((centers / np.linalg.norm(centers, axis=1)[:, None]).T)])
        nearest = graph.emit("ArgMax", [near], axis=1, keepdims=1)
    else:
        rows = graph.emit("Unsqueeze", [column.tensor, graph.constant([1], np.int64)])
        apart = graph.emit("Sub", [rows, graph.constant([centers])])
        squares = graph.emit("ReduceSumSquare", [apart, graph.constant([2], np.int64)], keepdims=0)
        nearest = graph.emit("ArgMin", [squares], axis=1, keepdims=1)
    predicted(graph, stage, nearest, INTEGERS)


PREDICTORS: dict[str, Callable[[Graph, Any], None]] = {
    "LogisticRegressionModel": logistic_regression,
    "LinearSVCModel": support_vectors,
    "LinearRegressionModel": linear_regression,
    "GeneralizedLinearRegressionModel": generalized_linear,
    "NaiveBayesModel": naive_bayes,
    "MultilayerPerceptronClassificationModel": perceptron,
    "OneVsRestModel": one_vs_rest,
    "KMeansModel": k_means,
}
