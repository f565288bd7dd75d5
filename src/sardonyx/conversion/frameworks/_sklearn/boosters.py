"""Boosters of other libraries among scikit-learn's steps: converters for skl2onnx, and thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from sardonyx.conversion.frameworks._boosters.answers import Graph
from sardonyx.conversion.frameworks._boosters.model import ParsedModel

__all__ = ["is_booster", "parsed", "register"]

_LIBRARIES = ("xgboost", "lightgbm", "catboost")


def is_booster(model: Any) -> bool:
    """Whether an estimator is of one of the libraries of boosted trees."""
    return type(model).__module__.partition(".")[0] in _LIBRARIES


def parsed(model: Any) -> tuple[ParsedModel, Any]:
    """A booster's trees, and its classes."""
    library = type(model).__module__.partition(".")[0]
    home = import_module(f"sardonyx.conversion.frameworks.{library}")
    found: tuple[ParsedModel, Any] = home.parsed_estimator(model)
    return found


def register(steps: Iterable[Any]) -> None:
    """Makes boosters among the steps known to skl2onnx."""
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map

    for kind in {type(step) for step in steps if is_booster(step)} - set(sklearn_operator_name_map):
        alias = f"Sardonyx{kind.__name__}"
        options = {"zipmap": [False]} if hasattr(kind, "predict_proba") else None
        update_registered_converter(kind, alias, _shapes, _convert, overwrite=True, parser=_parse, options=options)


def _parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """A booster's outputs; whether it is a classifier is asked of its trees, not of scikit-learn's tags."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common.data_types import FloatTensorType

    operator = scope.declare_local_operator(sklearn_operator_name_map[type(model)], model)
    operator.inputs.extend(inputs)
    names = ["variable"] if parsed(model)[1] is None else ["label", "probabilities"]
    for name in names:
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType()))
    return list(operator.outputs)


def _shapes(operator: Any) -> None:
    from skl2onnx.common import data_types as kinds

    model = operator.raw_operator
    found, classes = parsed(model)
    rows = operator.inputs[0].get_first_dimension()
    if classes is None:
        operator.outputs[0].type = kinds.FloatTensorType([rows, found.targets])
        return
    text = any(isinstance(name, str) for name in classes)
    operator.outputs[0].type = (kinds.StringTensorType if text else kinds.Int64TensorType)([rows])
    operator.outputs[1].type = kinds.FloatTensorType([rows, len(classes)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    found, classes = parsed(operator.raw_operator)
    graph = Graph(scope.get_unique_operator_name("booster") + "_")
    given = operator.inputs[0]
    outputs = [value.full_name for value in operator.outputs]
    found.build(graph, given.full_name, outputs, classes, double=isinstance(given.type, DoubleTensorType))
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets.update({("", 13), ("ai.onnx.ml", 3)})
