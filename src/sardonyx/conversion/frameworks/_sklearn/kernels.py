"""Support vector machines with kernels, computed in float64 as libsvm does.

The standard's SVMClassifier and SVMRegressor compute in float32, where sums of many kernels lose what tells classes
apart, and skl2onnx gives the scores of two classes with the wrong sign. Here kernels are matrix products in float64,
whatever the input's type. Machines with probabilities keep the standard's operator, which holds libsvm's coupling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from sardonyx.conversion.frameworks._boosters.answers import Graph
from sardonyx.errors import ConversionError

__all__ = ["converters", "has_probabilities"]


def converters() -> dict[type, Callable[[Any, Any, Any], None]]:
    """Conversion functions for skl2onnx, by estimator."""
    from sklearn import svm

    return {
        svm.SVC: _classifier,
        svm.NuSVC: _classifier,
        svm.SVR: _regressor,
        svm.NuSVR: _regressor,
        svm.OneClassSVM: _detector,
    }


def has_probabilities(model: Any) -> bool:
    """Whether a machine was fitted to give probabilities."""
    return len(getattr(model, "_probA", ())) > 0


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    """Votes of all pairs of classes: label, and decision_function."""
    from skl2onnx.common._registration import get_converter

    model = operator.raw_operator
    if has_probabilities(model):
        get_converter("SklearnSVC")(scope, operator, container)
        return
    graph, label, scores = _begin(scope, operator), *(value.full_name for value in operator.outputs)
    coefficients, first, second = _pairs(model)
    decisions = _decisions(graph, operator, coefficients, model._intercept_)
    if len(model.classes_) == 2:
        found = graph.add("Concat", [decisions, graph.add("Neg", [decisions])], axis=1)
        wins = found
    else:
        wins = _votes(graph, decisions, "Greater", first, second)
        found = decisions
        if model.decision_function_shape == "ovr":
            found = _one_against_rest(graph, decisions, first, second)
            wins = found if model.break_ties else wins
    _finish(graph, operator, container, found, scores)
    place = graph.add("ArgMax", [wins], axis=1, keepdims=0)
    known = np.asarray(model.classes_)
    names = known.astype(object) if known.dtype.kind in "OSUT" else known.astype(np.int64)
    graph.add("Gather", [graph.constant(names), place], label, axis=0)
    _add(graph, container)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    graph = _begin(scope, operator)
    found = _decisions(graph, operator, model.dual_coef_.T, model.intercept_)
    _finish(graph, operator, container, found, operator.outputs[0].full_name)
    _add(graph, container)


def _detector(scope: Any, operator: Any, container: Any) -> None:
    """1 inside, -1 outside; decision_function."""
    model = operator.raw_operator
    graph = _begin(scope, operator)
    found = _decisions(graph, operator, model.dual_coef_.T, model.intercept_)
    label, scores = (value.full_name for value in operator.outputs)
    inside = graph.add("Greater", [found, graph.constant(np.float64(0))])
    one, other = graph.constant(np.int64(1)), graph.constant(np.int64(-1))
    graph.add("Where", [inside, one, other], label)
    _finish(graph, operator, container, found, scores)
    _add(graph, container)


def _begin(scope: Any, operator: Any) -> Graph:
    return Graph(scope.get_unique_operator_name(type(operator.raw_operator).__name__) + "_")


def _add(graph: Graph, container: Any) -> None:
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets.add(("", 13))


def _finish(graph: Graph, operator: Any, container: Any, found: str, output: str) -> None:
    """Scores in the type of the input."""
    from skl2onnx.common.data_types import DoubleTensorType

    if isinstance(operator.inputs[0].type, DoubleTensorType):
        graph.add("Identity", [found], output)
    else:
        graph.add("Cast", [found], output, to=TensorProto.FLOAT)


def _decisions(graph: Graph, operator: Any, coefficients: Any, intercepts: Any) -> str:
    model = operator.raw_operator
    given = graph.add("Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    weighted = graph.add("MatMul", [_kernel(graph, given, model), graph.constant(np.asarray(coefficients, np.float64))])
    return graph.add("Add", [weighted, graph.constant(np.asarray(intercepts, np.float64).reshape(1, -1))])


def _kernel(graph: Graph, given: str, model: Any) -> str:
    """The kernel of rows with support vectors, shape (rows, support vectors)."""
    vectors = model.support_vectors_
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors, np.float64)
    product = graph.add("MatMul", [given, graph.constant(np.ascontiguousarray(vectors.T))])
    if model.kernel == "linear":
        return product
    gamma = np.float64(model._gamma)
    if model.kernel == "rbf":  # |x - v|^2 = x x + v v - 2 x v
        squares = graph.add("Mul", [given, given])
        own = graph.add("ReduceSum", [squares, graph.constant(np.asarray([1], np.int64))], keepdims=1)
        both = graph.add("Add", [own, graph.constant((vectors**2).sum(axis=1)[None])])
        apart = graph.add("Sub", [both, graph.add("Mul", [product, graph.constant(np.float64(2))])])
        return graph.add("Exp", [graph.add("Mul", [apart, graph.constant(-gamma)])])
    scaled = graph.add("Mul", [product, graph.constant(gamma)])
    moved = graph.add("Add", [scaled, graph.constant(np.float64(model.coef0))])
    if model.kernel == "sigmoid":
        return graph.add("Tanh", [moved])
    if model.kernel == "poly":
        return graph.add("Pow", [moved, graph.constant(np.float64(model.degree))])
    raise ConversionError(
        f"{type(model).__name__} with the kernel {model.kernel!r} cannot be converted: use rbf, poly, sigmoid or linear"
    )


def _pairs(model: Any) -> tuple[Any, Any, Any]:
    """Per pair of classes, what each support vector weighs (support vectors, pairs), and which classes the pair is
    made of, as matrices (pairs, classes)."""
    counts = np.asarray(model._n_support)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    dual = model._dual_coef_
    dual = np.asarray(dual.toarray() if hasattr(dual, "toarray") else dual, np.float64)
    count = len(counts)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    weights = np.zeros((bounds[-1], len(pairs)))
    for place, (i, j) in enumerate(pairs):
        ours, theirs = slice(bounds[i], bounds[i + 1]), slice(bounds[j], bounds[j + 1])
        weights[ours, place] = dual[j - 1, ours]
        weights[theirs, place] = dual[i, theirs]
    identity = np.eye(count)
    first = identity[[i for i, _ in pairs]]
    second = identity[[j for _, j in pairs]]
    return weights, first, second


def _votes(graph: Graph, decisions: str, compare: str, first: Any, second: Any) -> str:
    """How many pairs each class wins."""
    wins = graph.add(compare, [decisions, graph.constant(np.float64(0))])
    won = graph.add("Cast", [wins], to=TensorProto.DOUBLE)
    lost = graph.add("Sub", [graph.constant(np.float64(1)), won])
    ours = graph.add("MatMul", [won, graph.constant(first)])
    return graph.add("Add", [ours, graph.add("MatMul", [lost, graph.constant(second)])])


def _one_against_rest(graph: Graph, decisions: str, first: Any, second: Any) -> str:
    """scikit-learn's ``_ovr_decision_function``: votes, and confidences within a third on either side."""
    votes = _votes(graph, decisions, "GreaterOrEqual", first, second)
    sums = graph.add("MatMul", [decisions, graph.constant(first - second)])
    size = graph.add("Add", [graph.add("Abs", [sums]), graph.constant(np.float64(1))])
    within = graph.add("Div", [sums, graph.add("Mul", [size, graph.constant(np.float64(3))])])
    return graph.add("Add", [votes, within])
