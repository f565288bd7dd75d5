"""Lowering of a region: nodes to kernel calls on buffers.

``RegionBuilder.run`` walks the nodes in order. Views only change how memory is looked at; each group becomes one call
of a fused map or the calls of its anchor. The result is a list of ``Call`` on numbered ``Buffer``; where buffers lie is
decided afterwards (``memory``), and the native code that makes the calls is ``driver``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.compiler.grouping import Group, group_nodes
from sardonyx.compiler.lowering import Lowering
from sardonyx.compiler.maps import copy_call, lower_map
from sardonyx.compiler.steps import Region, is_known
from sardonyx.compiler.strides import dense_strides, is_dense
from sardonyx.dtypes import DType
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import IndexValue, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.ops.base import View
from sardonyx.ops.inference import GraphInfo, node_label
from sardonyx.symbols import Dim, free_symbols, known_equal, product, substitute, symbol
from sardonyx.targets import Target

__all__ = ["Buffer", "Call", "RegionBuilder"]


@dataclass
class Buffer:
    """A piece of memory. ``kind`` is input, output, weight, prepared or temporary; ``place`` counts within the kind."""

    kind: str
    place: int
    size: Dim
    """Bytes."""


@dataclass(frozen=True)
class Call:
    """One kernel call; ``work`` is about its number of floating-point operations."""

    kernel: Kernel
    operands: tuple[Operand, ...]
    sizes: tuple[Dim, ...]
    tasks: Dim
    work: Dim
    label: str


class RegionBuilder:
    """Lowers one region for a target."""

    def __init__(self, region: Region, info: GraphInfo, target: Target) -> None:
        self.region = region
        self.info = info
        self.target = target
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.prepare_calls: list[Call] = []
        self.weights: list[npt.NDArray[Any]] = []
        self.prepared_sizes: list[int] = []
        self.orders: dict[ir.Value, tuple[int, ...]] = {}
        self.label = ""
        self._operands: dict[ir.Value, Operand] = {}
        self._prepared: dict[str, Operand] = {}
        self._output_places = {value: place for place, value in enumerate(region.outputs)}

    def run(self) -> None:
        """Fills ``calls``, ``prepare_calls``, ``buffers`` and ``weights``."""
        for place, value in enumerate(self.region.inputs):
            self._operands[value] = self._dense(value, self._add_buffer("input", place, value))
        groups = {group.sink: group for group in group_nodes(self.region, self.info)}
        for node in self.region.nodes:
            self.label = node_label(node)
            if node in groups:
                self._lower_group(groups[node])
            elif isinstance(self.info.records[node], View) and not all(is_known(self.info.of(v)) for v in node.outputs):
                self._lower_view(node)
        for place, value in enumerate(self.region.outputs):
            self._finish_output(place, value)

    def _lower_group(self, group: Group) -> None:
        if group.anchor is None:
            lower_map(self, group)
        else:
            Lowering(self, group, group.anchor).run()

    # -- memory --------------------------------------------------------------------------------------------------

    def add_buffer(self, kind: str, place: int, size: Dim) -> int:
        self.buffers.append(Buffer(kind, place, size))
        return len(self.buffers) - 1

    def _add_buffer(self, kind: str, place: int, value: ir.Value) -> int:
        return self.add_buffer(kind, place, self.bytes_of(value))

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        shape = self.info.of(value).shape
        if shape is None:
            raise AssertionError(f"{value.name!r} has no known rank in a native region")
        return shape

    def dtype(self, value: ir.Value) -> DType:
        dtype = self.info.of(value).dtype
        if dtype is None:
            raise AssertionError(f"{value.name!r} has no known dtype in a native region")
        return dtype

    def bytes_of(self, value: ir.Value) -> Dim:
        return product(self.shape(value)) * self.dtype(value).itemsize

    def _dense(self, value: ir.Value, buffer: int, order: Sequence[int] | None = None) -> Operand:
        shape = self.shape(value)
        return Operand(buffer, self.dtype(value), shape, dense_strides(shape, order))

    def temporary(self, dtype: DType, shape: tuple[Dim, ...], order: Sequence[int] | None = None) -> Operand:
        """Memory that lives from its first to its last call."""
        buffer = self.add_buffer("temporary", 0, product(shape) * dtype.itemsize)
        return Operand(buffer, dtype, shape, dense_strides(shape, order))

    def allocate(self, value: ir.Value, order: Sequence[int] | None = None) -> Operand:
        """Memory for a value: the region's output where it goes there in row-major order, else temporary."""
        shape = self.shape(value)
        row_major = all(
            known_equal(a, b) or size == 1
            for a, b, size in zip(dense_strides(shape, order), dense_strides(shape), shape, strict=True)
        )
        if value in self._output_places and row_major:
            operand = self._dense(value, self._add_buffer("output", self._output_places[value], value))
        else:
            operand = self.temporary(self.dtype(value), shape, order)
        self.bind(value, operand, order)
        return operand

    def bind(self, value: ir.Value, operand: Operand, order: Sequence[int] | None = None) -> None:
        """Says where a value lies from now on, and in which order its dimensions."""
        self._operands[value] = operand
        if order is not None and tuple(order) != tuple(range(len(order))):
            self.orders[value] = tuple(order)

    def operand(self, value: ir.Value) -> Operand:
        """Where a value lies; constants and known sizes are put into memory when first asked for."""
        known = self._operands.get(value)
        if known is not None:
            return known
        info = self.info.of(value)
        if info.const is not None:
            operand = self.weight(info.const, self.dtype(value))
        elif info.values is not None:
            operand = self._store_sizes(value, info.values)
        else:
            raise AssertionError(f"{value.name!r} is read before it is computed")
        self._operands[value] = operand
        return operand

    def weight(self, array: npt.NDArray[Any], dtype: DType) -> Operand:
        """A constant array as an operand."""
        dense = np.ascontiguousarray(array).reshape(array.shape)
        self.weights.append(dense)
        buffer = self.add_buffer("weight", len(self.weights) - 1, dense.nbytes)
        shape = tuple(int(size) for size in array.shape)
        return Operand(buffer, dtype, shape, dense_strides(shape))

    def prepared(
        self, dtype: DType, count: int, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: int
    ) -> Operand:
        """Memory filled once at load by a kernel; see ``LowerContext.prepared``."""
        key = repr((dtype, count, kernel, operands, sizes, tasks))
        if key not in self._prepared:
            self.prepared_sizes.append(count * dtype.itemsize)
            buffer = self.add_buffer("prepared", len(self.prepared_sizes) - 1, count * dtype.itemsize)
            result = Operand(buffer, dtype, (count,), (1,))
            self.prepare_calls.append(Call(kernel, (result, *operands), tuple(sizes), tasks, count, self.label))
            self._prepared[key] = result
        return self._prepared[key]

    def call(self, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: Dim, work: Dim) -> None:
        self.calls.append(Call(kernel, tuple(operands), tuple(sizes), tasks, work, self.label))

    # -- moving data ---------------------------------------------------------------------------------------------

    def copy(self, source: Operand, destination: Operand) -> None:
        """Copies between views of one shape and dtype."""
        kernel, sizes, tasks = copy_call(source, destination)
        self.call(kernel, (source, destination), sizes, tasks, product(source.shape))

    def contiguous(self, operand: Operand, order: Sequence[int] | None = None) -> Operand:
        """An operand dense in an order, copied where it is not."""
        if is_dense(operand, order):
            return operand
        result = self.temporary(operand.dtype, operand.shape, order)
        self.copy(operand, result)
        return result

    def _lower_view(self, node: ir.Node) -> None:
        record, ctx = self.info.records[node], self.info.contexts[node]
        source = node.inputs[0]
        if not isinstance(record, View) or source is None:
            raise AssertionError("not a view")
        outputs = [self.info.of(value) for value in node.outputs]
        operand = self.operand(source)
        views = record.view(ctx, outputs, operand)
        if views is None:
            views = record.view(ctx, outputs, self.contiguous(operand))
        if views is None:
            raise AssertionError(f"{node.op_type} cannot view a contiguous tensor")
        for value, view in zip(node.outputs, views, strict=True):
            self.bind(value, view)
            if len(view.shape) == len(operand.shape) and source in self.orders:
                self._keep_order(value, view, self.orders[source])

    def _keep_order(self, value: ir.Value, view: Operand, order: tuple[int, ...]) -> None:
        """A slice of a channels-last tensor is walked best in the same order; a transposed one is not."""
        if view.strides and known_equal(view.strides[order[-1]], 1):
            self.orders[value] = order

    def _store_sizes(self, value: ir.Value, values: Sequence[Dim]) -> Operand:
        """Known sizes that a kernel reads as data."""
        operand = self.temporary(self.dtype(value), self.shape(value))
        slots = Slots()
        expressions = [substitute(dim, {name: slots.add(symbol(name)) for name in free_symbols(dim)}) for dim in values]
        program = PointProgram(
            tuple(IndexValue(e) for e in expressions), tuple(range(len(values))), 0, len(slots.sizes)
        )
        stores = tuple(Store(0, operand.dtype, place) for place in range(len(values)))
        if values:
            self.call(Map((1,), program, stores), (operand,), slots.sizes, 1, 0)
        return operand

    # -- outputs -------------------------------------------------------------------------------------------------

    def _finish_output(self, place: int, value: ir.Value) -> None:
        """Sees to it that a region's output lies in its own buffer, row-major."""
        operand = self.operand(value)
        buffer = self.buffers[operand.buffer]
        if buffer.kind == "output" and buffer.place == place:
            return
        whole = is_dense(operand) and operand.offset == 0 and known_equal(buffer.size, self.bytes_of(value))
        if buffer.kind == "temporary" and whole:
            self.buffers[operand.buffer] = replace(buffer, kind="output", place=place)
            return
        self.copy(operand, self._dense(value, self._add_buffer("output", place, value)))
