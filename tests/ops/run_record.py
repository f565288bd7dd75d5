"""Runs one operator record on numpy arrays, without graph or compiler: inference, lowering, kernels at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import Apply, Carried, Instruction, Load, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Kernel, Operand
from sardonyx.kernels.transpose import Transpose
from sardonyx.lang import Value
from sardonyx.lang.host import host_target
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, Fused, InferContext
from sardonyx.symbols import Dim, Expr, evaluate, symbol
from sardonyx.targets import Target

Array = npt.NDArray[Any]


class AddRelu:
    """A stand-in for a residual connection followed by Relu."""

    cost = 2

    def compute(self, x: Value, y: Value) -> Value:
        return x.b.maximum(x + y, 0)

    def __repr__(self) -> str:
        return "AddRelu()"


class Double:
    """A stand-in for a pointwise producer."""

    cost = 1

    def compute(self, x: Value) -> Value:
        return x + x

    def __repr__(self) -> str:
        return "Double()"


def _loop_offset(operand: Operand, loops: Sequence[Sequence[int]], slots: Slots) -> Dim:
    """An element's offset over loops, each of which can be walked with the stride of its last dimension."""
    offset: Dim = 0
    for place, axes in enumerate(loops):
        walked = [axis for axis in axes if operand.shape[axis] != 1]
        for outer, inner in itertools.pairwise(walked):
            assert operand.strides[outer] == operand.strides[inner] * operand.shape[inner], "the loop cannot be walked"
        if walked:
            offset = offset + symbol(f"i{place}") * slots.add(operand.strides[walked[-1]])
    return offset


class RunContext:
    """Implements ``LowerContext`` by running each call when it is made.

    ``symbolic`` replaces these (input, axis) sizes by symbols; ``residual`` is an array that the epilogue adds before a
    Relu; ``doubled`` makes twice the input the fused producer of each element; ``splits`` is the number of calls that a
    kernel's tasks are spread over; nobody reads the outputs ``unread``.
    """

    def __init__(
        self,
        record: Anchor,
        inputs: Sequence[Array | None],
        *,
        outputs: int = 1,
        constant: Sequence[int] = (),
        symbolic: Sequence[tuple[int, int]] = (),
        residual: Array | None = None,
        doubled: bool = False,
        splits: int = 1,
        unread: Sequence[int] = (),
        target: Target | None = None,
    ) -> None:
        self.unread = unread
        self.target = target or host_target()
        self.exact_convolution = False
        self.env: dict[str, int] = {}
        self.arrays: list[Array] = []
        self.splits = splits
        self.kernels: list[tuple[Kernel, list[Array], list[int], int]] = []
        infos: list[TensorInfo | None] = []
        self._inputs: list[Operand | None] = []
        for place, array in enumerate(inputs):
            if array is None:
                infos.append(None)
                self._inputs.append(None)
                continue
            dtype = dtypes.from_numpy(array.dtype)
            if place in constant:
                infos.append(TensorInfo.of_array(array, dtype))
            else:
                infos.append(
                    TensorInfo(dtype, tuple(self._size(place, a, n, symbolic) for a, n in enumerate(array.shape)))
                )
            self._inputs.append(self._operand(array, infos[-1].shape or ()))
        counter = itertools.count()

        def fresh(hint: str) -> Expr:
            return symbol(f"{hint}{next(counter)}")

        self.infer = InferContext(
            "node", type(record).op_type, tuple(infos), outputs, lambda hint: symbol(f"{hint}{next(counter)}")
        )
        self.inputs = self.infer.inputs
        self.outputs = tuple(record.infer(self.infer))
        self.results: dict[int, Array] = {}
        self.residual = residual
        self.doubled = doubled
        assert record.lowers(self.infer)
        record.lower(self)

    def _shape(self, place: int, array: Array, symbolic: Sequence[tuple[int, int]]) -> tuple[Dim, ...]:
        return tuple(self._size(place, axis, size, symbolic) for axis, size in enumerate(array.shape))

    def _size(self, place: int, axis: int, size: int, symbolic: Sequence[tuple[int, int]]) -> Dim:
        if (place, axis) not in symbolic:
            return size
        self.env[f"d{place}_{axis}"] = size
        return symbol(f"d{place}_{axis}")

    def _operand(self, array: Array, shape: Sequence[Dim]) -> Operand:
        self.arrays.append(array)
        strides: tuple[Dim, ...] = tuple(step // array.itemsize for step in array.strides)
        if array.flags.c_contiguous:
            strides = row_major(shape)
        return Operand(len(self.arrays) - 1, dtypes.from_numpy(array.dtype), tuple(shape), strides)

    def _sizes(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        return tuple(int(evaluate(d, self.env)) for d in shape)

    def _dense(self, dtype: DType, shape: Sequence[Dim], order: Sequence[int] | None) -> Array:
        sizes = self._sizes(shape)
        order = tuple(order) if order is not None else tuple(range(len(sizes)))
        memory = np.empty(int(np.prod(sizes, dtype=np.int64)), dtype.numpy)
        memory.view(np.uint8).fill(0x7F)
        return memory.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))

    def input(self, index: int) -> Operand:
        operand = self._inputs[index]
        assert operand is not None
        return operand

    def contiguous(self, index: int, order: Sequence[int] | None = None) -> Operand:
        operand = self.input(index)
        array = self._dense(operand.dtype, operand.shape, order)
        array[...] = self.arrays[operand.buffer]
        return self._operand(array, operand.shape)

    def const(self, index: int) -> Array | None:
        return self.infer.const(index)

    def output(self, index: int = 0, order: Sequence[int] | None = None) -> Operand:
        info = self.outputs[index]
        assert info.dtype is not None
        assert info.shape is not None
        self.results[index] = self._dense(info.dtype, info.shape, order)
        return self._operand(self.results[index], info.shape)

    def copy(self, source: Operand, destination: Operand) -> None:
        kernel, sizes, tasks = Transpose.plan(destination.shape, source.strides, destination.strides, destination.dtype)
        self.call(kernel, [source, destination], sizes, tasks)

    def wanted(self, index: int) -> bool:
        return index < self.infer.outputs and index not in self.unread

    def scratch(self, dtype: DType, count: Dim) -> Operand:
        return self._operand(self._dense(dtype, [count], None), [count])

    def prepared(
        self, dtype: DType, count: int, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: int
    ) -> Operand:
        memory = self.scratch(dtype, count)
        self.call(kernel, [memory, *operands], sizes, tasks)
        return memory

    def constant(self, array: Array) -> Operand:
        return self._operand(array, array.shape)

    def key(self) -> Operand:
        return self.constant(np.ones(1, np.uint64))

    def order(self, index: int) -> tuple[int, ...] | None:
        """The memory order of an input whose dimensions were permuted."""
        strides = self.arrays[self.input(index).buffer].strides
        order = tuple(sorted(range(len(strides)), key=lambda axis: -strides[axis]))
        return None if order == tuple(range(len(order))) else order

    def element(self, index: int, loops: Sequence[Sequence[int]]) -> Fused:
        operand = self.input(index)
        slots = Slots()
        load = Load(0, operand.dtype, _loop_offset(operand, loops, slots))
        if self.doubled:
            program = PointProgram((load, Apply(Double(), (0,), operand.dtype)), (1,), 1, len(slots.sizes))
        else:
            program = PointProgram((load,), (0,), 1, len(slots.sizes))
        return Fused(program, [operand], slots.sizes)

    def epilogue(self, loops: Sequence[Sequence[int]]) -> Fused:
        dtype = self.outputs[0].dtype
        assert dtype is not None
        carried: list[Instruction] = [Carried(0, dtype)]
        if self.residual is None:
            return Fused(PointProgram((carried[0],), (0,)))
        operand = self._operand(self.residual, self.residual.shape)
        slots = Slots()
        load = Load(0, operand.dtype, _loop_offset(operand, loops, slots))
        program = PointProgram((*carried, load, Apply(AddRelu(), (0, 1), dtype)), (2,), 1, len(slots.sizes))
        return Fused(program, [operand], slots.sizes)

    def call(
        self, kernel: Kernel, operands: Sequence[Operand], sizes: Sequence[Dim], tasks: Dim, work: Dim = 0
    ) -> None:
        arrays = [self._view(operand) for operand in operands]
        numbers = [int(evaluate(size, self.env)) for size in sizes]
        count = int(evaluate(tasks, self.env))
        self.kernels.append((kernel, arrays, numbers, count))
        bounds = [np.lib.array_utils.byte_bounds(self.arrays[operand.buffer]) for operand in operands]
        assert run_kernel(kernel, arrays, numbers, count, self.splits, self.target, bounds) == 0

    def _view(self, operand: Operand) -> Array:
        """An array whose data pointer is the operand's first element."""
        array = self.arrays[operand.buffer]
        offset = int(evaluate(operand.offset, self.env))
        return np.lib.stride_tricks.as_strided(array, (1,), (0,)) if offset == 0 else _shifted(array, offset)


def _shifted(array: Array, offset: int) -> Array:
    flat = np.lib.stride_tricks.as_strided(array, (offset + 1,), (array.itemsize,))
    return flat[offset:]


def run_record(record: Anchor, inputs: Sequence[Array | None], **options: Any) -> Array:
    """The first output of a record."""
    return RunContext(record, inputs, **options).results[0]
