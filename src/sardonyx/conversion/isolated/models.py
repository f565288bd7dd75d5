"""What old exporters write, brought to the form of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

__all__ = ["index_domains", "read_model", "set_outputs"]


def read_model(path: Path) -> onnx.ModelProto:
    """The exported model; its weights are no inputs any more (a caller could replace them, so that nothing could be
    known of them)."""
    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def set_outputs(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Puts the outputs in the source's order, with its shapes: numbers, names of symbolic sizes, None for unknown."""
    known = {value.name: value for value in model.graph.output}
    ordered = [known[name] for name in shapes]
    for value, shape in zip(ordered, shapes.values(), strict=True):
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in shape:
            dim = dims.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    copied = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in ordered]
    del model.graph.output[:]
    model.graph.output.extend(copied)


def index_domains(model: onnx.ModelProto) -> dict[str, int]:
    """How many values an integer input may take that looks something up in a table of weights."""
    tables = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    integers = {
        value.name: value.name
        for value in model.graph.input
        if value.type.tensor_type.elem_type in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    }
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in ("Cast", "Reshape", "Identity", "Transpose") and node.input[0] in integers:
            integers[node.output[0]] = integers[node.input[0]]
        if node.op_type == "Gather" and node.input[1] in integers and node.input[0] in tables:
            name = integers[node.input[1]]
            found[name] = min(found.get(name, tables[node.input[0]]), tables[node.input[0]])
    return found
