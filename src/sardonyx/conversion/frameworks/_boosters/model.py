"""From a parsed model to an exported one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from sardonyx import metadata
from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._boosters.answers import Graph
from sardonyx.conversion.frameworks._boosters.ensemble import Ensemble
from sardonyx.conversion.source import Request

__all__ = ["ParsedModel", "domain", "exported", "splits"]

_LARGEST = 1e30  # beyond are thresholds that tell missing values from all others
_OPSET, _ML_OPSET, _IR_VERSION = 18, 3, 9


class ParsedModel(Protocol):
    """What the libraries' readers give."""

    columns: int
    targets: int
    trees: Ensemble | None

    @property
    def class_count(self) -> int:
        """How many classes it tells apart; 0 for other predictions."""

    def build(self, graph: Graph, given: str, outputs: list[str], classes: Any, *, double: bool = False) -> None:
        """Adds the model's nodes."""


def exported(
    parsed: ParsedModel,
    classes: Sequence[Any] | None,
    ask: Callable[[npt.NDArray[Any]], Any],
    request: Request,
    notes: list[str],
    *,
    double: bool = False,
    names: Sequence[str] | None = None,
) -> Exported:
    """The model of one input ``X`` (its columns called ``names``) and either ``label`` and ``probabilities`` or
    ``variable``. ``ask`` gives the source's probabilities (of two classes, those of the second will do) or predictions.
    """
    outputs = ["label", "probabilities"] if classes is not None else ["variable"]
    graph = Graph("")
    parsed.build(graph, "X", outputs, classes, double=double)
    number = TensorProto.DOUBLE if double else TensorProto.FLOAT
    rows = "batch" if request.dynamic else 1
    given = helper.make_tensor_value_info("X", number, [rows, parsed.columns])
    made = helper.make_graph(graph.nodes, "boosted trees", [given], _results(classes, parsed.targets, rows))
    opsets = [helper.make_opsetid("", request.opset or _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="sardonyx")
    onnx.checker.check_model(model)
    if parsed.trees is not None and parsed.trees.categorical:
        columns = ", ".join(map(str, sorted(parsed.trees.categorical)))
        notes.append(f"columns of categories take their codes, whole numbers from 0 on: {columns}")
    return Exported(
        model=model,
        reference=_reference(classes, ask),
        domains={"X": domain(parsed)},
        splits={"X": splits(parsed)} if parsed.trees is not None else {},
        metadata={metadata.CLASSES: json.dumps([str(name) for name in classes])} if classes is not None else {},
        notes=notes,
        columns={"X": list(names)} if names else {},
    )


def _results(classes: Sequence[Any] | None, targets: int, rows: int | str) -> list[onnx.ValueInfoProto]:
    if classes is None:
        return [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [rows, targets])]
    text = np.asarray(classes).dtype.kind in "OSUT"
    return [
        helper.make_tensor_value_info("label", TensorProto.STRING if text else TensorProto.INT64, [rows]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [rows, len(classes)]),
    ]


def _reference(
    classes: Sequence[Any] | None, ask: Callable[[npt.NDArray[Any]], Any]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def answer(feeds: Mapping[str, Any]) -> dict[str, Any]:
        found = np.asarray(ask(np.asarray(feeds["X"])))
        if classes is None:
            return {"variable": found}
        if found.ndim == 1:
            found = np.stack([1 - found, found], axis=1)
        return {"label": np.asarray(classes)[np.argmax(found, axis=1)], "probabilities": found}

    return answer


def splits(parsed: ParsedModel) -> list[npt.NDArray[np.float64]]:
    """Per column, the values that trees compare it with (not those of categories)."""
    assert parsed.trees is not None
    found = parsed.trees.thresholds()
    none = np.zeros(0)
    return [none if i in parsed.trees.categorical else found.get(i, none) for i in range(parsed.columns)]


def domain(parsed: ParsedModel) -> Domain:
    """Values around the trees' thresholds, categories as whole numbers, and gaps."""
    if parsed.trees is None:
        return Domain(-1.0, 1.0, missing=True)
    found = parsed.trees.thresholds()
    low, high = np.full(parsed.columns, -1.0), np.full(parsed.columns, 1.0)
    points = []
    for column in range(parsed.columns):
        values = found.get(column, np.zeros(0))
        values = values[np.abs(values) < _LARGEST]
        if column in parsed.trees.categorical:
            values = np.arange(0, values.max(initial=0) + 3)
            low[column] = high[column] = 1.0
        elif len(values):
            margin = (values[-1] - values[0]) * 0.1 or 1.0
            low[column], high[column] = values[0] - margin, values[-1] + margin
        points.append(values if len(values) else np.asarray([0.0]))
    return Domain(low, high, points, missing=True)
