"""What CatBoost's own exporter writes, read for its trees.

Its tables are right, what stands around them often is not: IR version 3 without an ai.onnx import, probabilities as
maps, softmax where classes are told apart one by one, no exponential for Poisson and Tweedie, several targets as
classes without names. The trees are taken, and predict's last step is added anew.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from sardonyx.conversion.frameworks._boosters.answers import Graph, answers
from sardonyx.conversion.frameworks._boosters.ensemble import Ensemble
from sardonyx.errors import ConversionError

__all__ = ["Parsed", "parse"]

_BINARY = ("Logloss", "CrossEntropy", "Focal")
_CLASSES = ("MultiClass", "MultiClassOneVsAll")
_EXP = ("Poisson", "Tweedie")
_OTHERS = ("MultiLogloss", "MultiCrossEntropy", "RMSEWithUncertainty", "Cox", "SurvivalAft", "LogLinQuantile")


@dataclass
class Parsed:
    """A model."""

    loss: str
    columns: int
    targets: int
    base: npt.NDArray[np.float32]
    trees: Ensemble | None

    @property
    def class_count(self) -> int:
        """How many classes it tells apart; 0 for other predictions."""
        return 2 if self.loss in _BINARY else self.targets if self.loss in _CLASSES else 0

    @property
    def exponential(self) -> bool:
        """Whether predict gives the exponential of raw scores."""
        return self.loss in _EXP

    def build(self, graph: Graph, given: str, outputs: list[str], classes: Any, *, double: bool = False) -> None:
        """Adds the model's nodes. CatBoost casts its input to float32 itself."""
        assert self.trees is not None
        if double:
            given = graph.add("Cast", [given], to=TensorProto.FLOAT)
        node = self.trees.node(given, graph.name("trees"), double=False)
        graph.nodes.append(node)
        raw = str(node.output[0])
        if self.base.any():
            raw = graph.add("Add", [raw, graph.constant(self.base)])
        answers(graph, raw, self._transform(), outputs, classes)

    def _transform(self) -> str:
        if self.loss in (*_BINARY, "MultiClassOneVsAll"):
            return "sigmoid"
        return "softmax" if self.loss == "MultiClass" else "exp" if self.exponential else "none"


def parse(model: Any) -> Parsed:
    """Exports a fitted model and reads its trees. Raises ConversionError naming columns of categories or texts."""
    loss = str(model.get_all_params().get("loss_function", "RMSE")).partition(":")[0]
    if loss in _OTHERS:
        raise ConversionError(f"CatBoost's loss {loss} cannot be converted: what predict says is not known")
    policy = model.get_all_params().get("grow_policy", "SymmetricTree")
    if policy != "SymmetricTree":
        raise ConversionError(
            f"CatBoost's trees of grow_policy {policy!r} cannot be converted: its exporter knows symmetric trees only. "
            f"Train with grow_policy='SymmetricTree', the default"
        )
    names = {kind: _columns(model, kind) for kind in ("cat", "text", "embedding")}
    for kind, columns in names.items():
        if columns:
            raise ConversionError(
                f"CatBoost's {kind} features cannot be converted, ONNX has no hashes of them: {', '.join(columns)}. "
                f"Encode them before training (OrdinalEncoder in a Pipeline), then only numbers reach CatBoost"
            )
    node = _table(model)
    fields = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    binary = loss in _BINARY
    targets = 1 if binary else max(fields[f"{kind}_ids"], default=0) + 1
    base = np.asarray(fields.get("base_values") or [0.0], np.float32)
    base = base[-1:] if binary else base
    return Parsed(loss, len(model.feature_names_), targets, base[None], _trees(fields, kind, targets, binary))


def _columns(model: Any, kind: str) -> list[str]:
    return [str(model.feature_names_[i]) for i in getattr(model, f"_get_{kind}_feature_indices")()]


def _table(model: Any) -> onnx.NodeProto:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        model.save_model(str(file), format="onnx")
        made = onnx.load(file)
    found: onnx.NodeProto = next(node for node in made.graph.node if node.op_type.startswith("TreeEnsemble"))
    return found


def _trees(fields: dict[str, Any], kind: str, targets: int, binary: bool) -> Ensemble:
    """Of two classes, only what the second gets: the first gets the same with the other sign."""
    ensemble = Ensemble(targets, strict=True, trees=max(fields["nodes_treeids"], default=-1) + 1)
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    columns = [fields[f"nodes_{name}"] for name in (*names, "missing_value_tracks_true")]
    ensemble.rows = [
        (tree, node, feature, mode.decode(), value, true, false, bool(missing))
        for tree, node, feature, mode, value, true, false, missing in zip(*columns, strict=True)
    ]
    leaves = zip(*(fields[f"{kind}_{name}"] for name in ("treeids", "nodeids", "ids", "weights")), strict=True)
    ensemble.leaves = [
        (tree, node, 0 if binary else target, weight)
        for tree, node, target, weight in leaves
        if not binary or target == 1
    ]
    return ensemble
