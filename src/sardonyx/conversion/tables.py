"""What integer inputs may hold, as far as the model itself says it."""

from __future__ import annotations

import onnx

from sardonyx.conversion.framework import Domain

__all__ = ["from_tables"]

_SAME_NUMBERS = ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


def from_tables(model: onnx.ModelProto) -> dict[str, Domain]:
    """Inputs whose values are looked up in stored tables (tokens, categories) hold row numbers of the smallest one."""
    graph = model.graph
    rows = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    origins = {value.name: value.name for value in graph.input}
    most: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in _SAME_NUMBERS and node.input[0] in origins:
            origins[node.output[0]] = origins[node.input[0]]
        elif node.op_type == "Gather" and node.input[0] in rows and node.input[1] in origins and not _axis(node):
            name = origins[node.input[1]]
            most[name] = min(rows[node.input[0]], most.get(name, rows[node.input[0]]))
    integers = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    wanted = {value.name for value in graph.input if value.type.tensor_type.elem_type in integers}
    return {name: Domain(low=0, high=count - 1) for name, count in most.items() if name in wanted and count}


def _axis(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
