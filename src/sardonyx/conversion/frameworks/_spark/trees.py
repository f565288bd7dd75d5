"""Decision trees and ensembles, read node by node from Spark's memory.

onnxmltools saves every tree as a table of its own (seconds per tree), rounds thresholds to float32 to the nearest, and
gives a class where gradient-boosted trees for regression give a number. Here thresholds, leaves and sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from sardonyx.conversion.frameworks._spark.columns import inputs_of
from sardonyx.conversion.frameworks._spark.graph import Column, Graph
from sardonyx.conversion.frameworks._spark.predictors import classified, predicted

__all__ = ["TREES"]

_LEQ, _MEMBER = 0, 6


@dataclass
class _Table:
    """The attributes of a TreeEnsemble, tree by tree: interior nodes, and leaves in an order of their own."""

    roots: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    children: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    leafs: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    members: list[list[float]] = field(default_factory=list)
    leaves: list[Any] = field(default_factory=list)

    def add(self, root: Any) -> None:
        """Walks a tree. A tree of one leaf becomes a node both of whose sides lead there."""
        self.roots.append(len(self.feature))
        if root.getClass().getSimpleName() == "LeafNode":
            self._node(0, 0.0, _LEQ)
            place = self._leaf(root)
            self._sides(len(self.feature) - 1, (place, 1), (place, 1))
            return
        self._walk(root)

    def _walk(self, root: Any) -> None:
        """Depth first, without recursion: trees may be deep."""
        waiting: list[tuple[Any, int, int]] = [(root, -1, 0)]
        while waiting:
            node, parent, side = waiting.pop()
            if node.getClass().getSimpleName() == "LeafNode":
                place, leaf = self._leaf(node), 1
            else:
                place, swapped = self._inner(node)
                leaf = 0
                waiting += [(node.leftChild(), place, int(swapped)), (node.rightChild(), place, int(not swapped))]
            if parent >= 0:
                self.children[side][parent] = place
                self.leafs[side][parent] = leaf

    def _inner(self, node: Any) -> tuple[int, bool]:
        """A split, and whether it asks for what goes right. Spark asks for the smaller set of categories: those that it
        never saw go the other way."""
        split = node.split()
        if split.getClass().getSimpleName() == "ContinuousSplit":
            return self._node(split.featureIndex(), split.threshold(), _LEQ), False
        left, right = [float(c) for c in split.leftCategories()], [float(c) for c in split.rightCategories()]
        swapped = len(left) > (len(left) + len(right)) / 2
        self.members.append(right if swapped else left)
        return self._node(split.featureIndex(), 0.0, _MEMBER), swapped

    def _node(self, feature: int, limit: float, mode: int) -> int:
        self.feature.append(int(feature))
        self.limit.append(float(limit))
        self.mode.append(mode)
        for part in (*self.children, *self.leafs):
            part.append(0)
        return len(self.feature) - 1

    def _leaf(self, node: Any) -> int:
        self.leaves.append(node)
        return len(self.leaves) - 1

    def _sides(self, node: int, true: tuple[int, int], false: tuple[int, int]) -> None:
        for side, (place, leaf) in enumerate((true, false)):
            self.children[side][node], self.leafs[side][node] = place, leaf


def _ensemble(graph: Graph, column: Column, trees: _Table, targets: Any, weights: Any, count: int) -> str:
    """One TreeEnsemble of float64."""
    for feature in range(column.width):
        nodes = zip(trees.feature, trees.limit, trees.mode, strict=True)
        limits = [limit for of, limit, mode in nodes if of == feature and mode == _LEQ]
        if limits:
            graph.know(column, feature, limits, splits=True)
    sets = [number for members in trees.members for number in (*members, np.nan)]
    optional = {"membership_values": _doubles("membership_values", sets)} if sets else {}
    return graph.emit(
        "TreeEnsemble",
        [column.tensor],
        "ai.onnx.ml",
        n_targets=count,
        aggregate_function=1,
        post_transform=0,
        tree_roots=trees.roots,
        nodes_featureids=trees.feature,
        nodes_splits=_doubles("nodes_splits", trees.limit),
        nodes_modes=numpy_helper.from_array(np.asarray(trees.mode, np.uint8), "nodes_modes"),
        nodes_truenodeids=trees.children[0],
        nodes_trueleafs=trees.leafs[0],
        nodes_falsenodeids=trees.children[1],
        nodes_falseleafs=trees.leafs[1],
        leaf_targetids=targets,
        leaf_weights=_doubles("leaf_weights", weights),
        **optional,
    )


def _doubles(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values, np.float64), name)


def _read(roots: list[Any]) -> tuple[_Table, list[int]]:
    """All trees, and the tree that each leaf belongs to."""
    table = _Table()
    owners: list[int] = []
    for index, root in enumerate(roots):
        table.add(root)
        owners += [index] * (len(table.leaves) - len(owners))
    return table, owners


def _roots(stage: Any) -> list[Any]:
    java = stage._java_obj
    return [tree.rootNode() for tree in java.trees()] if hasattr(stage, "getNumTrees") else [java.rootNode()]


def _classifier(graph: Graph, stage: Any, shares: bool) -> None:
    """Every tree says which leaf a row falls into; the leaves' counts (of a forest, shares) are added up."""
    column, roots = graph.numbers(inputs_of(stage)[0]), _roots(stage)
    table, owners = _read(roots)
    counts = np.asarray([list(leaf.impurityStats().stats()) for leaf in table.leaves], np.float64)
    if shares:
        totals = counts.sum(1, keepdims=True)
        counts = np.where(totals == 0, 0, counts / np.where(totals == 0, 1, totals))
    places = _ensemble(graph, column, table, owners, np.arange(len(owners)), len(roots))
    found = graph.emit("Gather", [graph.constant(counts), graph.emit("Cast", [places], to=TensorProto.INT64)], axis=0)
    axes = graph.constant([1], np.int64)
    raw = graph.emit("ReduceSum", [found, axes], keepdims=0)
    total = graph.emit("ReduceSum", [raw, axes])
    empty = graph.emit("Equal", [total, graph.constant(0.0)])
    probability = graph.emit("Div", [raw, graph.emit("Where", [empty, graph.constant(1.0), total])])
    classified(graph, stage, raw, probability, counts.shape[1])


def _added(graph: Graph, stage: Any, weights: list[float]) -> str:
    table, owners = _read(_roots(stage))
    values = [leaf.prediction() * weights[owner] for leaf, owner in zip(table.leaves, owners, strict=True)]
    return _ensemble(graph, graph.numbers(inputs_of(stage)[0]), table, [0] * len(values), values, 1)


def decision_tree(graph: Graph, stage: Any) -> None:
    _classifier(graph, stage, False)


def forest(graph: Graph, stage: Any) -> None:
    _classifier(graph, stage, True)


def boosted_classes(graph: Graph, stage: Any) -> None:
    margin = _added(graph, stage, list(stage.treeWeights))
    raw = graph.emit("Concat", [graph.emit("Neg", [margin]), margin], axis=1)
    yes = graph.emit("Sigmoid", [graph.emit("Mul", [margin, graph.constant(2.0)])])
    probability = graph.emit("Concat", [graph.emit("Sub", [graph.constant(1.0), yes]), yes], axis=1)
    classified(graph, stage, raw, probability, 2)


def regression_tree(graph: Graph, stage: Any) -> None:
    predicted(graph, stage, _added(graph, stage, [1.0]))


def regression_forest(graph: Graph, stage: Any) -> None:
    count = stage.getNumTrees
    predicted(graph, stage, graph.emit("Div", [_added(graph, stage, [1.0] * count), graph.constant(float(count))]))


def boosted_numbers(graph: Graph, stage: Any) -> None:
    predicted(graph, stage, _added(graph, stage, list(stage.treeWeights)))


TREES: dict[str, Callable[[Graph, Any], None]] = {
    "DecisionTreeClassificationModel": decision_tree,
    "RandomForestClassificationModel": forest,
    "GBTClassificationModel": boosted_classes,
    "DecisionTreeRegressionModel": regression_tree,
    "RandomForestRegressionModel": regression_forest,
    "GBTRegressionModel": boosted_numbers,
}
