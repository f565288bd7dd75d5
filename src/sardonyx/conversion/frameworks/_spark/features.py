"""Transformers of columns, in float64 and by Spark's own formulas.

onnxmltools rounds their numbers to float32, joins columns of different types, has indexers that raise for an unseen
label give -1 without a word, and has no form for most settings of OneHotEncoder and Bucketizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from sardonyx.conversion.frameworks._spark.columns import called, inputs_of, outputs_of, value
from sardonyx.conversion.frameworks._spark.graph import INTEGERS, TEXTS, Column, Graph, Origin
from sardonyx.errors import ConversionError

__all__ = ["FEATURES"]


def assembler(graph: Graph, stage: Any) -> None:
    parts = [graph.numbers(name) for name in inputs_of(stage)]
    if value(stage, "handleInvalid") != "keep":
        graph.strict.update(name for name in inputs_of(stage) if name in graph.widths)
    tensor = parts[0].tensor if len(parts) == 1 else graph.emit("Concat", [part.tensor for part in parts], axis=1)
    graph.add(outputs_of(stage)[0], tensor, sum(p.width for p in parts), origins=[o for p in parts for o in p.origins])


def string_indexer(graph: Graph, stage: Any) -> None:
    keep = value(stage, "handleInvalid") == "keep"
    for source, name, labels in zip(inputs_of(stage), outputs_of(stage), stage.labelsArray, strict=True):
        column = graph.columns[source]
        if column.kind != TEXTS:
            raise ConversionError(
                f"{called(stage)} indexes {source!r}, which holds numbers; only strings can be indexed"
            )
        labels = [str(label) for label in labels]
        tensor = graph.emit(
            "LabelEncoder",
            [column.tensor],
            "ai.onnx.ml",
            keys_strings=labels,
            values_int64s=list(range(len(labels))),
            default_int64=len(labels) if keep else -1,
        )
        graph.add(name, tensor, 1, INTEGERS)
        graph.words.setdefault(source, []).extend([*labels, *(["never seen"] if keep else [])])
        if not keep:
            does = "drops the row" if value(stage, "handleInvalid") == "skip" else "raises an error"
            graph.notes.append(f"{called(stage)}: a string that it never saw becomes -1, where Spark {does}")


def index_to_string(graph: Graph, stage: Any) -> None:
    labels = value(stage, "labels")
    if not labels:
        raise ConversionError(f"{called(stage)} holds no labels: set them, setLabels(indexer.labels)")
    column = graph.columns[inputs_of(stage)[0]]
    indices = column.tensor
    if column.kind != INTEGERS:
        indices = graph.emit("Cast", [indices], to=TensorProto.INT64)
    tensor = graph.emit(
        "LabelEncoder",
        [indices],
        "ai.onnx.ml",
        keys_int64s=list(range(len(labels))),
        values_strings=[str(label) for label in labels],
    )
    graph.know(column, 0, np.arange(len(labels)))
    graph.add(outputs_of(stage)[0], tensor, 1, TEXTS)


def one_hot(graph: Graph, stage: Any) -> None:
    keep, drop = value(stage, "handleInvalid") == "keep", value(stage, "dropLast")
    for source, name, size in zip(inputs_of(stage), outputs_of(stage), stage.categorySizes, strict=True):
        column = graph.numbers(source)
        tensor = graph.emit("Min", [column.tensor, graph.constant([[size]])]) if keep else column.tensor
        width = size + keep - bool(drop)
        equal = graph.emit("Equal", [tensor, graph.constant([np.arange(width)])])
        graph.know(column, 0, np.arange(size))
        graph.add(name, graph.emit("Cast", [equal], to=TensorProto.DOUBLE), width)


def _affine(graph: Graph, stage: Any, shift: Any, scale: Any, offset: float = 0.0) -> None:
    """(x - shift) * scale + offset, per position; ``shift`` may be None."""
    column = graph.numbers(inputs_of(stage)[0])
    tensor = column.tensor
    if shift is not None:
        tensor = graph.emit("Sub", [tensor, graph.constant([shift])])
    tensor = graph.emit("Mul", [tensor, graph.constant([scale])])
    if offset:
        tensor = graph.emit("Add", [tensor, graph.constant(offset)])
    shifts = np.zeros(len(scale)) if shift is None else np.asarray(shift)
    origins = [
        _composed(origin, float(a), float(b), offset)
        for origin, a, b in zip(column.origins, shifts, scale, strict=True)
    ]
    graph.add(outputs_of(stage)[0], tensor, column.width, origins=origins)


def _composed(origin: Origin | None, shift: float, scale: float, offset: float) -> Origin | None:
    if origin is None or not scale:
        return None
    return Origin(
        origin.source, origin.position, origin.shift + (shift - offset / scale) / origin.scale, origin.scale * scale
    )


def standard_scaler(graph: Graph, stage: Any) -> None:
    mean, deviation = stage.mean.toArray(), stage.std.toArray()
    column = graph.numbers(inputs_of(stage)[0])
    for position, (m, s) in enumerate(zip(mean, deviation, strict=True)):
        graph.know(column, position, [m - 2.5 * s, m + 2.5 * s])
    scale = np.ones(len(mean))
    if value(stage, "withStd"):
        scale = np.where(deviation == 0, 0, 1 / np.where(deviation == 0, 1, deviation))
    _affine(graph, stage, mean if value(stage, "withMean") else None, scale)


def min_max_scaler(graph: Graph, stage: Any) -> None:
    low, high = stage.originalMin.toArray(), stage.originalMax.toArray()
    least, most = value(stage, "min"), value(stage, "max")
    column = graph.numbers(inputs_of(stage)[0])
    for position, pair in enumerate(zip(low, high, strict=True)):
        graph.know(column, position, pair)
    span = high - low
    scale = np.where(span == 0, 0, (most - least) / np.where(span == 0, 1, span))
    _affine(graph, stage, low, scale, least)
    if np.any(span == 0):
        made = graph.columns[outputs_of(stage)[0]]
        constant = graph.constant([np.full(len(span), (most + least) / 2)])
        made.tensor = graph.emit("Where", [graph.constant([span == 0], np.bool_), constant, made.tensor])


def max_abs_scaler(graph: Graph, stage: Any) -> None:
    most = stage.maxAbs.toArray()
    column = graph.numbers(inputs_of(stage)[0])
    for position, one in enumerate(most):
        graph.know(column, position, [-one, one])
    _affine(graph, stage, None, 1 / np.where(most == 0, 1, most))


def elementwise_product(graph: Graph, stage: Any) -> None:
    _affine(graph, stage, None, stage.getScalingVec().toArray())


def inverse_document_frequency(graph: Graph, stage: Any) -> None:
    _affine(graph, stage, None, stage.idf.toArray())


def normalizer(graph: Graph, stage: Any) -> None:
    column, power = graph.numbers(inputs_of(stage)[0]), value(stage, "p")
    axes = graph.constant([1], np.int64)
    absolute = graph.emit("Abs", [column.tensor])
    if power == 1:
        norm = graph.emit("ReduceSum", [absolute, axes])
    elif power == 2:
        norm = graph.emit("ReduceL2", [column.tensor, axes])
    elif np.isinf(power):
        norm = graph.emit("ReduceMax", [absolute, axes])
    else:
        raised = graph.emit("ReduceSum", [graph.emit("Pow", [absolute, graph.constant(power)]), axes])
        norm = graph.emit("Pow", [raised, graph.constant(1 / power)])
    zero = graph.emit("Equal", [norm, graph.constant(0.0)])
    norm = graph.emit("Where", [zero, graph.constant(1.0), norm])
    graph.add(outputs_of(stage)[0], graph.emit("Div", [column.tensor, norm]), column.width)


def binarizer(graph: Graph, stage: Any) -> None:
    many = value(stage, "thresholds")
    limits = many if many and value(stage, "inputCols") else [value(stage, "threshold")] * len(inputs_of(stage))
    for source, name, limit in zip(inputs_of(stage), outputs_of(stage), limits, strict=True):
        column = graph.numbers(source)
        above = graph.emit("Greater", [column.tensor, graph.constant(limit)])
        for position in range(column.width):
            graph.know(column, position, [limit - 1, limit, limit + 1], splits=True)
        graph.add(name, graph.emit("Cast", [above], to=TensorProto.DOUBLE), column.width)


def bucketizer(graph: Graph, stage: Any) -> None:
    many = value(stage, "splitsArray") if value(stage, "inputCols") else [value(stage, "splits")]
    for source, name, splits in zip(inputs_of(stage), outputs_of(stage), many, strict=True):
        column, inner = graph.numbers(source), np.asarray(splits[1:-1])
        tensor = _bucket(graph, column, inner)
        if value(stage, "handleInvalid") == "keep":
            gap = graph.emit("IsNaN", [column.tensor])
            tensor = graph.emit("Where", [gap, graph.constant(float(len(splits) - 1)), tensor])
            graph.missing.update(origin.source for origin in column.origins if origin)
        graph.know(column, 0, [splits[0], splits[-1]])
        graph.bound(column, 0, splits[0], splits[-1])
        graph.know(column, 0, inner, splits=True)
        graph.add(name, tensor, 1)


def _bucket(graph: Graph, column: Column, inner: Any) -> str:
    if not len(inner):
        return graph.emit("Mul", [column.tensor, graph.constant(0.0)])
    reached = graph.emit("GreaterOrEqual", [column.tensor, graph.constant([inner])])
    counted = graph.emit("Cast", [reached], to=TensorProto.DOUBLE)
    return graph.emit("ReduceSum", [counted, graph.constant([1], np.int64)])


def imputer(graph: Graph, stage: Any) -> None:
    surrogates, gap = stage.surrogateDF.collect()[0].asDict(), value(stage, "missingValue")
    for source, name in zip(inputs_of(stage), outputs_of(stage), strict=True):
        column = graph.numbers(source)
        test = graph.emit("IsNaN", [column.tensor])
        if not np.isnan(gap):
            test = graph.emit("Equal", [column.tensor, graph.constant(gap)])
        else:
            graph.missing.add(source)
        filled = float(surrogates[source])
        graph.know(column, 0, [filled] if np.isnan(gap) else [filled, gap])
        graph.add(name, graph.emit("Where", [test, graph.constant(filled), column.tensor]), 1, origins=column.origins)


def _picked(graph: Graph, stage: Any, indices: list[int]) -> None:
    column = graph.numbers(inputs_of(stage)[0])
    tensor = graph.emit("Gather", [column.tensor, graph.constant(indices, np.int64)], axis=1)
    graph.add(outputs_of(stage)[0], tensor, len(indices), origins=[column.origins[i] for i in indices])


def slicer(graph: Graph, stage: Any) -> None:
    if value(stage, "names"):
        raise ConversionError(f"{called(stage)} picks by names of attributes: pick by indices, setIndices([...])")
    _picked(graph, stage, list(value(stage, "indices")))


def selector(graph: Graph, stage: Any) -> None:
    _picked(graph, stage, list(stage.selectedFeatures))


def principal_components(graph: Graph, stage: Any) -> None:
    column, matrix = graph.numbers(inputs_of(stage)[0]), stage.pc.toArray()
    graph.add(outputs_of(stage)[0], graph.emit("MatMul", [column.tensor, graph.constant(matrix)]), matrix.shape[1])


FEATURES: dict[str, Callable[[Graph, Any], None]] = {
    "VectorAssembler": assembler,
    "StringIndexerModel": string_indexer,
    "IndexToString": index_to_string,
    "OneHotEncoderModel": one_hot,
    "StandardScalerModel": standard_scaler,
    "MinMaxScalerModel": min_max_scaler,
    "MaxAbsScalerModel": max_abs_scaler,
    "ElementwiseProduct": elementwise_product,
    "IDFModel": inverse_document_frequency,
    "Normalizer": normalizer,
    "Binarizer": binarizer,
    "Bucketizer": bucketizer,
    "ImputerModel": imputer,
    "VectorSlicer": slicer,
    "ChiSqSelectorModel": selector,
    "UnivariateFeatureSelectorModel": selector,
    "VarianceThresholdSelectorModel": selector,
    "PCAModel": principal_components,
}
