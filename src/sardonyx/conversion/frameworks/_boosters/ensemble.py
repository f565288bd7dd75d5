"""Trees in any library's terms to one TreeEnsembleRegressor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["Ensemble", "rounded_down"]


def rounded_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 numbers that are not above: ``x <= value`` keeps its answer for every float32 x."""
    with np.errstate(over="ignore"):
        near: npt.NDArray[np.float32] = values.astype(np.float32)
    return np.where(near.astype(np.float64) > values, np.nextafter(near, np.float32(-np.inf)), near)


@dataclass
class Ensemble:
    """Trees whose leaves add to targets.

    ``strict`` says that the true branch is ``x < threshold`` (with thresholds that float32 holds), else
    ``x <= threshold``. Nodes are numbered by who adds them; several nodes may lead to the same one.
    """

    targets: int
    strict: bool
    rows: list[tuple[int, int, int, str, float, int, int, bool]] = field(default_factory=list)
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)
    categorical: set[int] = field(default_factory=set)
    trees: int = 0

    def tree(self) -> int:
        """Begins a tree and gives its number."""
        self.trees += 1
        return self.trees - 1

    def branch(
        self, tree: int, node: int, feature: int, threshold: float, true: int, false: int, missing_true: bool
    ) -> None:
        """Compares a column with a threshold."""
        mode = "BRANCH_LT" if self.strict else "BRANCH_LEQ"
        self.rows.append((tree, node, feature, mode, threshold, true, false, missing_true))

    def members(
        self,
        tree: int,
        node: int,
        feature: int,
        categories: Iterable[int],
        inside: int,
        outside: int,
        missing_inside: bool,
        free: int,
    ) -> int:
        """Asks whether a column is one of the categories: a chain of nodes, numbered from ``free`` on after the
        first. Gives the next free number."""
        self.categorical.add(feature)
        wanted = list(categories)
        for place, category in enumerate(wanted):
            last = place == len(wanted) - 1
            following = outside if last else free
            first = missing_inside and place == 0
            self.rows.append((tree, node, feature, "BRANCH_EQ", float(category), inside, following, first))
            if not last:
                node, free = free, free + 1
        return free

    def leaf(self, tree: int, node: int, weights: Mapping[int, float]) -> None:
        """A leaf and what it adds to which targets."""
        self.rows.append((tree, node, 0, "LEAF", 0.0, 0, 0, False))
        self.leaves += [(tree, node, target, weight) for target, weight in weights.items()]

    def thresholds(self) -> dict[int, npt.NDArray[np.float64]]:
        """The values that each column is compared with."""
        found: dict[int, list[float]] = defaultdict(list)
        for _, _, feature, mode, threshold, *_ in self.rows:
            if mode != "LEAF":
                found[feature].append(threshold)
        return {feature: np.unique(np.asarray(values, np.float64)) for feature, values in found.items()}

    def node(self, given: str, result: str, *, double: bool) -> onnx.NodeProto:
        """The table. ``double`` is for float64 inputs; the result is float32 in either case (the standard's type)."""
        trees, nodes, features, modes, values, true, false, missing = (list(c) for c in zip(*self.rows, strict=True))
        at_tree, at_node, at_target, weights = (list(c) for c in zip(*self.leaves, strict=True))
        fields: dict[str, Any] = {
            "n_targets": self.targets,
            "nodes_treeids": trees,
            "nodes_nodeids": nodes,
            "nodes_featureids": features,
            "nodes_modes": modes,
            "nodes_truenodeids": true,
            "nodes_falsenodeids": false,
            "nodes_missing_value_tracks_true": [int(m) for m in missing],
            "target_treeids": at_tree,
            "target_nodeids": at_node,
            "target_ids": at_target,
        }
        wide = np.asarray(values, np.float64)
        if double:
            fields["nodes_values_as_tensor"] = numpy_helper.from_array(wide, "nodes_values")
            fields["target_weights_as_tensor"] = numpy_helper.from_array(np.asarray(weights, np.float64), "weights")
        else:
            fields["nodes_values"] = (wide.astype(np.float32) if self.strict else rounded_down(wide)).tolist()
            fields["target_weights"] = np.asarray(weights, np.float32).tolist()
        return helper.make_node("TreeEnsembleRegressor", [given], [result], result, domain="ai.onnx.ml", **fields)
