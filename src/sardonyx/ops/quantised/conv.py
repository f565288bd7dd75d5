"""ConvInteger and QLinearConv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.dot import BYTES
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.conv import conv_shape, conv_window
from sardonyx.ops.conv_lowering import product_loops
from sardonyx.ops.quantised.convolution import ConvPlaces, IntegerConv, flat_window
from sardonyx.ops.quantised.sums import Requantise
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import Window

__all__ = ["ConvInteger", "QLinearConv"]


@dataclass(frozen=True)
class QuantisedConv(Anchor):
    """What convolutions of integers have in common; ``places`` are their inputs, ``result`` gives the output's type."""

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    places: ClassVar[ConvPlaces]

    def result(self, ctx: InferContext) -> DType | None:
        """The output's type."""
        raise NotImplementedError

    def finish(self, made: IntegerConv, total: int) -> int:
        """The place of the result, made from the place of the sum."""
        return total

    def window(self, ctx: InferContext) -> Window | None:
        """The window over the input; None where its size is not known."""
        x, w = ctx.input(self.places.x), ctx.input(self.places.w)
        return conv_window(ctx, x, w, self.kernel_shape, self.strides, self.dilations, self.pads, self.auto_pad)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, w, places = ctx.input(self.places.x), ctx.input(self.places.w), self.places
        bias = None if places.bias is None else ctx.optional(places.bias)
        places.check(ctx)
        return (TensorInfo(self.result(ctx), conv_shape(ctx, x, w, bias, self.window(ctx), self.group)),)

    def lowers(self, ctx: InferContext) -> bool:
        return self.places.fits(ctx)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        x, window = ctx.input(self.places.x), self.window(ctx)
        assert x.shape is not None
        assert window is not None
        return product_loops(x.shape, flat=flat_window(window))

    def lower(self, ctx: LowerContext) -> None:
        window = self.window(ctx.infer)
        assert window is not None
        made = IntegerConv(ctx, self.places, window, self.group)
        made.lower(self.finish(made, made.corrected()))


@op("ConvInteger")
class ConvInteger(QuantisedConv):
    """Conv of 8-bit integers less their zero points (for w one, or one a channel), summed in int32."""

    places = ConvPlaces(0, 1, 2, 3)

    def result(self, ctx: InferContext) -> DType | None:
        return dtypes.int32


@op("QLinearConv")
class QLinearConv(QuantisedConv):
    """saturate(round(sum * (x_scale * w_scale / y_scale)) + y_zero_point), sum as in ConvInteger plus the bias.

    Computed in float32, halves rounded to even. Inputs: x, its scale and zero point, w, its two, y's two, bias.
    """

    places = ConvPlaces(0, 3, 2, 5, 8, (4,), (1, 6, 7))

    def result(self, ctx: InferContext) -> DType | None:
        return ctx.input(7).dtype

    def lowers(self, ctx: InferContext) -> bool:
        return self.places.fits(ctx) and ctx.input(7).dtype in BYTES

    def finish(self, made: IntegerConv, total: int) -> int:
        dtype = made.ctx.outputs[0].dtype
        assert dtype is not None
        zero = made.input(7, dtypes.int32)
        return made.program.apply(Requantise(dtype), total, made.scale(1, 4, 6), zero, dtype=dtype)
