"""A Booster's dump: trees, objective.

LightGBM computes in float64: ``x <= threshold`` with float64 thresholds, sums of float64 leaves. For float32 inputs
thresholds are rounded towards minus infinity, which keeps every comparison; where two thresholds of a column would
become one, the model takes float64. A node says what a missing value is: nothing (NaN counts as 0), NaN, or zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._boosters.answers import Graph, answers
from sardonyx.conversion.frameworks._boosters.ensemble import Ensemble
from sardonyx.errors import ConversionError

__all__ = ["Parsed", "parse"]

_ZERO = float(np.float32(1e-35))  # what LightGBM takes for zero, on either side
_BELOW_ZERO = float(np.nextafter(-_ZERO, -np.inf))
_INFINITE = 1e300
_EXP = ("poisson", "gamma", "tweedie")
_PLAIN = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom")


@dataclass
class Parsed:
    """A model; ``average`` says that rounds are averaged (random forests)."""

    objective: str
    parameters: dict[str, str]
    columns: int
    targets: int
    rounds: int
    average: bool
    trees: Ensemble | None

    @property
    def class_count(self) -> int:
        """How many classes it tells apart; 0 for other predictions."""
        if self.objective == "binary":
            return 2
        return self.targets if self.objective in ("multiclass", "multiclassova") else 0

    @property
    def collides(self) -> bool:
        """Whether two thresholds of a column are one number in float32."""
        trees = self.trees.thresholds() if self.trees is not None else {}
        return any(len(np.unique(v.astype(np.float32))) < len(v) for v in trees.values())

    def build(self, graph: Graph, given: str, outputs: list[str], classes: Any, *, double: bool = False) -> None:
        """Adds the model's nodes."""
        assert self.trees is not None
        node = self.trees.node(given, graph.name("trees"), double=double)
        graph.nodes.append(node)
        raw = str(node.output[0])
        if self.average:
            raw = graph.add("Div", [raw, graph.constant(np.float32(self.rounds))])
        steep = float(self.parameters.get("sigmoid", 1.0))
        if self.objective in ("binary", "multiclassova") and steep != 1:
            raw = graph.add("Mul", [raw, graph.constant(np.float32(steep))])
        answers(graph, raw, self._transform(), outputs, classes)

    def _transform(self) -> str:
        if self.objective in ("binary", "multiclassova", "cross_entropy"):
            return "sigmoid"
        if self.objective == "multiclass":
            return "softmax"
        if self.objective == "cross_entropy_lambda":
            return "softplus"
        return "exp" if self.objective in _EXP else "square" if "sqrt" in self.parameters else "none"


def parse(booster: Any) -> Parsed:
    """Reads a Booster (as many rounds as predict takes: the best, where training stopped early)."""
    dump = booster.dump_model(num_iteration=booster.best_iteration if booster.best_iteration > 0 else None)
    objective, *words = dump.get("objective", "custom").split(" ")
    known = ("binary", "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda", *_EXP, *_PLAIN)
    if objective not in known:
        raise ConversionError(f"LightGBM's objective {objective!r} is not known here: what predict makes of raw scores")
    parameters = {name: value for name, _, value in (word.partition(":") for word in words)}
    targets = int(dump["num_tree_per_iteration"])
    ensemble = Ensemble(targets, strict=False)
    for position, tree in enumerate(dump["tree_info"]):
        _add(ensemble, tree["tree_structure"], position % targets)
    rounds = len(dump["tree_info"]) // targets
    columns = int(dump["max_feature_idx"]) + 1
    return Parsed(objective, parameters, columns, targets, rounds, "average_output" in _flags(booster), ensemble)


def _flags(booster: Any) -> set[str]:
    """Lines without a value in the head of the model's text."""
    head = booster.model_to_string(num_iteration=1).partition("\nTree=")[0]
    return {line for line in head.splitlines() if "=" not in line}


def _add(ensemble: Ensemble, root: dict[str, Any], target: int) -> None:
    """Numbers the nodes of a tree and adds them; a stack, for trees can be deep."""
    tree = ensemble.tree()
    order: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        numbers[id(node)] = len(order)
        order.append(node)
        if "split_feature" in node:
            stack += [node["right_child"], node["left_child"]]
    free = len(order)
    for node in order:
        number = numbers[id(node)]
        if "split_feature" not in node:
            if "leaf_features" in node or "leaf_const" in node:
                raise ConversionError(
                    "LightGBM's linear trees (linear_tree=True) cannot be converted: no table holds them"
                )
            ensemble.leaf(tree, number, {target: float(node["leaf_value"])})
            continue
        left, right = numbers[id(node["left_child"])], numbers[id(node["right_child"])]
        if node["decision_type"] == "==":
            categories = [int(part) for part in str(node["threshold"]).split("||")]
            free = ensemble.members(tree, number, node["split_feature"], categories, left, right, False, free)
        else:
            free = _compare(ensemble, tree, number, node, left, right, free)


def _compare(ensemble: Ensemble, tree: int, number: int, node: dict[str, Any], left: int, right: int, free: int) -> int:
    feature, threshold, to_left = node["split_feature"], _threshold(node["threshold"]), bool(node["default_left"])
    zero_left = threshold >= 0
    if node["missing_type"] == "None":
        ensemble.branch(tree, number, feature, threshold, left, right, zero_left)
    elif node["missing_type"] == "NaN" or zero_left == to_left:
        ensemble.branch(tree, number, feature, threshold, left, right, to_left)
    elif to_left:  # zeros go left, though above the threshold (ONNX Runtime lets only true branches meet)
        ensemble.branch(tree, number, feature, threshold, left, free, True)
        ensemble.branch(tree, free, feature, _BELOW_ZERO, right, free + 1, False)
        ensemble.branch(tree, free + 1, feature, _ZERO, left, right, False)
        return free + 2
    else:  # zeros go right, though below the threshold
        ensemble.branch(tree, number, feature, _BELOW_ZERO, left, free, False)
        ensemble.branch(tree, free, feature, _ZERO, right, free + 1, True)
        ensemble.branch(tree, free + 1, feature, threshold, left, right, False)
        return free + 2
    return free


def _threshold(value: float) -> float:
    """As predict compares: a dump writes infinity as 1e300, and what is almost zero is zero."""
    if abs(value) >= _INFINITE:
        return float(np.copysign(np.inf, value))
    if abs(value) <= _ZERO:
        return _BELOW_ZERO if value < 0 else _ZERO
    return float(value)
