"""SimpleImputer of numbers as a choice, in the type of its input.

ONNX Runtime has no Imputer of float64, and the operator holds its values in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._boosters.answers import Graph

__all__ = ["convert_imputer"]


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """skl2onnx's conversion function; strings, and marks other than NaN, are left to skl2onnx's own."""
    from skl2onnx.common import data_types as kinds
    from skl2onnx.common._registration import get_converter

    model = operator.raw_operator
    double = isinstance(operator.inputs[0].type, kinds.DoubleTensorType)
    values = np.asarray(model.statistics_)
    plain = values.dtype.kind == "f" and not np.isnan(values).any()
    marked = isinstance(model.missing_values, float) and np.isnan(model.missing_values)
    if not (plain and marked and (double or isinstance(operator.inputs[0].type, kinds.FloatTensorType))):
        get_converter("SklearnSimpleImputer")(scope, operator, container)
        return
    graph = Graph(scope.get_unique_operator_name("SimpleImputer") + "_")
    given = [value.full_name for value in operator.inputs]
    joined = graph.add("Concat", given, axis=1) if len(given) > 1 else given[0]
    filled = graph.constant(values[None].astype(np.float64 if double else np.float32))
    graph.add("Where", [graph.add("IsNaN", [joined]), filled, joined], operator.outputs[0].full_name)
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets.add(("", 13))
