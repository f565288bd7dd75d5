"""Operators of TensorFlow that tf2onnx does not know or gets wrong, in its own form of a handler.

A handler changes one node of tf2onnx's graph in place. Its docstring's first line says, after a count, what was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx

__all__ = ["HANDLERS", "counted"]

_ROOT_HALF, _ROOT_2_PI = 0.5**0.5, (2 / np.pi) ** 0.5

Handler: TypeAlias = Callable[[Any, Any, str, Any], None]


def _erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Erfc (of gelu), which ONNX does not have, written as 1 - Erf"""
    erf = _made(graph, node, "Erf", [node.input[0]])
    _replaced(graph, node, "Sub", [_constant(graph, node, 1), erf])


def _log1p(graph: Any, node: Any, name: str, args: Any) -> None:
    """Log1p, which ONNX does not have, written as Log(1 + x)"""
    shifted = _made(graph, node, "Add", [node.input[0], _constant(graph, node, 1)])
    _replaced(graph, node, "Log", [shifted])


def _expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    """Expm1, which ONNX does not have, written as Exp(x) - 1"""
    grown = _made(graph, node, "Exp", [node.input[0]])
    _replaced(graph, node, "Sub", [grown, _constant(graph, node, 1)])


def _tflite_gelu(graph: Any, node: Any, name: str, args: Any) -> None:
    """GELU of TFLite written with Erf or Tanh"""
    x = node.input[0]
    half = _made(graph, node, "Mul", [x, _constant(graph, node, 0.5)])
    if node.get_attr_value("approximate"):
        cube = _made(graph, node, "Mul", [_made(graph, node, "Mul", [x, x]), x])
        inner = _made(graph, node, "Add", [x, _made(graph, node, "Mul", [cube, _constant(graph, node, 0.044715)])])
        bent = _made(graph, node, "Tanh", [_made(graph, node, "Mul", [inner, _constant(graph, node, _ROOT_2_PI)])])
    else:
        bent = _made(graph, node, "Erf", [_made(graph, node, "Mul", [x, _constant(graph, node, _ROOT_HALF)])])
    _replaced(graph, node, "Mul", [half, _made(graph, node, "Add", [bent, _constant(graph, node, 1)])])


HANDLERS: dict[str, Handler] = {"Erfc": _erfc, "Log1p": _log1p, "Expm1": _expm1, "TFL_GELU": _tflite_gelu}


def counted(counts: Counter[str]) -> dict[str, tuple[Handler, list[Any]]]:
    """The handlers as tf2onnx takes them; every use of one is counted."""

    def counting(key: str, handler: Handler) -> Handler:
        def handle(graph: Any, node: Any, name: str, args: Any) -> None:
            handler(graph, node, name, args)
            counts[key] += 1

        return handle

    return {key: (counting(key, handler), []) for key, handler in HANDLERS.items()}


def _constant(graph: Any, node: Any, value: float) -> str:
    """A scalar of the type of the node's first input."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(graph.get_dtype(node.input[0]))
    return str(graph.make_const(_unique(node.name), np.asarray(value, dtype)).output[0])


def _made(graph: Any, node: Any, op_type: str, inputs: list[str]) -> str:
    """The value of a new node that looks like ``node``'s output."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    made = graph.make_node(op_type, inputs, name=_unique(node.name), shapes=shapes, dtypes=dtypes)
    return str(made.output[0])


def _replaced(graph: Any, node: Any, op_type: str, inputs: list[str]) -> None:
    """The node's output, computed by another operator."""
    name, outputs, shapes, dtypes = node.name, list(node.output), node.output_shapes, node.output_dtypes
    graph.remove_node(name)
    graph.make_node(op_type, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)


def _unique(name: str) -> str:
    from tf2onnx import utils

    return str(utils.make_name(name))
