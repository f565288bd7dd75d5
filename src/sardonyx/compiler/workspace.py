"""The workspace of a region that is being lowered: its buffers, its kernel calls, and where each value lies.

Values are strided views (``Operand``) of numbered buffers. Where the buffers lie in memory is decided afterwards
(``memory``), and the native code that makes the calls is ``driver``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.compiler.steps import Region
from sardonyx.compiler.strides import dense_strides, is_dense
from sardonyx.dtypes import DType
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import IndexValue, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.kernels.transpose import Transpose
from sardonyx.ops.inference import GraphInfo
from sardonyx.symbols import Dim, free_symbols, known_equal, product, substitute, symbol
from sardonyx.targets import Target

__all__ = ["Buffer", "Call", "Workspace"]


@dataclass
class Buffer:
    """A piece of memory. ``kind`` is input, output, weight, prepared, temporary or count; ``place`` counts within the
    kind."""

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


class Workspace:
    """What lowering reads and writes.

    ``label`` names the node that is being lowered; ``orders`` has the memory order of values that do not lie row-major,
    outermost dimension first. ``keys``: the place among the weights and the number of the words that every run draws.
    """

    def __init__(self, region: Region, info: GraphInfo, target: Target, exact_convolution: bool = False) -> None:
        self.region = region
        self.info = info
        self.target = target
        self.exact_convolution = exact_convolution
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.prepare_calls: list[Call] = []
        self.weights: list[npt.NDArray[Any]] = []
        self.prepared_sizes: list[int] = []
        self.orders: dict[ir.Value, tuple[int, ...]] = {}
        self.label = ""
        self.keys: tuple[int, int] | None = None
        self.counters: dict[str, Operand] = {}
        counted = {name for node in region.nodes for name in info.counted.get(node, ())}
        self._limits = {name: info.symbols.limits[name] for name in counted}
        self._operands: dict[ir.Value, Operand] = {}
        self._prepared: dict[str, Operand] = {}
        self._output_places = {value: place for place, value in enumerate(region.outputs)}
        for place, value in enumerate(region.inputs):
            self._operands[value] = self.edge("input", place, value)

    # -- memory --------------------------------------------------------------------------------------------------

    def add_buffer(self, kind: str, place: int, size: Dim) -> int:
        self.buffers.append(Buffer(kind, place, size))
        return len(self.buffers) - 1

    def edge(self, kind: str, place: int, value: ir.Value) -> Operand:
        """An input or output of the region: row-major, in a buffer of its own."""
        shape = self.shape(value)
        return Operand(
            self.add_buffer(kind, place, self.bytes_of(value)), self.dtype(value), shape, dense_strides(shape)
        )

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """The sizes of a value; of one whose sizes are counted in this region, the most that they can be."""
        shape = self.info.of(value).shape
        if shape is None:
            raise AssertionError(f"{value.name!r} has no known rank in a native region")
        return tuple(substitute(size, self._limits) for size in shape)

    def counter(self, name: str) -> Operand:
        """One int64 where kernels put the number that a counted symbol stands for."""
        if name not in self.counters:
            buffer = self.add_buffer("count", len(self.counters), 8)
            self.counters[name] = Operand(buffer, dtypes.int64, (1,), (1,))
        return self.counters[name]

    def dtype(self, value: ir.Value) -> DType:
        return self.info.dtype(value)

    def bytes_of(self, value: ir.Value) -> Dim:
        return product(self.shape(value)) * self.dtype(value).itemsize

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
            operand = self.edge("output", self._output_places[value], value)
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

    def key(self) -> Operand:
        """A uint64 of its own for the node that asks, drawn anew by every run."""
        if self.keys is None:
            self._keys = self.weight(np.zeros(0, np.uint64), dtypes.uint64)
            self.keys = len(self.weights) - 1, 0
        place, count = self.keys
        self.keys = place, count + 1
        self.weights[place] = np.zeros(count + 1, np.uint64)
        self.buffers[self._keys.buffer].size = 8 * (count + 1)
        return replace(self._keys, shape=(1,), strides=(1,), offset=count)

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
        kernel, sizes, tasks = Transpose.plan(source.shape, source.strides, destination.strides, source.dtype)
        self.call(kernel, (source, destination), sizes, tasks, product(source.shape))

    def contiguous(self, operand: Operand, order: Sequence[int] | None = None) -> Operand:
        """An operand dense in an order, copied where it is not."""
        if is_dense(operand, order):
            return operand
        result = self.temporary(operand.dtype, operand.shape, order)
        self.copy(operand, result)
        return result

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
