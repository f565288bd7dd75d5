"""ai.onnx.ml's support vector machines: kernels, then products with the coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.graph.emit import Emitter
from sardonyx.graph.upgrade.features import FLOAT, INT64, ML, chosen, classified, converted, matrix, numbers, spelled
from sardonyx.graph.upgrade.helpers import input_at, take
from sardonyx.graph.upgrade.registry import upgrade

__all__: list[str] = []

KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def _kernel(node: ir.Node, data: ir.Value, vectors: npt.NDArray[Any], emit: Emitter) -> ir.Value:
    """(n, s): the kernel function of each row of X and each support vector (s, f)."""
    kind = chosen("kernel_type", take(node, "kernel_type", "LINEAR"), KERNELS)
    parameters = [float(number) for number in take(node, "kernel_params", ())]
    if len(parameters) not in (0, 3):
        raise ValueError(f"kernel_params has {len(parameters)} numbers; expected gamma, coef0 and degree")
    gamma, offset, degree = parameters or (0.0, 0.0, 0.0)
    columns = emit.constant(np.ascontiguousarray(vectors.T), "support_vectors")
    if kind == "RBF":
        return emit.own("RbfKernel", data, columns, types=[FLOAT], gamma=gamma)[0]
    dots = emit.op("MatMul", data, columns)
    if kind == "LINEAR":
        return dots
    moved = emit.op("Add", emit.op("Mul", dots, _number(gamma, emit)), _number(offset, emit))
    return emit.op("Tanh", moved) if kind == "SIGMOID" else emit.op("Pow", moved, _number(degree, emit))


def _number(number: float, emit: Emitter) -> ir.Value:
    return emit.constant(np.float32(number), "parameter")


def _weighted(values: ir.Value, weights: npt.NDArray[Any], offset: npt.NDArray[Any], emit: Emitter) -> ir.Value:
    weights = np.ascontiguousarray(weights, np.float32)
    return emit.op("Gemm", values, emit.constant(weights, "coefficients"), emit.constant(offset, "rho"))


@upgrade("SVMRegressor", before=2, domain=ML)
def svm_regressor(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """The kernel's weighted sum, or (without support vectors) a linear function; ``one_class`` takes the sign."""
    data = matrix(converted(input_at(node, 0), FLOAT, emit), emit)
    coefficients, rho = numbers(node, "coefficients"), numbers(node, "rho")
    vectors, count = numbers(node, "support_vectors"), take(node, "n_supports", 0)
    if not len(coefficients) or not len(rho):
        raise ValueError("coefficients and rho must hold a number at least")
    if count > 0:
        if len(vectors) % count or not len(vectors) or len(coefficients) != count:
            raise ValueError(f"{len(vectors)} numbers and {len(coefficients)} coefficients for {count} support vectors")
        data = _kernel(node, data, vectors.reshape(count, -1), emit)
    scores = _weighted(data, coefficients.reshape(-1, 1), rho[:1], emit)
    if take(node, "one_class", 0):
        positive = emit.op("Greater", scores, _number(0, emit))
        return [emit.op("Where", positive, _number(1, emit), _number(-1, emit))]
    transform = take(node, "post_transform", "NONE")
    return (
        [scores] if transform == "NONE" else emit.own("PostTransform", scores, types=[FLOAT], post_transform=transform)
    )


@upgrade("SVMClassifier", before=2, domain=ML)
def svm_classifier(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """The class with the most votes of one-against-one machines; without support vectors, linear scores."""
    data = matrix(converted(input_at(node, 0), FLOAT, emit), emit)
    texts = take(node, "classlabels_strings", ())
    labels = list(range(len(texts))) if texts else list(take(node, "classlabels_ints", ()))
    transform = take(node, "post_transform", "NONE")
    per_class = [int(count) for count in take(node, "vectors_per_class", ())]
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} class labels; expected two or more")
    if sum(per_class) <= 0:
        return _linear_classes(node, data, labels, texts, transform, emit)
    decisions = _decisions(node, data, per_class, len(labels), emit)
    prob_a, prob_b = numbers(node, "prob_a"), numbers(node, "prob_b")
    pairs = len(labels) * (len(labels) - 1) // 2
    if len(prob_a) not in (0, pairs) or len(prob_b) != len(prob_a):
        raise ValueError(f"{len(prob_a)} prob_a and {len(prob_b)} prob_b for {pairs} pairs of classes")
    if len(labels) == 2 and not len(prob_a):
        opposite = "complement" if transform.startswith("SOFTMAX") else "negative"
        turned = (labels[::-1], texts[::-1]) if not texts else (labels, texts[::-1])
        return classified(decisions, *turned, transform, emit, opposite)
    label, scores = emit.own(
        "VoteClasses",
        decisions,
        types=[INT64, FLOAT],
        labels=labels,
        post_transform=transform,
        **({"prob_a": prob_a.tolist(), "prob_b": prob_b.tolist()} if len(prob_a) else {}),
    )
    return [spelled(label, texts, emit) if texts else label, scores]


def _decisions(node: ir.Node, data: ir.Value, per_class: Sequence[int], classes: int, emit: Emitter) -> ir.Value:
    """(n, pairs): class i against class j, for i < j; coefficients are those of libsvm, (classes - 1, vectors)."""
    vectors, coefficients, rho = (numbers(node, name) for name in ("support_vectors", "coefficients", "rho"))
    count, pairs = sum(per_class), classes * (classes - 1) // 2
    if len(per_class) != classes or min(per_class) < 0 or len(vectors) % count or not len(vectors):
        raise ValueError(f"vectors_per_class {per_class} for {classes} classes and {len(vectors)} numbers of vectors")
    if len(coefficients) != (classes - 1) * count or len(rho) < pairs:
        raise ValueError(f"{len(coefficients)} coefficients, {len(rho)} rho for {count} vectors of {classes} classes")
    table = coefficients.reshape(classes - 1, count)
    ends = np.cumsum([0, *per_class])
    weights, pair = np.zeros((count, pairs), np.float32), 0
    for i in range(classes):
        for j in range(i + 1, classes):
            of_i, of_j = slice(ends[i], ends[i + 1]), slice(ends[j], ends[j + 1])
            weights[of_i, pair], weights[of_j, pair] = table[j - 1, of_i], table[i, of_j]
            pair += 1
    values = _kernel(node, data, vectors.reshape(count, -1), emit)
    return _weighted(values, weights, rho[:pairs], emit)


def _linear_classes(
    node: ir.Node, data: ir.Value, labels: list[int], texts: Sequence[str], transform: str, emit: Emitter
) -> Sequence[ir.Value]:
    """The class with the largest linear score; as in ONNX Runtime the second of two where a score is positive (0.5 or
    more, if no coefficient is negative)."""
    coefficients, rho = numbers(node, "coefficients"), numbers(node, "rho")
    classes = len(labels)
    if not len(coefficients) or len(coefficients) % classes or not len(rho):
        raise ValueError(f"{len(coefficients)} coefficients and {len(rho)} rho for {classes} classes")
    table = coefficients.reshape(classes, -1)
    scores = _weighted(data, table.T, np.full(classes, rho[0], np.float32), emit)
    label, result = classified(scores, labels, (), transform, emit)
    if classes == 2:
        limit = np.nextafter(np.float32(0.5), np.float32(0)) if (coefficients >= 0).all() else np.float32(0)
        top = emit.op("ReduceMax", scores, emit.ints([1]), keepdims=0)
        second = emit.constant(np.int64(labels[1]), "label")
        label = emit.op("Where", emit.op("Greater", top, emit.constant(limit, "limit")), second, label)
    return [spelled(label, texts, emit) if texts else label, result]
