"""What old exporters write, brought to the form of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

__all__ = ["read_model", "set_outputs"]


def read_model(path: Path) -> onnx.ModelProto:
    """The exported model; its weights are no inputs any more (a caller could replace them, so that nothing could be
    known of them)."""
    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def set_outputs(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int | None]], batch: str) -> None:
    """Puts the outputs in the source's order, with its shapes; None is the batch on the first axis, and an unnamed
    size elsewhere."""
    known = {value.name: value for value in model.graph.output}
    ordered = [known[name] for name in shapes]
    for value, shape in zip(ordered, shapes.values(), strict=True):
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for axis, size in enumerate(shape):
            dim = dims.add()
            if size is not None:
                dim.dim_value = size
            elif axis == 0:
                dim.dim_param = batch
    copied = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in ordered]
    del model.graph.output[:]
    model.graph.output.extend(copied)
