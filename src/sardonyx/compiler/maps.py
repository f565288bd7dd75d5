"""Lowering of groups without an anchor to fused maps, and of copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from sardonyx.compiler.points import PointBuilder, dimension_symbols, loop_positions
from sardonyx.compiler.strides import merge_axes
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Elementwise, moves_elements
from sardonyx.symbols import Dim, product

if TYPE_CHECKING:
    from sardonyx.compiler.grouping import Group
    from sardonyx.compiler.workspace import Workspace

__all__ = ["broadcast_copy", "lower_map"]


def lower_map(space: Workspace, group: Group) -> None:
    """One fused map for a group of pointwise nodes."""
    value = group.sink.outputs[0]
    nodes = group.members | {group.sink}
    shape = space.shape(value)
    order = _order(space, nodes, shape)
    result = space.allocate(value, order)
    inline = {node.outputs[0]: node for node in nodes}
    axes = list(order) if order is not None else list(range(len(shape)))
    if any(moves_elements(space.info.records[node], space.info.contexts[node]) for node in nodes):
        loops = [[axis] for axis in axes if shape[axis] != 1] or [[]]
    else:
        loops = merge_axes(shape, axes, [result.strides, *_load_strides(space, value, inline, shape)])
    points = PointBuilder(space.info, inline, space.operand, shape, loop_positions(loops, shape))
    place = points.result(value)
    sizes = [product(shape[axis] for axis in loop) for loop in loops]
    extents = tuple(points.slots.add(size) for size in sizes)
    offset: Dim = 0
    for stride, position in zip(result.strides, dimension_symbols(shape), strict=True):
        offset = offset + stride * position
    store = Store(len(points.operands), result.dtype, points.localised(offset))
    kernel = Map(extents, points.program([place]), (store,))
    work = product(shape) * _cost(space, nodes)
    space.call(kernel, [*points.operands, result], points.slots.sizes, Map.tasks(tuple(sizes)), work)


def _load_strides(
    space: Workspace, value: ir.Value, inline: dict[ir.Value, ir.Node], shape: Sequence[Dim]
) -> list[tuple[Dim, ...]]:
    """How each load of a group walks over the dimensions of the result."""
    found: list[tuple[Dim, ...]] = []

    def note(operand: Operand, strides: tuple[Dim, ...] | None) -> Operand:
        # a load that is not affine must see every dimension by itself: strides that merge with nothing
        found.append(strides if strides is not None else tuple(range(1, len(shape) + 1)))
        return operand

    positions = {f"d{axis}": place for axis, place in enumerate(dimension_symbols(shape))}
    PointBuilder(space.info, inline, space.operand, shape, positions, adapt=note).result(value)
    return found


def _cost(space: Workspace, nodes: set[ir.Node]) -> int:
    records = (space.info.records[node] for node in nodes)
    return sum(record.cost if isinstance(record, Elementwise) else 2 for record in records)


def _order(space: Workspace, nodes: set[ir.Node], shape: Sequence[Dim]) -> tuple[int, ...] | None:
    """The memory order of the result: that of the first operand of its rank that has one of its own."""
    inside = {node.outputs[0] for node in nodes}
    for node in space.region.nodes:
        if node not in nodes:
            continue
        for leaf in node.inputs:
            if leaf is None or leaf in inside or leaf not in space.orders:
                continue
            if len(space.shape(leaf)) == len(shape):
                return space.orders[leaf]
    return None


def broadcast_copy(
    space: Workspace, source: Operand, strides: tuple[Dim, ...], shape: tuple[Dim, ...], order: Sequence[int]
) -> Operand:
    """``source``, walked by ``strides`` over a shape, written out densely in an order."""
    result = space.temporary(source.dtype, shape, order)
    space.copy(Operand(source.buffer, source.dtype, shape, strides, source.offset), result)
    return result
