"""PowerTransformer, computed in float64 as scikit-learn does; missing values stay missing.

skl2onnx puts zero in the place of missing values, and has no float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from sardonyx.conversion.frameworks._boosters.answers import Graph

__all__ = ["convert_power"]


def convert_power(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's conversion function."""
    from skl2onnx.common.data_types import DoubleTensorType

    model = operator.raw_operator
    graph = Graph(scope.get_unique_operator_name("PowerTransformer") + "_")
    given = graph.add("Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    found = _yeo_johnson(graph, given, model) if model.method == "yeo-johnson" else _box_cox(graph, given, model)
    if model.standardize:
        centred = graph.add("Sub", [found, graph.constant(np.asarray(model._scaler.mean_)[None])])
        found = graph.add("Div", [centred, graph.constant(np.asarray(model._scaler.scale_)[None])])
    missing = graph.add("IsNaN", [given])
    kept = graph.add("Where", [missing, given, found])
    wide = isinstance(operator.inputs[0].type, DoubleTensorType)
    graph.add("Cast", [kept], operator.outputs[0].full_name, to=TensorProto.DOUBLE if wide else TensorProto.FLOAT)
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets.add(("", 13))


def _yeo_johnson(graph: Graph, given: str, model: Any) -> str:
    """((x + 1)^l - 1) / l from zero on, -((1 - x)^(2 - l) - 1) / (2 - l) below, logarithms where the divisor is 0."""
    zero, one = graph.constant(np.float64(0)), graph.constant(np.float64(1))
    negative = graph.add("Less", [given, zero])
    above = graph.add("Add", [graph.add("Where", [negative, zero, given]), one])
    below = graph.add("Sub", [one, graph.add("Where", [negative, given, zero])])
    powers = np.asarray(model.lambdas_, np.float64)
    ours = _power(graph, above, powers)
    theirs = graph.add("Neg", [_power(graph, below, 2 - powers)])
    return graph.add("Where", [negative, theirs, ours])


def _box_cox(graph: Graph, given: str, model: Any) -> str:
    return _power(graph, given, np.asarray(model.lambdas_, np.float64))


def _power(graph: Graph, base: str, powers: Any) -> str:
    """(base^p - 1) / p, by column; log(base) where p is almost zero."""
    small = np.abs(powers) < np.spacing(1.0)
    divisors = np.where(small, 1.0, powers)[None]
    raised = graph.add("Pow", [base, graph.constant(divisors)])
    lowered = graph.add("Sub", [raised, graph.constant(np.float64(1))])
    divided = graph.add("Div", [lowered, graph.constant(divisors)])
    if not small.any():
        return divided
    return graph.add("Where", [graph.constant(small[None]), graph.add("Log", [base]), divided])
