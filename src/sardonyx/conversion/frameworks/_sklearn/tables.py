"""Trees of scikit-learn as skl2onnx wrote them, made to compare as the source does.

scikit-learn's trees cast their input to float32 and compare it with float64 thresholds; histogram boosting compares in
float64. A threshold that goes into a float32 table is rounded towards minus infinity: every float32 number keeps its
side of ``<=``. In a model of float64 inputs, trees get the cast that the source makes, histogram boosting gets tables
of float64. Where missing values go is taken from the source as well: skl2onnx leaves it out for trees.

A forest's votes are added up whole and divided at the end: shares of 1/50 that are added up in float32 do not tie where
the source's classes do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sardonyx.conversion.frameworks._boosters.ensemble import rounded_down
from sardonyx.conversion.frameworks._sklearn.flow import Visit
from sardonyx.conversion.frameworks._sklearn.votes import votes
from sardonyx.errors import ConversionError

__all__ = ["repair_trees"]

_ENSEMBLES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")


@dataclass(frozen=True, eq=False)
class _Tree:
    """A tree of the source, by its node numbers; ``casts`` says that it casts its input to float32, ``values`` are a
    classifier's probabilities at each node."""

    feature: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    missing_left: npt.NDArray[np.bool_]
    casts: bool
    values: npt.NDArray[np.float64] | None = None


def repair_trees(model: onnx.ModelProto, visited: list[Visit], double: bool, notes: list[str]) -> None:
    """Thresholds, missing values and types of every ensemble in the graph."""
    known: dict[tuple[bytes, bytes], list[_Tree]] = defaultdict(list)
    for visit in visited:
        for tree in _trees(visit.estimator):
            known[_key(tree.feature, tree.left)].append(tree)
    moved = missing = 0
    replaced: dict[str, list[onnx.NodeProto]] = {}
    wide = False
    for node in [n for n in model.graph.node if n.op_type in _ENSEMBLES]:
        table = _Table(node)
        if not any(table.knows(rows, known) for rows in table.trees()):
            continue  # a booster's, exact as it is
        trees = []
        for rows in table.trees():
            tree = table.counterpart(rows, known)
            trees.append(tree)
            missing += table.set_missing(rows, tree)
            moved += table.set_thresholds(rows, tree, double and not tree.casts)
        casts = all(tree.casts for tree in trees)
        table.write(double and not casts)
        made = _counted(node, trees)
        replaced[node.output[0]] = _cast_around(model.graph, node, made, casts) if double else made
        wide |= double and not casts
    _exchange(model.graph, replaced)
    _say(notes, moved, missing)
    if wide:
        _need_version(model, 3)


def _say(notes: list[str], moved: int, missing: int) -> None:
    if moved:
        notes.append(f"{moved} thresholds of trees are rounded so that every comparison keeps its answer")
    if missing:
        notes.append(f"where missing values go was left out at {missing} nodes of trees")


def _trees(model: Any) -> Iterator[_Tree]:
    tree = getattr(model, "tree_", None)
    if tree is not None:
        missing = np.asarray(tree.missing_go_to_left, np.bool_)
        inner = tree.children_left != -1
        single = hasattr(model, "classes_") and tree.n_outputs == 1
        values = tree.value[:, 0, :] if single else None
        left, threshold = tree.children_left[inner], tree.threshold[inner]
        yield _Tree(tree.feature[inner], left, threshold, missing[inner], True, values)
    for stage in getattr(model, "_predictors", ()):
        for predictor in stage:
            nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            left, missing = nodes["left"].astype(np.int64), nodes["missing_go_to_left"].astype(np.bool_)
            yield _Tree(nodes["feature_idx"].astype(np.int64), left, nodes["num_threshold"], missing, False)


def _key(feature: Any, left: Any) -> tuple[bytes, bytes]:
    return np.asarray(feature, np.int64).tobytes(), np.asarray(left, np.int64).tobytes()


class _Table:
    """The attributes of an ensemble's node as arrays."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self._node = node
        self._values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        tensor = self._values.get("nodes_values_as_tensor")
        values = numpy_helper.to_array(tensor) if tensor is not None else self._values["nodes_values"]
        self.thresholds = np.asarray(values, np.float64)
        self.inner = np.asarray([mode != b"LEAF" for mode in self._values["nodes_modes"]])
        count = len(self.inner)
        self.missing = np.asarray(self._values.get("nodes_missing_value_tracks_true") or [0] * count, np.int64)
        self._narrow = np.zeros(count, np.float32)

    def trees(self) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of each tree's inner nodes."""
        ids = np.asarray(self._values["nodes_treeids"])
        for tree in dict.fromkeys(ids.tolist()):
            yield np.flatnonzero((ids == tree) & self.inner)

    def knows(self, rows: npt.NDArray[np.int64], known: dict[tuple[bytes, bytes], list[_Tree]]) -> bool:
        """Whether a tree is one of the source's."""
        features, left = (np.asarray(self._values[n])[rows] for n in ("nodes_featureids", "nodes_truenodeids"))
        return _key(features, left) in known

    def counterpart(self, rows: npt.NDArray[np.int64], known: dict[tuple[bytes, bytes], list[_Tree]]) -> _Tree:
        """The source's tree: of those with the same features and children, the one with the closest thresholds, in the
        source's order."""
        features, left = (np.asarray(self._values[n])[rows] for n in ("nodes_featureids", "nodes_truenodeids"))
        candidates = known.get(_key(features, left))
        if not candidates:
            raise ConversionError("a tree in the exported model is none of the source's trees")
        found = min(candidates, key=lambda tree: _distance(tree.threshold, self.thresholds[rows]))
        if len(candidates) > 1:
            candidates.remove(found)
        return found

    def set_missing(self, rows: npt.NDArray[np.int64], tree: _Tree) -> int:
        """Gives how many nodes changed."""
        changed = int((self.missing[rows] != tree.missing_left).sum())
        self.missing[rows] = tree.missing_left
        return changed

    def set_thresholds(self, rows: npt.NDArray[np.int64], tree: _Tree, wide: bool) -> int:
        """Gives how many changed in the type that the table has."""
        before = self.thresholds[rows]
        after = tree.threshold if wide else rounded_down(tree.threshold)
        self.thresholds[rows] = after
        return int((before.astype(after.dtype) != after).sum())

    def write(self, wide: bool) -> None:
        """Puts the arrays into the node; ``wide`` as tensors of float64."""
        replaced = {"nodes_missing_value_tracks_true": self.missing.tolist()}
        self._values.pop("nodes_values_as_tensor", None)
        self._values.pop("nodes_values", None)
        self._values.pop("nodes_hitrates", None)
        self._values.pop("nodes_hitrates_as_tensor", None)
        fields: dict[str, Any] = {**self._values, **replaced}
        if wide:
            fields["nodes_values_as_tensor"] = numpy_helper.from_array(self.thresholds, "nodes_values")
            fields |= _widened(fields)
        else:
            fields["nodes_values"] = self.thresholds.astype(np.float32).tolist()
            fields |= _narrowed(fields)
        del self._node.attribute[:]
        self._node.attribute.extend(
            helper.make_attribute(name, value)
            for name, value in sorted(fields.items())
            if value is not None and (not isinstance(value, list) or value)
        )


def _distance(a: Any, b: Any) -> float:
    finite = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))


def _widened(fields: dict[str, Any]) -> dict[str, Any]:
    """Lists of floats as tensors of float64."""
    made: dict[str, Any] = {}
    for name in ("class_weights", "target_weights", "base_values"):
        if fields.get(name):
            made |= {
                f"{name}_as_tensor": numpy_helper.from_array(np.asarray(fields[name], np.float64), name),
                name: None,
            }
    return made


def _narrowed(fields: dict[str, Any]) -> dict[str, Any]:
    """Tensors as lists of floats."""
    made: dict[str, Any] = {}
    for name in ("class_weights", "target_weights", "base_values"):
        tensor = fields.get(f"{name}_as_tensor")
        if tensor is not None:
            values = numpy_helper.to_array(tensor).astype(np.float32).tolist()
            made |= {name: values, f"{name}_as_tensor": None}
    return made


def _counted(node: onnx.NodeProto, trees: list[_Tree]) -> list[onnx.NodeProto]:
    values = [tree.values for tree in trees]
    if node.op_type != "TreeEnsembleClassifier" or len(values) < 2 or any(v is None for v in values):
        return [node]
    return votes(node, values)


def _cast_around(
    graph: onnx.GraphProto, node: onnx.NodeProto, made: list[onnx.NodeProto], narrow: bool
) -> list[onnx.NodeProto]:
    """In a model of float64: the source's own cast to float32 ahead of trees, and back behind them (the standard's
    ensembles return float32)."""
    scores, given = node.output[-1], node.input[0]
    for value in graph.output:
        if value.name == scores:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    inner, narrowed = f"{scores}_float32", f"{scores}_input"
    for part in made:
        part.output[:] = [inner if name == scores else name for name in part.output]
        part.input[:] = [
            inner if name == scores else narrowed if narrow and name == given else name for name in part.input
        ]
    before = [helper.make_node("Cast", [given], [narrowed], narrowed, to=TensorProto.FLOAT)] if narrow else []
    return [*before, *made, helper.make_node("Cast", [inner], [scores], f"{scores}_to_float64", to=TensorProto.DOUBLE)]


def _exchange(graph: onnx.GraphProto, replaced: dict[str, list[onnx.NodeProto]]) -> None:
    """Puts nodes in the place of those whose first output is the key."""
    nodes = [part for node in graph.node for part in replaced.get(node.output[0] if node.output else "", [node])]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _need_version(model: onnx.ModelProto, version: int) -> None:
    for entry in model.opset_import:
        if entry.domain == "ai.onnx.ml":
            entry.version = max(entry.version, version)
