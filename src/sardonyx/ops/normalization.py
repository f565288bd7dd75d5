"""Normalisations: layer, RMS, instance, group, batch, Lp and mean-variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.lang import Value
from sardonyx.ops.axes import axis_of, distinct_axes
from sardonyx.ops.base import Elementwise, InferContext, LowerContext, broadcast_shapes
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.normalizing import Lowering, Normalization, Statistics, check_channels, per_channel
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = [
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LpNormalization",
    "MeanVarianceNormalization",
    "RMSNormalization",
]

FLOAT = 1
BFLOAT16 = 16


def check_beside(ctx: InferContext, shape: tuple[Dim, ...], index: int) -> None:
    """An operand that is broadcast to the input must not be larger than it."""
    info = ctx.optional(index)
    if info is None or info.shape is None:
        return
    result = broadcast_shapes(ctx, [shape, info.shape])
    if result is None or len(result) != len(shape):
        ctx.fail(f"input {index} of shape {list(info.shape)} does not broadcast to input 0 of shape {list(shape)}")
    for axis, (size, wanted) in enumerate(zip(result, shape, strict=True)):
        message = f"input {index} of shape {list(info.shape)} must broadcast to input 0: axis {axis} is {wanted} there"
        ctx.require_equal(size, wanted, message)


@op("LayerNormalization")
class LayerNormalization(Normalization):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over the dimensions from ``axis`` on.

    Outputs 1 and 2, where named, are the mean and the inverse standard deviation, in the type that ``stash_type`` says.
    """

    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        (result,) = super().infer(ctx)
        ctx.input(1)
        if ctx.outputs == 1:
            return (result,)
        statistics = None
        if result.shape is not None:
            axis = axis_of(ctx, self.axis, len(result.shape))
            statistics = (*result.shape[:axis], *[1] * (len(result.shape) - axis))
        dtype = dtypes.bfloat16 if self.stash_type == BFLOAT16 else dtypes.float32
        return (result, *[TensorInfo(dtype, statistics)] * (ctx.outputs - 1))

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        axis_of(ctx, self.axis, len(shape))
        for index in (1, 2):
            check_beside(ctx, shape, index)

    def lowers(self, ctx: InferContext) -> bool:
        return super().lowers(ctx) and self.stash_type in (FLOAT, BFLOAT16)

    def lower(self, ctx: LowerContext) -> None:
        rank = len(ctx.infer.input(0).shape or ())
        axes = range(axis_of(ctx.infer, self.axis, rank), rank)
        bias = ctx.contiguous(2) if ctx.infer.optional(2) is not None else None
        Lowering(ctx, axes, Statistics(epsilon=self.epsilon), ctx.contiguous(1), bias).emit()


@op("RMSNormalization")
class RMSNormalization(Normalization):
    """x / sqrt(mean(x * x) + epsilon) * scale, over the dimensions from ``axis`` on; in the type of scale."""

    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        (result,) = super().infer(ctx)
        return (replace(result, dtype=ctx.input(1).dtype),)

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        axis_of(ctx, self.axis, len(shape))
        check_beside(ctx, shape, 1)

    def lowers(self, ctx: InferContext) -> bool:
        return super().lowers(ctx) and self.stash_type in (FLOAT, BFLOAT16)

    def lower(self, ctx: LowerContext) -> None:
        rank = len(ctx.infer.input(0).shape or ())
        axes = range(axis_of(ctx.infer, self.axis, rank), rank)
        Lowering(ctx, axes, Statistics(centered=False, epsilon=self.epsilon), ctx.contiguous(1)).emit()


@op("InstanceNormalization")
class InstanceNormalization(Normalization):
    """Each channel of each element of the batch normalised by itself, then scaled and shifted by channel."""

    epsilon: float = 1e-5

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        ctx.input(1), ctx.input(2)
        check_channels(ctx, shape, (1, 2))

    def lower(self, ctx: LowerContext) -> None:
        rank = len(ctx.infer.input(0).shape or ())
        scale, bias = (per_channel(ctx.contiguous(index), rank) for index in (1, 2))
        Lowering(ctx, range(2, rank), Statistics(epsilon=self.epsilon), scale, bias).emit()


@op("GroupNormalization")
class GroupNormalization(Normalization):
    """Groups of adjacent channels normalised together, then scaled and shifted by channel."""

    num_groups: int
    epsilon: float = 1e-5
    stash_type: int = 1

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        ctx.input(1), ctx.input(2)
        check_channels(ctx, shape, (1, 2))
        if self.num_groups < 1:
            ctx.fail(f"num_groups must be at least 1, got {self.num_groups}")
        ctx.require_equal(shape[1] % self.num_groups, 0, f"{shape[1]} channels do not make {self.num_groups} groups")

    def lowers(self, ctx: InferContext) -> bool:
        return super().lowers(ctx) and self.stash_type in (FLOAT, BFLOAT16)

    def lower(self, ctx: LowerContext) -> None:
        shape = ctx.infer.input(0).shape or ()
        scale, bias = (per_channel(ctx.contiguous(index), len(shape)) for index in (1, 2))
        width = shape[1] // self.num_groups
        Lowering(ctx, range(2, len(shape)), Statistics(epsilon=self.epsilon), scale, bias, width).emit()


@op("LpNormalization")
class LpNormalization(Normalization):
    """x divided by the sum of absolute values (p = 1) or the root of the sum of squares (p = 2) along ``axis``."""

    axis: int = -1
    p: int = 2

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        axis_of(ctx, self.axis, len(shape))
        if self.p not in (1, 2):
            ctx.fail(f"p must be 1 or 2, got {self.p}")

    def lower(self, ctx: LowerContext) -> None:
        axis = axis_of(ctx.infer, self.axis, len(ctx.infer.input(0).shape or ()))
        Lowering(ctx, (axis,), Statistics(f"l{self.p}", centered=False)).emit()


@op("MeanVarianceNormalization")
class MeanVarianceNormalization(Normalization):
    """(x - mean) / (standard deviation + 1e-9) over ``axes``."""

    axes: tuple[int, ...] = (0, 2, 3)

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        distinct_axes(ctx, self.axes, len(shape))

    def lower(self, ctx: LowerContext) -> None:
        axes = distinct_axes(ctx.infer, self.axes, len(ctx.infer.input(0).shape or ()))
        Lowering(ctx, axes, Statistics("deviation", epsilon=1e-9)).emit()


@op("BatchNormalization")
class BatchNormalization(Elementwise, Reducible):
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, by channel.

    In training mode the statistics are those of the batch, and outputs 1 and 2 are the running ones.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0

    cost: ClassVar[int] = 12
    required: ClassVar[int] = 5
    kinds: ClassVar[str] = "f"
    same_dtype: ClassVar[tuple[int, ...] | None] = (0,)

    def compute(self, *values: Value) -> Value:
        x, scale, bias, mean, variance = (value.to(values[0].dtype) for value in values)
        factor = scale / x.b.sqrt(variance + self.epsilon)
        return (x - mean) * factor + bias

    def axes(self, ctx: InferContext, index: int) -> tuple[int, ...] | None:
        return (1,) if index else None

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        return not self.training_mode and super().lowers(inputs)

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        shape = ctx.input(0).shape
        if shape is not None:
            check_channels(ctx, shape, (1, 2, 3, 4))
        return shape

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        (result,) = super().infer(ctx)
        statistics = [TensorInfo(ctx.input(index).dtype, ctx.input(index).shape) for index in (3, 4)]
        return (result, *statistics[: ctx.outputs - 1]) if self.training_mode else (result,)

    def expands(self, ctx: InferContext) -> bool:
        return bool(self.training_mode) and ctx.input(0).shape is not None

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        x, scale, bias, *running = (b.input(k) for k in range(5))
        axes = [axis for axis in range(b.rank(x)) if axis != 1]
        wide = b.cast(x, dtypes.float64 if b.dtype(x) == dtypes.float64 else dtypes.float32)
        mean = b.op("ReduceMean", wide, b.ints(*axes))
        distance = b.op("Sub", wide, mean)
        variance = b.op("ReduceMean", b.op("Mul", distance, distance), b.ints(*axes))
        current = [b.cast(b.reshape(value, -1), b.dtype(running[0])) for value in (mean, variance)]
        result = b.op("BatchNormalization", x, scale, bias, *current, epsilon=self.epsilon)
        old, new = b.number(self.momentum, running[0]), b.number(1.0 - self.momentum, running[0])
        return result, *(
            b.op("Add", b.op("Mul", before, old), b.op("Mul", now, new))
            for before, now in zip(running, current, strict=True)
        )
