"""The stages of a model, the columns that go in and come out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sardonyx.errors import ConversionError

__all__ = ["called", "declared", "inputs_of", "label_stages", "outputs_of", "stages_of", "value"]

_TEXT = ("StringIndexerModel", "Tokenizer", "RegexTokenizer")
_SCALARS = (
    "VectorAssembler",
    "ImputerModel",
    "Bucketizer",
    "OneHotEncoderModel",
    "IndexToString",
    "Binarizer",
)
_PREDICTOR = ("predictionCol", "probabilityCol", "rawPredictionCol")
_TYPES = ("double", "float", "int", "long", "string")


def called(stage: Any) -> str:
    """A stage as messages call it."""
    return f"{stage.uid} ({type(stage).__name__})"


def value(stage: Any, name: str) -> Any:
    """A parameter's value, or None where the stage does not have it or it is not set."""
    if not stage.hasParam(name):
        return None
    parameter = stage.getParam(name)
    return stage.getOrDefault(parameter) if stage.isDefined(parameter) else None


def stages_of(model: Any) -> list[Any]:
    """The stages in order, pipelines inside of pipelines taken apart. Raises ConversionError for what is not fitted."""
    from pyspark.ml import Estimator, PipelineModel

    if isinstance(model, Estimator):
        raise ConversionError(f"{called(model)} is not fitted: convert what its fit() returns")
    if isinstance(model, PipelineModel):
        return [inner for stage in model.stages for inner in stages_of(stage)]
    return [model]


def inputs_of(stage: Any) -> list[str]:
    """The columns that a stage reads to transform (not those that it was trained on)."""
    many = value(stage, "inputCols")
    if many:
        return list(many)
    one = value(stage, "inputCol") or value(stage, "featuresCol")
    return [one] if one else []


def outputs_of(stage: Any) -> list[str]:
    """The columns that a stage adds."""
    many = value(stage, "outputCols")
    if many:
        return list(many)
    one = value(stage, "outputCol")
    if one:
        return [one]
    return [column for name in _PREDICTOR if (column := value(stage, name))]


def label_stages(stages: list[Any]) -> list[Any]:
    """Indexers of the labels: only training needs what they give."""
    used = {column for stage in stages for column in inputs_of(stage)}
    labels = {value(stage, "labelCol") for stage in stages if value(stage, "predictionCol")}
    return [
        stage
        for stage in stages
        if type(stage).__name__ == "StringIndexerModel"
        and all(column in labels and column not in used for column in outputs_of(stage))
    ]


def declared(stages: list[Any], wanted: Mapping[str, str]) -> dict[str, str]:
    """The input columns and their types: as ``wanted`` says, else by the first stage that reads them."""
    made: set[str] = set()
    found: dict[str, str] = {}
    for stage in stages:
        for column in inputs_of(stage):
            if column not in made and column not in found:
                found[column] = _checked(column, wanted[column]) if column in wanted else _type(stage, column)
        made.update(outputs_of(stage))
    unknown = sorted(set(wanted) - set(found))
    if unknown:
        raise ConversionError(f"columns names {', '.join(unknown)}; the model reads {', '.join(found)}")
    return found


def _checked(column: str, kind: str) -> str:
    if kind in _TYPES or re.fullmatch(r"vector\[[1-9]\d*\]", str(kind)):
        return kind
    raise ConversionError(f"columns: {column!r} cannot be a {kind!r}; types are {', '.join(_TYPES)}, vector[N]")


def _type(stage: Any, column: str) -> str:
    kind = type(stage).__name__
    if kind in _TEXT:
        return "string"
    if kind in _SCALARS:
        return "double"
    width = _width(stage)
    if width is None:
        raise ConversionError(
            f"{called(stage)} does not say how many numbers its input {column!r} holds; say it: "
            f"columns={{{column!r}: 'vector[N]'}}"
        )
    return f"vector[{width}]"


def _width(stage: Any) -> int | None:
    """How long the vectors are that a stage reads."""
    from py4j.protocol import Py4JError

    for read in (
        lambda: stage.numFeatures,
        lambda: stage.mean.size,
        lambda: stage.originalMin.size,
        lambda: stage.maxAbs.size,
        lambda: stage.pc.numRows,
        lambda: stage.idf.size,
        lambda: len(stage.clusterCenters()[0]),
        lambda: stage.models[0].numFeatures,
        lambda: stage.getScalingVec().size,
        lambda: stage.coefficients.size,
    ):
        try:
            width = int(read())
        except (AttributeError, TypeError, IndexError, Py4JError):
            continue
        if width > 0:
            return width
    return None
