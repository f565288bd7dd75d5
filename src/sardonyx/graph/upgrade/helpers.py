"""Small pieces that several upgrade steps share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx.graph.emit import Emitter, replace_inputs
from sardonyx.graph.upgrade.registry import CannotUpgrade
from sardonyx.graph.value_types import DECLARED_SHAPE


def take(node: ir.Node, name: str, default: Any = None) -> Any:
    """The Python value of an attribute, which is removed from the node."""
    attribute = node.attributes.pop(name, None)
    return default if attribute is None else attribute.value


def add_inputs(node: ir.Node, *values: ir.Value | None) -> None:
    """Append inputs to a node."""
    replace_inputs(node, [*node.inputs, *values])


def input_at(node: ir.Node, index: int) -> ir.Value:
    """An input that must be there."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        raise CannotUpgrade(f"input {index} is missing")
    return value


def optional_input(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def outputs_of(value: ir.Value) -> Sequence[ir.Value]:
    """All outputs of the node that produces a value."""
    producer = value.producer()
    return (value,) if producer is None else producer.outputs


def output_is_wanted(node: ir.Node, index: int) -> bool:
    """Whether the file names the output (an omitted one has the empty name)."""
    return index < len(node.outputs) and node.outputs[index].name != ""


def known_rank(value: ir.Value) -> int | None:
    """The rank of a value where the file or its producer tells it."""
    if value.shape is not None:
        return len(value.shape)
    declared = value.meta.get(DECLARED_SHAPE)
    if isinstance(declared, ir.Shape):
        return len(declared)
    producer = value.producer()
    return 2 if producer is not None and producer.op_type in ("Gemm", "Flatten") else None


def rank_of(value: ir.Value, emit: Emitter) -> ir.Value:
    """The rank of a value as an int64 tensor of shape [1]."""
    rank = known_rank(value)
    if rank is not None:
        return emit.ints([rank], "rank")
    return emit.op("Shape", emit.op("Shape", value))


def ones(count: ir.Value, emit: Emitter) -> ir.Value:
    """A vector of int64 ones whose length is in ``count``, of shape [1]."""
    return emit.op("ConstantOfShape", count, value=ir.tensor([1], ir.DataType.INT64))


def constant_like(number: float, value: ir.Value, emit: Emitter, hint: str) -> ir.Value:
    """A scalar constant of the element type of ``value``."""
    import numpy as np

    from sardonyx import dtypes

    dtype = value.dtype
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return emit.op("CastLike", emit.constant(np.float32(number), hint), value)
    with np.errstate(over="ignore"):  # the largest float32 is infinite in float16, as it should be
        return emit.constant(np.asarray(number).astype(dtypes.from_onnx(dtype.value).numpy), hint)
