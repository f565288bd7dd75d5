"""Whether a node has a lowering: for the passes that act on those without, and for the compiler."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from sardonyx.dtypes import DType, carrier
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.upgrade import is_current
from sardonyx.ops.base import Anchor, Control, Elementwise, Indexed, InferContext, View
from sardonyx.ops.inference import GraphInfo

__all__ = [
    "awaits_ranks",
    "awaits_run",
    "carried_info",
    "counted_inputs",
    "is_hosted",
    "is_known",
    "is_lowered",
    "is_served",
    "native_dtype",
]


def is_known(info: TensorInfo) -> bool:
    """Whether a value's contents are sizes or constants, so that no kernel need compute it."""
    return info.values is not None


def native_dtype(dtype: DType | None) -> bool:
    """Whether buffers of this dtype can be held by native code."""
    return dtype is not None


def carried_info(info: TensorInfo) -> TensorInfo:
    """What a record sees of a value whose elements it only moves."""
    return info if info.dtype is None else replace(info, dtype=carrier(info.dtype))


def _carried_context(ctx: InferContext) -> InferContext:
    return replace(ctx, inputs=tuple(info and carried_info(info) for info in ctx.inputs))


def is_lowered(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node has a lowering for its types and attributes."""
    outputs = [info.of(value) for value in node.outputs if value.name]
    if any(output.shape is None or not native_dtype(output.dtype) for output in outputs):
        return False
    inputs = [info.of(value) for value in node.inputs if value is not None]
    if any(i.shape is None or not native_dtype(i.dtype) for i in inputs):
        return False
    if outputs and all(is_known(output) for output in outputs):
        return True
    record, ctx = info.records[node], info.contexts[node]
    if any(value.dtype is not None and value.dtype.kind in "cs" for value in (*inputs, *outputs)):
        if record is None or not record.carries(ctx):
            return False
        ctx = _carried_context(ctx)
    match record:
        case Elementwise():
            return record.lowers([None if i is None else i.dtype for i in ctx.inputs])
        case View():
            return True
        case Indexed() | Anchor():
            return record.lowers(ctx)
    return False


def is_hosted(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node without a lowering is computed by its record on Python objects."""
    record = info.records[node]
    return record is not None and record.hosts(info.contexts[node])


def is_served(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node has a lowering, a step of control flow, or is computed on Python objects: all but the fallback."""
    return is_lowered(node, info) or isinstance(info.records[node], Control) or is_hosted(node, info)


def awaits_ranks(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node is without a lowering because the rank of an input is not known ahead."""
    given = [info.of(value) for value in node.inputs if value is not None]
    return any(one.shape is None for one in given) and not is_lowered(node, info) and _may_wait(node, info)


def awaits_run(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node cannot run natively because the rank of an input, or the number of its elements that give sizes or
    axes, is not known ahead."""
    return awaits_ranks(node, info) or (bool(counted_inputs(node, info)) and _may_wait(node, info))


def counted_inputs(node: ir.Node, info: GraphInfo) -> list[ir.Value]:
    """The inputs of unknown last size, on which the rank of a result, or what a lowering does, depends."""
    record = info.records.get(node)
    if record is None:
        return []
    shapes = [(value, () if value is None else info.of(value).shape) for value in node.inputs]
    sizes = [(value, index, shape) for index, (value, shape) in enumerate(shapes) if shape]
    return [
        value
        for value, index, shape in sizes
        if value is not None
        and not isinstance(shape[-1], int)
        and ((index in record.sized_by and len(shape) == 1) or index in record.length_of)
    ]


def _may_wait(node: ir.Node, info: GraphInfo) -> bool:
    """Whether a node could be compiled in a run: it is of tensors, and nothing but native code would serve it."""
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.name]
    known = [info.of(value) for value in values]
    return (
        is_current(node)
        and not isinstance(info.records[node], Control)
        and not is_hosted(node, info)
        and all(one.dtype is not None and not one.is_container for one in known)
    )
