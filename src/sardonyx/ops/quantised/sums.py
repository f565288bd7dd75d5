"""What is done to integer sums before they leave registers, as a point program under construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.nest import Nest
from sardonyx.kernels.point import (
    Apply,
    Carried,
    Constant,
    IndexValue,
    Instruction,
    Load,
    PointOp,
    PointProgram,
    compute_dtype,
)
from sardonyx.kernels.point_ops import Convert
from sardonyx.kernels.reduce import Reduce
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.lang import Value
from sardonyx.ops.base import Fused, LowerContext
from sardonyx.ops.loops import CallPlan, identity_epilogue, strided_element
from sardonyx.symbols import Dim, product

__all__ = ["Quantise", "Requantise", "SumProgram", "sums_of"]


@dataclass(frozen=True)
class Requantise:
    """saturate(round(sum * scale) + zero point), halves to even, computed in float32."""

    dtype: DType
    cost: int = 8

    def compute(self, *values: Value) -> Value:
        total, scale, zero_point = values
        b = total.b
        rounded = b.round_even(total.to(dtypes.float32) * scale.to(dtypes.float32))
        return clamped(rounded + zero_point.to(dtypes.float32), self.dtype)


def clamped(value: Value, dtype: DType) -> Value:
    """A whole number in float32, clipped to the range of bytes; NaN, which no scale of a sound model gives, is low."""
    b, (low, high) = value.b, (-128.0, 127.0) if dtype is dtypes.int8 else (0.0, 255.0)
    above = b.select(value > low, value, low)
    return b.truncated(b.select(above < high, above, high), dtype)


@dataclass(frozen=True)
class Quantise:
    """saturate(round(x / scale) + zero point), halves to even."""

    dtype: DType
    cost: int = 10

    def compute(self, *values: Value) -> Value:
        x, scale, zero_point = values
        return x.b.saturate(x.b.round_even(x / scale) + zero_point.to(dtypes.float32), self.dtype)


class SumProgram:
    """A straight line of instructions on one int32 sum (``place`` 0), over the loops of the kernel around it."""

    def __init__(self, ctx: LowerContext) -> None:
        self.ctx = ctx
        self.instructions: list[Instruction] = [Carried(0, dtypes.int32)]
        self.operands: list[Operand] = []
        self.slots = Slots()

    def fused(self, result: int) -> Fused | None:
        """The program whose result is at a place; None where there is nothing to do."""
        if result == 0:
            return None
        program = PointProgram(tuple(self.instructions), (result,), len(self.operands), len(self.slots.sizes))
        return Fused(program, self.operands, self.slots.sizes)

    def add(self, instruction: Instruction) -> int:
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def apply(self, op: PointOp, *places: int, dtype: DType = dtypes.int32) -> int:
        return self.add(Apply(op, places, dtype))

    def number(self, value: float | int, dtype: DType = dtypes.int32) -> int:
        return self.add(Constant(value, dtype))

    def size(self, dim: Dim) -> int:
        """A size as an int32."""
        return self.apply(Convert(), self.add(IndexValue(self.slots.add(dim))))

    def load(self, operand: Operand, offset: Dim, dtype: DType) -> int:
        """An operand's element, as ``dtype``."""
        self.operands.append(operand)
        place = self.add(Load(len(self.operands) - 1, operand.dtype, offset))
        return place if compute_dtype(operand.dtype) == dtype else self.apply(Convert(), place, dtype=dtype)

    def input(self, index: int, offset: Callable[[Operand], Dim], dtype: DType) -> int:
        """An input's element: a number where it is a constant of one element, else loaded at an offset."""
        known = self.ctx.const(index)
        if known is not None and known.size == 1:
            return self.number(
                known.reshape(-1)[0].item() if known.dtype.kind in "iu" else float(known.reshape(-1)[0]), dtype
            )
        operand = self.ctx.input(index)
        return self.load(operand, 0 if all(size == 1 for size in operand.shape) else offset(operand), dtype)

    def vector(self, array: npt.NDArray[np.generic], offset: Dim) -> int:
        """A computed constant, one number for each of the places that ``offset`` goes through."""
        operand = self.ctx.constant(np.ascontiguousarray(array))
        return self.load(operand, offset, operand.dtype)


def sums_of(ctx: LowerContext, operand: Operand, axis: int) -> Operand:
    """The int32 sums of an operand of integers along one dimension, dense over the others."""
    kept = [k for k in range(operand.rank) if k != axis]
    shape = tuple(operand.shape[k] for k in kept)
    result = ctx.scratch(dtypes.int32, product(shape))
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step = step * size
    steps: list[Dim] = [0] * operand.rank
    for place, stride in zip(kept, strides, strict=True):
        steps[place] = stride
    plan = CallPlan()
    unit = next((k for k in reversed(range(operand.rank)) if operand.strides[k] == 1), axis)
    nest = Nest(tuple(plan.slot(size) for size in operand.shape), (axis,), unit)
    count, store = plan.slot(0), plan.store(result, steps)
    element = plan.part(strided_element(operand, operand.strides))
    epilogue = plan.part(identity_epilogue(dtypes.int32))
    kernel = Reduce(nest, "sum", "", "", dtypes.int32, dtypes.int32, count, element, epilogue, (store,))
    plan.call(ctx, kernel, nest.tasks(), product(operand.shape))
    return Operand(result.buffer, dtypes.int32, shape, tuple(strides), result.offset)
