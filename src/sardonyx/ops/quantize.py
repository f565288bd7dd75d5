"""Linear quantisation, per tensor and per axis: QuantizeLinear, DequantizeLinear."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise, InferContext, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__: list[str] = []


class Linear(Elementwise):
    """What both directions have in common: scale and zero point lie along ``axis``, or are single numbers."""

    required = 2
    same_dtype = ()
    axis: int
    block_size: int

    def axes(self, ctx: InferContext, index: int) -> tuple[int, ...] | None:
        rank, own = ctx.input(0).rank, ctx.input(index).rank
        if index == 0 or rank is None or own != 1:
            return None
        return (self.axis % rank,) if rank else None

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        x, scale = ctx.input(0), ctx.input(1)
        if x.rank is None or scale.shape is None or self.block_size:
            return x.shape
        if len(scale.shape) > 1:
            ctx.fail(f"without block_size the scale must have at most one dimension, got {list(scale.shape)}")
        if scale.shape and scale.shape != (1,):
            if not -x.rank <= self.axis < x.rank:
                ctx.fail(f"attribute 'axis' is {self.axis}, out of range for {x.rank} dimensions")
            size = (x.shape or ())[self.axis]
            ctx.require_equal(
                scale.shape[0], size, f"the scale has {scale.shape[0]} numbers for an axis of size {size}"
            )
        zero_point = ctx.optional(2)
        if zero_point is not None and zero_point.shape is not None and _along_axis(zero_point) != _along_axis(scale):
            ctx.fail(f"zero point {list(zero_point.shape)} and scale {list(scale.shape)} must have one shape")
        return x.shape

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
    """saturate(round(x / scale) + zero_point), halves to even."""

    cost = 10
    kinds = "fi"
    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0
    precision: int = 0
    saturate: int = 1

    def compute(self, *values: Value) -> Value:
        x, scale, *zero_point = values
        b = x.b
        target = zero_point[0].dtype if zero_point else dtypes.from_onnx(self.output_dtype or dtypes.uint8.onnx)
        rounded = b.round_even(x.to(dtypes.float32) / scale.to(dtypes.float32))
        if zero_point:
            rounded = rounded + zero_point[0].to(dtypes.float32)
        return b.saturate(rounded, target)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        zero_point = ctx.optional(2)
        if self.output_dtype:
            named = self.output_type(ctx, self.output_dtype)
            if zero_point is not None and zero_point.dtype not in (None, named):
                ctx.fail(f"attribute 'output_dtype' is {named}, but the zero point is {zero_point.dtype}")
            return (named,)
        return (dtypes.uint8 if zero_point is None else zero_point.dtype,)

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        x, scale, *zero_point = inputs
        target = zero_point[0] if zero_point and zero_point[0] else dtypes.from_onnx(self.output_dtype or 2)
        known = all(d is None or computable(d, self.kinds) for d in (x, scale))
        return known and not self.block_size and computable(target, "iu") and target.bits <= 16


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

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        x, scale, *zero_point = inputs
        integers = all(d is None or computable(d, "iu") for d in (x, *zero_point))
        return integers and not self.block_size and (scale is None or computable(scale, "f"))
