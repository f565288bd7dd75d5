"""Linear quantisation, per tensor, per axis and in blocks: QuantizeLinear, DequantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.lang import Value, promoted
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.cast import cast
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, ceildiv

__all__: list[str] = []

PRECISIONS = (dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.float64)
"""What ``precision`` of QuantizeLinear may name."""


class Linear(Elementwise):
    """What both directions have in common: scale and zero point lie along ``axis``, are single numbers, or hold one
    number for each block of ``block_size`` elements along ``axis``."""

    required = 2
    same_dtype = ()
    axis: int
    block_size: int

    def axes(self, ctx: InferContext, index: int) -> tuple[int, ...] | None:
        rank, own = ctx.input(0).rank, ctx.input(index).rank
        if index == 0 or rank is None or own != 1 or self.block_size:
            return None
        return (self.axis % rank,) if rank else None

    def place(self, ctx: InferContext, index: int, position: Sequence[Dim]) -> tuple[Dim, ...] | None:
        if index == 0 or not self.block_size or not position:
            return None
        axis = self.axis % len(position)
        return (*position[:axis], position[axis] // self.block_size, *position[axis + 1 :])

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        x, scale = ctx.input(0), ctx.input(1)
        if x.shape is None or scale.shape is None:
            return x.shape
        if self.block_size:
            self._check_blocks(ctx, x.shape)
            return x.shape
        if len(scale.shape) > 1:
            ctx.fail(f"without block_size the scale must have at most one dimension, got {list(scale.shape)}")
        if scale.shape and scale.shape != (1,):
            self._check_axis(ctx, len(x.shape))
            size = x.shape[self.axis]
            ctx.require_equal(
                scale.shape[0], size, f"the scale has {scale.shape[0]} numbers for an axis of size {size}"
            )
        zero_point = ctx.optional(2)
        if zero_point is not None and zero_point.shape is not None and _along_axis(zero_point) != _along_axis(scale):
            ctx.fail(f"zero point {list(zero_point.shape)} and scale {list(scale.shape)} must have one shape")
        return x.shape

    def _check_axis(self, ctx: InferContext, rank: int) -> None:
        if not -rank <= self.axis < rank:
            ctx.fail(f"attribute 'axis' is {self.axis}, out of range for {rank} dimensions")

    def _check_blocks(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        if self.block_size < 0:
            ctx.fail(f"attribute 'block_size' is {self.block_size}; it must not be negative")
        self._check_axis(ctx, len(shape))
        axis = self.axis % len(shape)
        blocks = (*shape[:axis], ceildiv(shape[axis], self.block_size), *shape[axis + 1 :])
        for info, what in ((ctx.optional(1), "scale"), (ctx.optional(2), "zero point")):
            if info is None or info.shape is None:
                continue
            message = f"in blocks of {self.block_size} the {what} must be {list(blocks)}, got {list(info.shape)}"
            if len(info.shape) != len(blocks):
                ctx.fail(message)
            for got, wanted in zip(info.shape, blocks, strict=True):
                ctx.require_equal(got, wanted, message)

    def output_type(self, ctx: InferContext, code: int) -> DType:
        """The dtype that attribute ``output_dtype`` names."""
        try:
            return dtypes.from_onnx(code)
        except KeyError:
            ctx.fail(f"attribute 'output_dtype' is {code}, which is no element type of ONNX")


def _along_axis(info: TensorInfo) -> bool:
    """Whether there is a number for each place of the axis: a vector of one number counts as that number."""
    return info.shape not in ((), (1,))


@op("QuantizeLinear")
class QuantizeLinear(Linear):
    """saturate(round(x / scale) + zero_point), halves to even; saturate(x / scale + zero_point) for floats.

    The quotient is computed in the type ``precision``; without it in that of x and scale where they agree, else in one
    that holds both.
    """

    cost = 10
    kinds = "fi"
    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0
    precision: int = 0
    saturate: int = 1

    def specialise(self, inputs: Sequence[DType | None]) -> tuple[Elementwise, tuple[int, ...]]:
        x, scale, *zero_point = inputs
        precision = self.precision
        if not precision and x is not None and scale is not None:
            whole = x.is_integer or scale.is_integer
            precision = (dtypes.float64 if whole else x if x == scale else dtypes.float32).onnx
        target = zero_point[0] if zero_point and zero_point[0] else None
        output = target.onnx if target is not None else self.output_dtype or dtypes.uint8.onnx
        _, indices = super().specialise(inputs)
        return replace(self, precision=precision, output_dtype=output), indices

    def compute(self, *values: Value) -> Value:
        x, scale, *zero_point = values
        b, target = x.b, dtypes.from_onnx(self.output_dtype)
        precision = dtypes.from_onnx(self.precision)
        wide = promoted(precision) or precision
        quotient = (_rounded(x, precision) / _rounded(scale, precision)).to(precision).to(wide)
        result = b.round_even(quotient) if target.is_integer else quotient
        if zero_point:
            result = result + zero_point[0].to(wide)
        if target.is_integer:
            return b.saturate(result, target).to(promoted(target) or target)
        return cast(result, target, bool(self.saturate))

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        zero_point = ctx.optional(2)
        if self.output_dtype:
            named = self.output_type(ctx, self.output_dtype)
            if zero_point is not None and zero_point.dtype not in (None, named):
                ctx.fail(f"attribute 'output_dtype' is {named}, but the zero point is {zero_point.dtype}")
            return (named,)
        return (dtypes.uint8 if zero_point is None else zero_point.dtype,)

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        return self.precision in (0, *(dtype.onnx for dtype in PRECISIONS)) and super().lowers(inputs[:2])


def _rounded(value: Value, dtype: DType) -> Value:
    return value.to(dtype).to(promoted(dtype) or dtype)


@op("DequantizeLinear")
class DequantizeLinear(Linear):
    """(x - zero_point) * scale."""

    cost = 3
    kinds = "fiu"
    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0

    def compute(self, *values: Value) -> Value:
        x, scale, *zero_point = values
        wide = scale.dtype
        number = x.to(wide)
        if zero_point:
            number = number - zero_point[0].to(wide)
        return number * scale

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        return (self.output_type(ctx, self.output_dtype) if self.output_dtype else ctx.input(1).dtype,)
