"""Lowering of groups without an anchor to fused maps, and of copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from sardonyx.compiler.points import PointBuilder, dimension_symbols, loop_positions
from sardonyx.compiler.strides import merge_axes
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.kernels.transpose import Transpose
from sardonyx.ops.base import Elementwise, Indexed
from sardonyx.symbols import Dim, product

if TYPE_CHECKING:
    from sardonyx.compiler.grouping import Group
    from sardonyx.compiler.region import RegionBuilder

__all__ = ["broadcast_copy", "copy_call", "lower_map"]


def copy_call(source: Operand, destination: Operand) -> tuple[Kernel, Sequence[Dim], Dim]:
    """The kernel, sizes and tasks of a copy between views of one shape and dtype."""
    return Transpose.plan(source.shape, source.strides, destination.strides, source.dtype)


def lower_map(builder: RegionBuilder, group: Group) -> None:
    """One fused map for a group of pointwise nodes."""
    value = group.sink.outputs[0]
    nodes = group.members | {group.sink}
    shape = builder.shape(value)
    order = _order(builder, nodes, shape)
    result = builder.allocate(value, order)
    inline = {node.outputs[0]: node for node in nodes}
    axes = list(order) if order is not None else list(range(len(shape)))
    if any(isinstance(builder.info.records[node], Indexed) for node in nodes):
        loops = [[axis] for axis in axes if shape[axis] != 1] or [[]]
    else:
        loops = merge_axes(shape, axes, [result.strides, *_load_strides(builder, value, inline, shape)])
    points = PointBuilder(builder.info, inline, builder.operand, shape, loop_positions(loops, shape))
    place = points.result(value)
    sizes = [product(shape[axis] for axis in loop) for loop in loops]
    extents = tuple(points.slots.add(size) for size in sizes)
    offset: Dim = 0
    for stride, position in zip(result.strides, dimension_symbols(shape), strict=True):
        offset = offset + stride * position
    store = Store(len(points.operands), result.dtype, points.localised(offset))
    kernel = Map(extents, points.program([place]), (store,))
    work = product(shape) * _cost(builder, nodes)
    builder.call(kernel, [*points.operands, result], points.slots.sizes, Map.tasks(tuple(sizes)), work)


def _load_strides(
    builder: RegionBuilder, value: ir.Value, inline: dict[ir.Value, ir.Node], shape: Sequence[Dim]
) -> list[tuple[Dim, ...]]:
    """How each load of a group walks over the dimensions of the result."""
    found: list[tuple[Dim, ...]] = []

    def note(operand: Operand, strides: tuple[Dim, ...] | None) -> Operand:
        # a load that is not affine must see every dimension by itself: strides that merge with nothing
        found.append(strides if strides is not None else tuple(range(1, len(shape) + 1)))
        return operand

    positions = {f"d{axis}": place for axis, place in enumerate(dimension_symbols(shape))}
    PointBuilder(builder.info, inline, builder.operand, shape, positions, adapt=note).result(value)
    return found


def _cost(builder: RegionBuilder, nodes: set[ir.Node]) -> int:
    records = (builder.info.records[node] for node in nodes)
    return sum(record.cost if isinstance(record, Elementwise) else 2 for record in records)


def _order(builder: RegionBuilder, nodes: set[ir.Node], shape: Sequence[Dim]) -> tuple[int, ...] | None:
    """The memory order of the result: that of the first operand of its rank that has one of its own."""
    inside = {node.outputs[0] for node in nodes}
    for node in builder.region.nodes:
        if node not in nodes:
            continue
        for leaf in node.inputs:
            if leaf is None or leaf in inside or leaf not in builder.orders:
                continue
            if len(builder.shape(leaf)) == len(shape):
                return builder.orders[leaf]
    return None


def broadcast_copy(
    builder: RegionBuilder, source: Operand, strides: tuple[Dim, ...], shape: tuple[Dim, ...], order: Sequence[int]
) -> Operand:
    """``source``, walked by ``strides`` over a shape, written out densely in an order."""
    result = builder.temporary(source.dtype, shape, order)
    builder.copy(Operand(source.buffer, source.dtype, shape, strides, source.offset), result)
    return result
