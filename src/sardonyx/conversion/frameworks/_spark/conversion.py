"""From a model to what the core wants to know of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sardonyx import metadata
from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._spark.answers import Reference
from sardonyx.conversion.frameworks._spark.columns import (
    called,
    declared,
    inputs_of,
    label_stages,
    outputs_of,
    stages_of,
    value,
)
from sardonyx.conversion.frameworks._spark.features import FEATURES
from sardonyx.conversion.frameworks._spark.graph import INTEGERS, NUMBERS, TOKENS, Graph
from sardonyx.conversion.frameworks._spark.others import by_onnxmltools
from sardonyx.conversion.frameworks._spark.predictors import PREDICTORS
from sardonyx.conversion.frameworks._spark.session import Session, read
from sardonyx.conversion.frameworks._spark.text import TEXT
from sardonyx.conversion.frameworks._spark.trees import TREES
from sardonyx.conversion.source import Request, Source
from sardonyx.errors import ConversionError

__all__ = ["convert"]

_STAGES = {**FEATURES, **TEXT, **PREDICTORS, **TREES}
_TEXTS = 200
_RANGE = 2
_MARGIN = 0.1
_KINDS = {NUMBERS: "f", INTEGERS: "i"}


def convert(source: Source, kind: str, request: Request) -> Exported:
    """Exports a model that is at hand, or in a folder."""
    wanted = request.option("columns", {})
    if not isinstance(wanted, Mapping):
        raise ConversionError("columns: expected {column: type}, such as {'age': 'double', 'city': 'string'}")
    session = Session()
    model = source.object if source.path is None else read(source.path, kind)
    stages = stages_of(model)
    labels = label_stages(stages)
    kept = [stage for stage in stages if stage not in labels]
    types = declared(kept, wanted or _types_of(request.example_inputs, kept))
    graph = _graph(kept, types, session)
    outputs = _outputs(graph, kept)
    names = {name: _KINDS.get(graph.columns[name].kind, "O") for name in outputs}
    notes = [f"left out: {called(stage)}, which gives labels for training" for stage in labels] + graph.notes
    return Exported(
        graph.model(outputs),
        Reference(session, kept, types, names),
        domains=_domains(graph, types),
        splits=_splits(graph, types),
        float64=graph.exact and all(kind != "float" for kind in types.values()),
        metadata=_classes(graph, kept, labels, outputs),
        notes=notes,
    )


def _types_of(example: Any, stages: list[Any]) -> dict[str, str]:
    """Types of a Spark DataFrame's or a table's columns, for those that the model reads."""
    found = getattr(example, "dtypes", None)
    if found is None or not hasattr(example, "columns"):
        return {}
    pairs = found if isinstance(found, list) else [(str(n), np.dtype(t).name) for n, t in found.items()]
    known = {
        "double": "double",
        "float64": "double",
        "float": "float",
        "float32": "float",
        "int": "int",
        "bigint": "long",
    }
    known |= {"int32": "int", "int64": "long", "string": "string", "object": "string", "str": "string"}
    needed = declared(stages, {})
    return {name: known[kind] for name, kind in pairs if name in needed and kind in known}


def _graph(stages: list[Any], types: Mapping[str, str], session: Session) -> Graph:
    graph = Graph()
    for stage in stages:
        for name in outputs_of(stage):
            graph.reserve(name)
    for name, kind in types.items():
        graph.input(name, kind)
    for stage in stages:
        emit = _STAGES.get(type(stage).__name__)
        if emit is None:
            by_onnxmltools(graph, stage, session.spark)
        else:
            emit(graph, stage)
    return graph


def _outputs(graph: Graph, stages: list[Any]) -> list[str]:
    """What predictors give, and what no other stage reads."""
    used = {column for stage in stages for column in inputs_of(stage)}
    found = []
    for stage in stages:
        predicts = bool(value(stage, "predictionCol"))
        found += [c for c in outputs_of(stage) if c in graph.columns and (predicts or c not in used)]
    kept = [name for name in dict.fromkeys(found) if graph.columns[name].kind != TOKENS]
    if not kept:
        raise ConversionError("the model gives nothing that ONNX has tensors for: lists of words have no fixed length")
    return kept


def _domains(graph: Graph, types: Mapping[str, str]) -> dict[str, Domain]:
    found = {}
    missing = graph.missing - graph.strict
    for name, kind in types.items():
        if kind == "string":
            words = graph.words.get(name)
            if words:
                found[name] = Domain(
                    points=[_texts(words) if name in graph.vocabularies else np.asarray(words, object)]
                )
            continue
        known = [graph.known.get((name, i), []) for i in range(graph.widths[name])]
        joined = [np.unique(np.concatenate(part)) if part else np.zeros(0) for part in known]
        if all(len(part) for part in joined):
            low, high = np.asarray([p.min() for p in joined]), np.asarray([p.max() for p in joined])
            points = joined if any(len(p) > _RANGE for p in joined) else []
            margin = (high - low) * _MARGIN
            ends = [graph.bounds.get((name, i), (-np.inf, np.inf)) for i in range(graph.widths[name])]
            low, high = np.maximum(low - margin, [a for a, _ in ends]), np.minimum(high + margin, [b for _, b in ends])
            found[name] = Domain(low, high, points, name in missing)
        elif name in missing:
            found[name] = Domain(-1.0, 1.0, (), True)
    return found


def _texts(words: list[str]) -> Any:
    """Texts of a vocabulary's words, and of words that are not in it."""
    rng = np.random.default_rng(0)
    known = np.asarray([*sorted(set(words)), "unheard", "of"], object)
    made = [" ".join(known[rng.integers(0, len(known), rng.integers(1, 25))]) for _ in range(_TEXTS)]
    return np.asarray([text.capitalize() for text in made], object)


def _splits(graph: Graph, types: Mapping[str, str]) -> dict[str, list[Any]]:
    found = {}
    for name in types:
        parts = [graph.splits.get((name, i), []) for i in range(graph.widths[name])]
        if any(parts):
            found[name] = [np.unique(np.concatenate(part)) if part else np.zeros(0) for part in parts]
    return found


def _classes(graph: Graph, stages: list[Any], labels: list[Any], outputs: list[str]) -> dict[str, str]:
    """Class names of the scores: of the indexer that made the labels, or of what turns predictions back."""
    indexed = {
        column: [str(label) for label in names]
        for stage in labels
        for column, names in zip(outputs_of(stage), stage.labelsArray, strict=True)
    }
    back = {inputs_of(s)[0]: value(s, "labels") for s in stages if type(s).__name__ == "IndexToString"}
    found = {}
    for stage in stages:
        names = indexed.get(value(stage, "labelCol")) or back.get(value(stage, "predictionCol"))
        scores = [c for p in ("probabilityCol", "rawPredictionCol") if (c := value(stage, p)) in outputs]
        if names and scores:
            found[scores[0]] = [str(name) for name in names]
    return {metadata.CLASSES: json.dumps(found)} if found else {}
