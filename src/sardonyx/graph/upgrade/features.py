"""ai.onnx.ml's operators on columns of features that are arithmetic of ai.onnx: scaling, imputing, linear models.

What the standard leaves open (types of sums, one score for two classes) follows ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.graph.emit import Emitter
from sardonyx.graph.upgrade.helpers import input_at, known_rank, take
from sardonyx.graph.upgrade.registry import CannotUpgrade, upgrade

__all__: list[str] = []

ML = "ai.onnx.ml"
FLOAT, DOUBLE, INT64, INT32 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.INT32


def numbers(node: ir.Node, name: str, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """A list attribute as an array."""
    return np.array(take(node, name, ()), dtype)


def converted(value: ir.Value, dtype: ir.DataType, emit: Emitter) -> ir.Value:
    """A value as another element type."""
    return value if value.dtype == dtype else emit.op("Cast", value, to=int(dtype))


def floating(value: ir.Value, emit: Emitter) -> ir.Value:
    """Integers as float32, floats as they are."""
    if value.dtype is None:
        raise CannotUpgrade("the input's type is unknown")
    return value if value.dtype in (FLOAT, DOUBLE) else converted(value, FLOAT, emit)


def matrix(value: ir.Value, emit: Emitter) -> ir.Value:
    """A vector as one row."""
    return emit.op("Unsqueeze", value, emit.ints([0])) if known_rank(value) == 1 else value


def like(array: npt.NDArray[Any], value: ir.Value, emit: Emitter, hint: str) -> ir.Value:
    """A constant of the type of a float value."""
    return emit.constant(array.astype(np.float64 if value.dtype == DOUBLE else np.float32), hint)


def chosen(name: str, value: str, known: Sequence[str]) -> str:
    """An attribute that must be one of some words."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")
    return value


@upgrade("Scaler", before=2, domain=ML)
def scaler(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """(X - offset) * scale, as float32."""
    data = floating(input_at(node, 0), emit)
    offset, scale = numbers(node, "offset"), numbers(node, "scale")
    if len(offset) != len(scale) and 1 not in (len(offset), len(scale)):
        raise ValueError(f"{len(offset)} offsets and {len(scale)} scales")
    moved = emit.op("Sub", data, like(offset, data, emit, "offset"))
    return [converted(emit.op("Mul", moved, like(scale, data, emit, "scale")), FLOAT, emit)]


@upgrade("Binarizer", before=2, domain=ML)
def binarizer(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """1 above the threshold, else 0."""
    data, threshold = input_at(node, 0), take(node, "threshold", 0.0)
    if data.dtype is None:
        raise CannotUpgrade("the input's type is unknown")
    if data.dtype in (FLOAT, DOUBLE):
        limit: npt.NDArray[Any] = np.array(np.float32(threshold))
    else:  # an integer above a number is above the integer below it
        most = np.iinfo(data.dtype.numpy())
        limit = np.array(min(max(math.floor(threshold), int(most.min)), int(most.max)))
    above = emit.op("Greater", data, emit.constant(limit.astype(data.dtype.numpy()), "threshold"))
    return [converted(above, data.dtype, emit)]


@upgrade("Imputer", before=2, domain=ML)
def imputer(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """The values that stand for missing ones (NaN among floats) are replaced, by one number or one per column."""
    data = input_at(node, 0)
    if data.dtype is None:
        raise CannotUpgrade("the input's type is unknown")
    floats = data.dtype in (FLOAT, DOUBLE)
    dtype = data.dtype.numpy()
    values = numbers(node, "imputed_value_floats" if floats else "imputed_value_int64s", np.float32 if floats else "q")
    if not len(values):
        raise ValueError(f"no imputed values for inputs of {data.dtype.name.lower()}")
    replaced = take(node, "replaced_value_float", 0.0) if floats else take(node, "replaced_value_int64", 0)
    if floats and math.isnan(replaced):
        missing = emit.op("IsNaN", data)
    else:
        missing = emit.op("Equal", data, emit.constant(np.array(replaced).astype(dtype), "replaced"))
    return [emit.op("Where", missing, emit.constant(values.astype(dtype), "imputed"), data)]


@upgrade("Normalizer", before=2, domain=ML)
def normalizer(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """Rows divided by their largest element, or by their L1 or L2 norm; those where that is 0 stay."""
    data = floating(input_at(node, 0), emit)
    norms = {"MAX": "ReduceMax", "L1": "ReduceL1", "L2": "ReduceL2"}
    reduce = norms[chosen("norm", take(node, "norm", "MAX"), tuple(norms))]
    size = emit.op(reduce, data, emit.ints([-1]), keepdims=1)
    zero, one = (like(np.array(number), data, emit, "number") for number in (0, 1))
    divisor = emit.op("Where", emit.op("Equal", size, zero), one, size)
    return [converted(emit.op("Div", data, divisor), FLOAT, emit)]


@upgrade("FeatureVectorizer", before=2, domain=ML)
def feature_vectorizer(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """The inputs' columns side by side as float32, each input cut or filled up with zeros to its dimension."""
    sizes = [int(size) for size in take(node, "inputdimensions", ())]
    if sizes and len(sizes) != len(node.inputs):
        raise ValueError(f"{len(sizes)} inputdimensions for {len(node.inputs)} inputs")
    if any(size < 0 for size in sizes):
        raise ValueError(f"inputdimensions {sizes} has a negative size")
    parts = []
    for place in range(len(node.inputs)):
        part = matrix(converted(input_at(node, place), FLOAT, emit), emit)
        if sizes:
            filled = emit.op("Pad", part, emit.ints([0, 0, 0, sizes[place]]))
            part = emit.op("Slice", filled, emit.ints([0]), emit.ints([sizes[place]]), emit.ints([1]))
        parts.append(part)
    return [emit.op("Concat", *parts, axis=1)]


def _scores(data: ir.Value, coefficients: npt.NDArray[Any], intercepts: npt.NDArray[Any], emit: Emitter) -> ir.Value:
    """X W' + b, with the coefficients in one row per score."""
    weights = like(np.ascontiguousarray(coefficients.T), data, emit, "coefficients")
    if not intercepts.any():
        return emit.op("MatMul", data, weights)
    return emit.op("Gemm", data, weights, like(intercepts, data, emit, "intercepts"))


def _rows(name: str, values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    if rows < 1 or len(values) % rows or not len(values):
        raise ValueError(f"{name} has {len(values)} numbers for {rows} scores")
    return values.reshape(rows, -1)


@upgrade("LinearRegressor", before=2, domain=ML)
def linear_regressor(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    data = matrix(floating(input_at(node, 0), emit), emit)
    targets = take(node, "targets", 1)
    coefficients, intercepts = numbers(node, "coefficients"), numbers(node, "intercepts")
    if len(intercepts) not in (0, targets):
        raise ValueError(f"{len(intercepts)} intercepts for {targets} targets")
    scores = converted(_scores(data, _rows("coefficients", coefficients, targets), intercepts, emit), FLOAT, emit)
    transform = take(node, "post_transform", "NONE")
    return (
        [scores] if transform == "NONE" else emit.own("PostTransform", scores, types=[FLOAT], post_transform=transform)
    )


@upgrade("LinearClassifier", before=2, domain=ML)
def linear_classifier(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """The label with the largest score; one score for two labels is the second one's, chosen above 0."""
    data = matrix(converted(input_at(node, 0), FLOAT, emit), emit)
    texts = take(node, "classlabels_strings", ())
    labels = list(take(node, "classlabels_ints", ())) if not texts else list(range(len(texts)))
    coefficients, intercepts = numbers(node, "coefficients"), numbers(node, "intercepts")
    columns = len(intercepts) or len(labels)
    if len(labels) != columns and (columns, len(labels)) != (1, 2):
        raise ValueError(f"{columns} scores for {len(labels)} labels")
    scores = _scores(data, _rows("coefficients", coefficients, columns), intercepts, emit)
    return classified(scores, labels, texts, take(node, "post_transform", "NONE"), emit)


def classified(
    scores: ir.Value,
    labels: Sequence[int],
    texts: Sequence[str],
    transform: str,
    emit: Emitter,
    opposite: str = "complement",
) -> Sequence[ir.Value]:
    """Labels and scores from raw scores; with ``texts`` the labels are strings."""
    chosen_label, result = emit.own(
        "Classify", scores, types=[INT64, FLOAT], labels=list(labels), post_transform=transform, opposite=opposite
    )
    return [spelled(chosen_label, texts, emit) if texts else chosen_label, result]


def spelled(places: ir.Value, texts: Sequence[str], emit: Emitter) -> ir.Value:
    """The strings at int64 places of a list."""
    keys = list(range(len(texts)))
    return emit.op("LabelEncoder", places, domain=ML, keys_int64s=keys, values_strings=list(texts))


@upgrade("TreeEnsembleClassifier", before=5, domain=ML)
def tree_classifier(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """Labels that are strings become their places in the list, and a LabelEncoder."""
    texts = take(node, "classlabels_strings", ())
    if not texts:
        return None
    attributes = [value for name, value in node.attributes.items() if name != "classlabels_int64s"]
    attributes.append(ir.AttrInt64s("classlabels_int64s", range(len(texts))))
    made = ir.Node(ML, node.op_type, node.inputs, attributes, num_outputs=2, version=node.version, name=node.name)
    emit.append(made)
    return [spelled(made.outputs[0], texts, emit), made.outputs[1]]
