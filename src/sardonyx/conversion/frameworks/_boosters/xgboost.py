"""A Booster's JSON: trees, base score, objective.

XGBoost casts its input to float32 and compares ``x < threshold`` with float32 thresholds: float32 inputs give the same
comparisons. A column of categories goes left unless its value is in the node's set.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.conversion.frameworks._boosters.answers import Graph, answers
from sardonyx.conversion.frameworks._boosters.ensemble import Ensemble
from sardonyx.errors import ConversionError

__all__ = ["Parsed", "parse"]

_LOGIT = ("binary:logistic", "reg:logistic")
_LOG = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
_IDENTITY = (
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "multi:softmax",
    "multi:softprob",
    "binary:hinge",
    "binary:logitraw",
)


@dataclass
class Parsed:
    """A model. ``linear`` holds weights of shape (columns + 1, targets) in place of trees, ``rounds`` how many
    rounds of training count (None: all)."""

    objective: str
    columns: int
    targets: int
    base: npt.NDArray[np.float32]
    trees: Ensemble | None
    linear: npt.NDArray[np.float32] | None = None
    missing: float = float("nan")
    rounds: int | None = None

    @property
    def class_count(self) -> int:
        """How many classes it tells apart; 0 for other predictions."""
        if self.objective in ("binary:logistic", "binary:hinge") and self.targets == 1:
            return 2
        return self.targets if self.objective.startswith("multi:") else 0

    def build(self, graph: Graph, given: str, outputs: list[str], classes: Any, *, double: bool = False) -> None:
        """Adds the model's nodes."""
        from onnx import TensorProto

        if double:
            given = graph.add("Cast", [given], to=TensorProto.FLOAT)
        if not np.isnan(self.missing):
            marked = graph.add("Equal", [given, graph.constant(np.float32(self.missing))])
            given = graph.add("Where", [marked, graph.constant(np.float32(np.nan)), given])
        raw = self._sums(graph, given)
        if self.base.any():
            raw = graph.add("Add", [raw, graph.constant(self.base)])
        answers(graph, raw, self._transform(), outputs, classes)

    def _sums(self, graph: Graph, given: str) -> str:
        if self.trees is not None:
            node = self.trees.node(given, graph.name("trees"), double=False)
            graph.nodes.append(node)
            return str(node.output[0])
        assert self.linear is not None
        absent = graph.add("IsNaN", [given])
        filled = graph.add("Where", [absent, graph.constant(np.float32(0)), given])
        product = graph.add("MatMul", [filled, graph.constant(self.linear[:-1])])
        return graph.add("Add", [product, graph.constant(self.linear[-1:])])

    def _transform(self) -> str:
        if self.objective in ("binary:logistic", "reg:logistic"):
            return "sigmoid"
        if self.objective.startswith("multi:"):
            return "softmax"
        return "exp" if self.objective in _LOG else "hinge" if self.objective == "binary:hinge" else "none"


def parse(booster: Any, iterations: int | None = None) -> Parsed:
    """Reads a Booster; with ``iterations``, only the first rounds of it (early stopping)."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    if objective not in (*_LOGIT, *_LOG, *_IDENTITY):
        raise ConversionError(f"XGBoost's objective {objective!r} is not known here: what predict makes of raw scores")
    shape = learner["learner_model_param"]
    targets = max(1, int(shape["num_class"]), int(shape.get("num_target", 1)))
    columns = int(shape["num_feature"])
    base = _margin(objective, _numbers(shape["base_score"]), targets)
    booster_part = learner["gradient_booster"]
    if booster_part["name"] == "gblinear":
        weights = np.asarray(booster_part["model"]["weights"], np.float32).reshape(columns + 1, targets)
        return Parsed(objective, columns, targets, base, None, weights)
    weights_of_trees = booster_part.get("weight_drop")
    model = booster_part["gbtree"]["model"] if "gbtree" in booster_part else booster_part["model"]
    last = model["iteration_indptr"][iterations] if iterations is not None else len(model["trees"])
    ensemble = Ensemble(targets, strict=True)
    for position, tree in enumerate(model["trees"][:last]):
        scale = 1.0 if weights_of_trees is None else float(weights_of_trees[position])
        _add(ensemble, tree, int(model["tree_info"][position]), scale)
    return Parsed(objective, columns, targets, base, ensemble, rounds=iterations)


def _numbers(text: str) -> npt.NDArray[np.float32]:
    return np.atleast_1d(np.asarray(json.loads(text), np.float32))


def _margin(objective: str, score: npt.NDArray[np.float32], targets: int) -> npt.NDArray[np.float32]:
    """The base score as a raw score, of shape (1, targets)."""
    if objective in _LOGIT:
        score = -np.log(1 / score - 1)
    elif objective in _LOG:
        score = np.log(score)
    return np.broadcast_to(score.astype(np.float32), (1, targets)).copy()


def _add(ensemble: Ensemble, tree: dict[str, Any], target: int, scale: float) -> None:
    number = ensemble.tree()
    left, right = tree["left_children"], tree["right_children"]
    width = int(tree["tree_param"].get("size_leaf_vector", 1))
    sets = _category_sets(tree)
    free = len(left)
    for node, child in enumerate(left):
        if child == -1:
            ensemble.leaf(number, node, _weights(tree, node, target, width, scale))
        elif node in sets:
            missing_inside = not tree["default_left"][node]
            feature = tree["split_indices"][node]
            free = ensemble.members(number, node, feature, sets[node], right[node], child, missing_inside, free)
        else:
            threshold = float(np.float32(tree["split_conditions"][node]))
            to_left = bool(tree["default_left"][node])
            ensemble.branch(number, node, tree["split_indices"][node], threshold, child, right[node], to_left)


def _weights(tree: dict[str, Any], node: int, target: int, width: int, scale: float) -> dict[int, float]:
    if width <= 1:
        return {target: float(np.float32(tree["split_conditions"][node]) * np.float32(scale))}
    values = tree.get("leaf_weights")
    if values:
        place = tree["right_children"][node]  # a leaf's right child is the number of its vector
        vector = values[place * width : (place + 1) * width]
    else:
        vector = tree["base_weights"][node * width : (node + 1) * width]
    return {i: float(value) * scale for i, value in enumerate(vector)}


def _category_sets(tree: dict[str, Any]) -> dict[int, list[int]]:
    """The categories that go right, by node."""
    return {
        node: tree["categories"][begin : begin + size]
        for node, begin, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
