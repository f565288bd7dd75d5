"""Operators of TensorFlow that tf2onnx does not know or gets wrong, in its own form of a handler.

A handler changes one node of tf2onnx's graph in place. Its docstring's first line says, after a count, what was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx

__all__ = ["HANDLERS", "counted"]

_ROOT_HALF, _ROOT_2_PI = 0.5**0.5, (2 / np.pi) ** 0.5

_UNCHANGED = ("Bincount", "DenseBincount", "Equal", "NotEqual")

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


def _sign_bit(graph: Any, node: Any, name: str, args: Any) -> None:
    """Bitcast for the sign of -0 (of Keras's argmax) written as a comparison of 1 / x"""
    mask = np.iinfo(np.int32).min
    readers = graph.find_output_consumers(node.output[0])
    others = [[graph.get_node_by_output(name) for name in reader.input if name != node.output[0]] for reader in readers]
    masked = all(
        reader.type == "BitwiseAnd" and one.is_const() and np.all(one.get_tensor_value(as_list=False) == mask)
        for reader, constants in zip(readers, others, strict=True)
        for one in constants
    )
    if not masked or graph.get_dtype(node.input[0]) != onnx.TensorProto.FLOAT:
        raise ValueError("only the sign bit of float32 can be looked at")
    x, zero, truth = node.input[0], _constant(graph, node, 0), onnx.TensorProto.BOOL
    at_zero = _made(graph, node, "Equal", [x, zero], truth)
    below = _made(graph, node, "Less", [_made(graph, node, "Reciprocal", [x], onnx.TensorProto.FLOAT), zero], truth)
    signed = _made(graph, node, "And", [at_zero, below], truth)
    negative = _made(graph, node, "Or", [signed, _made(graph, node, "Less", [x, zero], truth)], truth)
    _replaced(graph, node, "Where", [negative, _number(graph, node, np.int32(mask)), _number(graph, node, np.int32(0))])


def _resize(graph: Any, node: Any, name: str, args: Any) -> None:
    """Resize by sizes in place of rounded scales, which may give one pixel less"""
    from tf2onnx.onnx_opset.nn import Resize

    shape = graph.get_shape(node.input[0])
    given = node.input[0]
    graph.set_shape(given, [-1, -1, -1, -1])  # it takes sizes only where it does not know how to make scales
    Resize.version_11(graph, node)
    if shape is not None:
        graph.set_shape(given, shape)


def _bicubic(graph: Any, node: Any, name: str, args: Any) -> None:
    """bicubic Resize, whose weights TensorFlow takes from a table of 1024 places while ONNX computes them"""
    _resize(graph, node, name, args)


def _equal(graph: Any, node: Any, name: str, args: Any) -> None:
    """Equal of any type: of strings it is ONNX's since opset 19"""
    from tf2onnx.onnx_opset.logical import Equal

    if graph.get_dtype(node.input[0]) != onnx.TensorProto.STRING:
        Equal.version_11(graph, node)
    elif node.type == "NotEqual":
        _replaced(graph, node, "Not", [_made(graph, node, "Equal", list(node.input))])
    else:
        _replaced(graph, node, "Equal", list(node.input))


def _bincount(graph: Any, node: Any, name: str, args: Any) -> None:
    """Bincount of known rank"""
    from tf2onnx.onnx_opset.tensor import Bincount

    if graph.get_rank(node.input[0]) is None:
        raise ValueError("whether it counts by rows depends on a rank that is not known")
    Bincount.any_version(graph.opset, graph, node)


def _bucketize(graph: Any, node: Any, name: str, args: Any) -> None:
    """Bucketize (of Discretization) written as a count of the boundaries that are not above"""
    bounds = np.asarray(node.get_attr_value("boundaries"), np.float32)
    _count(graph, node, node.input[0], _number(graph, node, bounds), "Less")


def _lower_bound(graph: Any, node: Any, name: str, args: Any) -> None:
    """LowerBound (of searchsorted) written as a count of what is below"""
    _count_sorted(graph, node, "LessOrEqual")


def _upper_bound(graph: Any, node: Any, name: str, args: Any) -> None:
    """UpperBound (of searchsorted) written as a count of what is not above"""
    _count_sorted(graph, node, "Less")


def _count_sorted(graph: Any, node: Any, above: str) -> None:
    """Of (rows, n) sorted numbers and (rows, m) others."""
    middle = _number(graph, node, np.array([1], np.int64))
    numbers = _made(graph, node, "Unsqueeze", [node.input[0], middle], graph.get_dtype(node.input[0]), None)
    _count(graph, node, node.input[1], numbers, above)


def _count(graph: Any, node: Any, values: str, bounds: str, above: str) -> None:
    """For each value, how many of the last axis of ``bounds`` it is not ``above`` of; NaN is past all."""
    last = _number(graph, node, np.array([-1], np.int64))
    wide = _made(graph, node, "Unsqueeze", [values, last], graph.get_dtype(values), None)
    if graph.get_dtype(values) != graph.get_dtype(bounds):
        wide = _made(graph, node, "Cast", [wide], graph.get_dtype(bounds), None, {"to": graph.get_dtype(bounds)})
    over = _made(graph, node, above, [wide, bounds], onnx.TensorProto.BOOL, None)
    under = _made(graph, node, "Not", [over], onnx.TensorProto.BOOL, None)
    made = node.output_dtypes[0]
    counted = _made(graph, node, "Cast", [under], made, None, {"to": made})
    _replaced(graph, node, "ReduceSum", [counted, last], {"keepdims": 0})


def _lookup(graph: Any, node: Any, name: str, args: Any) -> None:
    """lookup in a table written with LabelEncoder"""
    table = node.inputs[0]
    while table.type == "Identity":
        table = table.inputs[0]
    keys, values = args[0][table.get_attr_value("shared_name")]
    if not node.inputs[2].is_const():
        raise ValueError("the default value of a lookup must be constant")
    default = node.inputs[2].get_tensor_value(as_list=False).reshape(-1)
    attributes = {
        f"keys_{_kind(keys)}s": _plain(keys),
        f"values_{_kind(values)}s": _plain(values),
        f"default_{_kind(values)}": _plain(default)[0],
    }
    wide = node.input[1]
    if _kind(keys) == "int64" and graph.get_dtype(wide) != onnx.TensorProto.INT64:
        wide = _made(graph, node, "Cast", [wide], onnx.TensorProto.INT64, graph.get_shape(wide), {"to": 7})
    table_name, unread = table.name, len(graph.find_output_consumers(table.output[0])) == 1
    graph.set_shape(node.output[0], graph.get_shape(node.input[1]))  # TensorFlow does not say it
    _replaced(graph, node, "LabelEncoder", [wide], attributes, "ai.onnx.ml")
    if unread:
        graph.remove_node(table_name)


def _kind(array: Any) -> str:
    return "string" if array.dtype.kind in "OSU" else "int64" if array.dtype.kind in "iu" else "float"


def _plain(array: Any) -> list[Any]:
    return [one.decode() if isinstance(one, bytes) else one for one in array.tolist()]


HANDLERS: dict[str, Handler] = {
    "Erfc": _erfc,
    "Log1p": _log1p,
    "Expm1": _expm1,
    "TFL_GELU": _tflite_gelu,
    "Bitcast": _sign_bit,
    "Equal": _equal,
    "NotEqual": _equal,
    "Bincount": _bincount,
    "DenseBincount": _bincount,
    "Bucketize": _bucketize,
    "LowerBound": _lower_bound,
    "UpperBound": _upper_bound,
    "LookupTableFindV2": _lookup,
    "ResizeBilinear": _resize,
    "ResizeBicubic": _bicubic,
    "ResizeNearestNeighbor": _resize,
}


def counted(counts: Counter[str], tables: Mapping[Any, Any] | None = None) -> dict[str, tuple[Handler, list[Any]]]:
    """The handlers as tf2onnx takes them; every use of one is counted. ``tables`` are the keys and values of lookup
    tables by their shared names."""

    def counting(key: str, handler: Handler) -> Handler:
        def handle(graph: Any, node: Any, name: str, args: Any) -> None:
            handler(graph, node, name, [tables or {}])
            if key not in _UNCHANGED:
                counts[key] += 1

        return handle

    return {key: (counting(key, handler), []) for key, handler in HANDLERS.items()}


def _constant(graph: Any, node: Any, value: float) -> str:
    """A scalar of the type of the node's first input."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(graph.get_dtype(node.input[0]))
    return _number(graph, node, np.asarray(value, dtype))


def _number(graph: Any, node: Any, value: Any) -> str:
    return str(graph.make_const(_unique(node.name), np.asarray(value)).output[0])


_SAME: Any = object()


def _made(
    graph: Any,
    node: Any,
    op_type: str,
    inputs: list[str],
    dtype: int | None = None,
    shape: Any = _SAME,
    attributes: dict[str, Any] | None = None,
) -> str:
    """The value of a new node, which looks like ``node``'s output where nothing else is said."""
    shapes = node.output_shapes if shape is _SAME else [shape]
    dtypes = node.output_dtypes if dtype is None else [dtype]
    made = graph.make_node(op_type, inputs, name=_unique(node.name), attr=attributes, shapes=shapes, dtypes=dtypes)
    return str(made.output[0])


def _replaced(
    graph: Any, node: Any, op_type: str, inputs: list[str], attributes: dict[str, Any] | None = None, domain: str = ""
) -> None:
    """The node's output, computed by another operator."""
    settings = {"outputs": list(node.output), "shapes": node.output_shapes, "dtypes": node.output_dtypes}
    name = node.name
    graph.remove_node(name)
    graph.make_node(op_type, inputs, name=name, attr=attributes, domain=domain, **settings)


def _unique(name: str) -> str:
    from tf2onnx import utils

    return str(utils.make_name(name))
