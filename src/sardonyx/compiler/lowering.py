"""What an anchor's ``lower`` works with: the ``LowerContext`` of one node and its group."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.compiler.maps import broadcast_copy
from sardonyx.compiler.points import PointBuilder, loop_positions
from sardonyx.compiler.strides import mergeable
from sardonyx.dtypes import DType, carrier
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.ops.base import Anchor, Fused
from sardonyx.symbols import Dim, free_symbols

if TYPE_CHECKING:
    from sardonyx.compiler.grouping import Group
    from sardonyx.compiler.workspace import Workspace

__all__ = ["Lowering"]


class Lowering:
    """Implements ``LowerContext`` for the anchor of a group."""

    def __init__(self, space: Workspace, group: Group, node: ir.Node) -> None:
        self.space = space
        self.group = group
        self.node = node
        self.target = space.target
        self.exact_convolution = space.exact_convolution
        self.infer = space.info.contexts[node]
        self.inputs: tuple[TensorInfo | None, ...] = self.infer.inputs
        self.outputs: tuple[TensorInfo, ...] = tuple(space.info.of(value) for value in node.outputs)

    def run(self) -> None:
        """Emits the anchor's calls."""
        record = self.space.info.records[self.node]
        if not isinstance(record, Anchor):
            raise AssertionError("not an anchor")
        record.lower(self)

    # -- operands ------------------------------------------------------------------------------------------------

    def _source(self, index: int) -> ir.Value:
        value = self.node.inputs[index]
        if value is None:
            raise AssertionError(f"input {index} was omitted")
        return value

    def input(self, index: int) -> Operand:
        return self.space.operand(self._source(index))

    def order(self, index: int) -> tuple[int, ...] | None:
        """The memory order of an input, outermost dimension first; None: row-major or unknown."""
        return self.space.orders.get(self._source(index))

    def contiguous(self, index: int, order: Sequence[int] | None = None) -> Operand:
        return self.space.contiguous(self.input(index), order)

    def const(self, index: int) -> npt.NDArray[Any] | None:
        return self.infer.const(index)

    def output(self, index: int = 0, order: Sequence[int] | None = None) -> Operand:
        value = self.group.sink.outputs[0] if index == 0 else self.node.outputs[index]
        return self.space.allocate(value, order)

    def wanted(self, index: int) -> bool:
        if index >= len(self.node.outputs):
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or value in self.space.region.outputs

    def counter(self, size: Dim) -> Operand:
        (name,) = free_symbols(size)
        return self.space.counter(name)

    def scratch(self, dtype: DType, count: Dim) -> Operand:
        return self.space.temporary(dtype, (count,))

    def temporary(self, dtype: DType, shape: tuple[Dim, ...], order: Sequence[int] | None = None) -> Operand:
        """Scratch memory with a shape."""
        return self.space.temporary(dtype, shape, order)

    def prepared(
        self, dtype: DType, count: int, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: int
    ) -> Operand:
        return self.space.prepared(dtype, count, kernel, operands, sizes, tasks)

    def constant(self, array: npt.NDArray[np.generic]) -> Operand:
        return self.space.weight(array, carrier(dtypes.from_numpy(array.dtype)))

    def key(self) -> Operand:
        return self.space.key()

    def copy(self, source: Operand, destination: Operand) -> None:
        """Copies between views of one shape and dtype."""
        self.space.copy(source, destination)

    def call(
        self, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: Dim, work: Dim = 0
    ) -> None:
        self.space.call(kernel, operands, sizes, tasks, work)

    # -- fused work ----------------------------------------------------------------------------------------------

    def epilogue(self, loops: Sequence[Sequence[int]]) -> Fused:
        shape = self.outputs[0].shape or ()
        members = (self.group.members | {self.group.sink}) - self.group.prologue - {self.node}
        inline = {node.outputs[0]: node for node in members}
        carried = {self.node.outputs[0]: 0}
        return self._program(self.group.sink.outputs[0], shape, loops, inline, carried)

    def element(self, index: int, loops: Sequence[Sequence[int]]) -> Fused:
        value = self._source(index)
        inline = {node.outputs[0]: node for node in self.group.prologue}
        return self._program(value, self.space.shape(value), loops, inline, {})

    def _program(
        self,
        value: ir.Value,
        shape: tuple[Dim, ...],
        loops: Sequence[Sequence[int]],
        inline: dict[ir.Value, ir.Node],
        carried: dict[ir.Value, int],
    ) -> Fused:
        def adapt(operand: Operand, strides: tuple[Dim, ...] | None) -> Operand:
            return self._walkable(operand, strides, shape, loops)

        positions = loop_positions(loops, shape)
        points = PointBuilder(self.space.info, inline, self.space.operand, shape, positions, carried, adapt)
        place = points.result(value)
        return Fused(points.program([place]), points.operands, points.slots.sizes)

    def _walkable(
        self, operand: Operand, strides: tuple[Dim, ...] | None, shape: tuple[Dim, ...], loops: Sequence[Sequence[int]]
    ) -> Operand:
        """An operand that the anchor's flattened loops can walk: copied to full size where its strides forbid it."""
        if strides is None:
            raise AssertionError("a load that is not affine beside an anchor")
        for loop in loops:
            axes = [axis for axis in loop if shape[axis] != 1]
            for outer, inner in itertools.pairwise(axes):
                if not mergeable([strides], shape, outer, inner):
                    return broadcast_copy(self.space, operand, strides, shape, [axis for one in loops for axis in one])
        return operand
