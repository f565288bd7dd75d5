"""Operators that the fallback computes itself: onnx's reference implementation takes their rows one by one.

Each entry takes a node's attributes as Python values (tensors as arrays), once, and makes the function of its inputs
that returns its outputs. Both raise ValueError for what they cannot take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sardonyx.compiler.trees import tree_ensemble_classifier, tree_ensemble_regressor

__all__ = ["CONTRIB"]

CONTRIB: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Callable[[Sequence[Any]], list[Any]]]] = {
    ("ai.onnx.ml", "TreeEnsembleClassifier"): tree_ensemble_classifier,
    ("ai.onnx.ml", "TreeEnsembleRegressor"): tree_ensemble_regressor,
}
"""(domain, operator) -> what makes its function from the attributes."""
