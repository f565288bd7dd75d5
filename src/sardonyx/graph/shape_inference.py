"""onnx's own shape inference for one node: what is known of operators that have no record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx import shape_inference

from sardonyx.graph.info import TensorInfo
from sardonyx.graph.schema import normalize_domain

__all__ = ["onnx_output_shapes"]


_CPP_ERRORS = (
    shape_inference.InferenceError, onnx.defs.SchemaError, onnx.checker.ValidationError,
    RuntimeError, ValueError, IndexError, OverflowError, MemoryError,
)  # fmt: skip
"""What onnx's C++ code raises, and what pybind11 makes of the exceptions of C++'s library."""
_INT64 = 2**63


def onnx_output_shapes(
    node: ir.Node, inputs: Sequence[TensorInfo | None], opset: int
) -> list[tuple[int | None, ...] | None]:
    """The shapes of a node's outputs (None: unknown size or rank) as onnx infers them from types and constants."""
    unknown: list[tuple[int | None, ...] | None] = [None] * len(node.outputs)
    types: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for value, info in zip(node.inputs, inputs, strict=True):
        if value is None or not value.name:
            continue
        if info is None or info.dtype is None:
            return unknown
        shape = None if info.shape is None else [d if isinstance(d, int) and d < _INT64 else None for d in info.shape]
        types[value.name] = onnx.helper.make_tensor_type_proto(info.dtype.onnx, shape)
        if info.const is not None and info.dtype.is_integer and info.const.size <= 64:
            data[value.name] = onnx.numpy_helper.from_array(info.const, value.name)
    proto = ir.to_proto(node)
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, normalize_domain(node.domain))
        inferred = shape_inference.infer_node_outputs(schema, proto, types, data)
    except _CPP_ERRORS:
        return unknown  # onnx cannot tell: a run will
    return [_shape(inferred.get(value.name or "")) for value in node.outputs]


def _shape(type_proto: Any) -> tuple[int | None, ...] | None:
    if type_proto is None or not type_proto.HasField("tensor_type") or not type_proto.tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in type_proto.tensor_type.shape.dim)
