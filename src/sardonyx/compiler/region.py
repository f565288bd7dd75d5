"""Lowering of a region: nodes to kernel calls on buffers.

The nodes are visited in order. Views only change how memory is looked at; each group becomes one call of a fused map or
the calls of its anchor.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from sardonyx.compiler.grouping import Group, group_nodes
from sardonyx.compiler.lowering import Lowering
from sardonyx.compiler.maps import lower_map
from sardonyx.compiler.steps import Region
from sardonyx.compiler.strides import is_dense
from sardonyx.compiler.workspace import Workspace
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import View
from sardonyx.ops.inference import GraphInfo, node_label
from sardonyx.ops.lowered import is_known
from sardonyx.symbols import known_equal
from sardonyx.targets import Target

__all__ = ["lower_region"]


def lower_region(region: Region, info: GraphInfo, target: Target, exact_convolution: bool = False) -> Workspace:
    """The kernel calls of a region and the buffers they work on."""
    space = Workspace(region, info, target, exact_convolution)
    groups = {group.sink: group for group in group_nodes(region, info)}
    for node in region.nodes:
        space.label = node_label(node)
        if node in groups:
            _lower_group(space, groups[node])
        elif isinstance(info.records[node], View) and not all(is_known(info.of(v)) for v in node.outputs):
            _lower_view(space, node)
    for place, value in enumerate(region.outputs):
        _finish_output(space, place, value)
    return space


def _lower_group(space: Workspace, group: Group) -> None:
    if group.anchor is None:
        lower_map(space, group)
    else:
        Lowering(space, group, group.anchor).run()


def _lower_view(space: Workspace, node: ir.Node) -> None:
    record, ctx = space.info.records[node], space.info.contexts[node]
    source = node.inputs[0]
    if not isinstance(record, View) or source is None:
        raise AssertionError("not a view")
    outputs = [space.info.of(value) for value in node.outputs]
    operand = space.operand(source)
    views = record.view(ctx, outputs, operand)
    if views is None:
        views = record.view(ctx, outputs, space.contiguous(operand))
    if views is None:
        raise AssertionError(f"{node.op_type} cannot view a contiguous tensor")
    for value, view in zip(node.outputs, views, strict=True):
        space.bind(value, view)
        if len(view.shape) == len(operand.shape) and source in space.orders:
            _keep_order(space, value, view, space.orders[source])


def _keep_order(space: Workspace, value: ir.Value, view: Operand, order: tuple[int, ...]) -> None:
    """A slice of a channels-last tensor is walked best in the same order; a transposed one is not."""
    if view.strides and known_equal(view.strides[order[-1]], 1):
        space.orders[value] = order


def _finish_output(space: Workspace, place: int, value: ir.Value) -> None:
    """Sees to it that a region's output lies in its own buffer, row-major."""
    operand = space.operand(value)
    buffer = space.buffers[operand.buffer]
    if buffer.kind == "output" and buffer.place == place:
        return
    whole = is_dense(operand) and operand.offset == 0 and known_equal(buffer.size, space.bytes_of(value))
    if buffer.kind == "temporary" and whole:
        space.buffers[operand.buffer] = replace(buffer, kind="output", place=place)
        return
    space.copy(operand, space.edge("output", place, value))
