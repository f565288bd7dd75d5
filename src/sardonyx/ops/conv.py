"""Conv and its deformable kin."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import compute_dtype
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.conv_lowering import (
    FLOATS,
    Axis,
    Weights,
    channels_last,
    dense_strides,
    direct_sums,
    few_channels,
    pad_input,
    plain_input,
    product_loops,
    product_of_taps,
    suits_winograd,
    winograd,
)
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import Window, output_size, spatial_window
from sardonyx.symbols import Dim, maximum

__all__ = ["Conv", "conv_axes", "conv_shape", "conv_weights", "conv_window"]


def conv_window(
    ctx: InferContext,
    x: TensorInfo,
    w: TensorInfo,
    kernel_shape: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    auto_pad: str,
) -> Window | None:
    """The window of a convolution; None where the kernel's sizes are not known."""
    if x.shape is None or (w.shape is None and not kernel_shape):
        return None
    if len(x.shape) < 3:
        ctx.fail(f"input 0 must have batch, channels and spatial dimensions; its shape is {list(x.shape)}")
    given: Sequence[Dim] = kernel_shape
    if w.shape is not None:
        if len(w.shape) != len(x.shape):
            ctx.fail(f"weights of rank {len(w.shape)} do not fit an input of rank {len(x.shape)}")
        given = kernel_shape or w.shape[2:]
        if any(isinstance(d, int) and d != k for d, k in zip(w.shape[2:], given, strict=False)):
            ctx.fail(f"attribute 'kernel_shape' {list(kernel_shape)} differs from the weights' {list(w.shape[2:])}")
    known = tuple(d for d in given if isinstance(d, int))
    if len(known) != len(given):
        return None
    return spatial_window(ctx, x.shape[2:], known, strides, dilations, pads, auto_pad)


def conv_shape(
    ctx: InferContext, x: TensorInfo, w: TensorInfo, bias: TensorInfo | None, window: Window | None, group: int
) -> tuple[Dim, ...] | None:
    """The output shape of a convolution, after checking channels against groups."""
    if group < 1:
        ctx.fail(f"attribute 'group' must be at least 1; got {group}")
    if x.shape is None:
        return None
    results: Dim = ctx.fresh("channels")
    if w.shape is not None:
        if len(w.shape) != len(x.shape):
            ctx.fail(f"weights of rank {len(w.shape)} do not fit an input of rank {len(x.shape)}")
        results, channels = w.shape[0], w.shape[1]
        message = f"the input has {x.shape[1]} channels, the weights expect {channels} in each of {group} groups"
        ctx.require_equal(x.shape[1], channels * group, message)
        if isinstance(results, int) and results % group:
            ctx.fail(f"{results} output channels cannot be split into {group} groups")
        check_bias(ctx, bias, results)
    if window is None:
        return (x.shape[0], results, *(ctx.fresh("size") for _ in x.shape[2:]))
    sides = zip(x.shape[2:], window.begin, window.end, window.extents, window.strides, strict=True)
    return (
        x.shape[0],
        results,
        *(output_size(ctx, size, b + e, extent, stride) for size, b, e, extent, stride in sides),
    )


def check_bias(ctx: InferContext, bias: TensorInfo | None, results: Dim) -> None:
    """Fails unless a bias has one element per output channel."""
    if bias is None or bias.shape is None:
        return
    if len(bias.shape) != 1:
        ctx.fail(f"the bias must have one dimension; its shape is {list(bias.shape)}")
    ctx.require_equal(bias.shape[0], results, f"the bias has {bias.shape[0]} elements for {results} output channels")


def same_dtypes(ctx: InferContext) -> None:
    """Fails unless all inputs that are present have one element type."""
    known = {info.dtype for info in ctx.inputs if info is not None and info.dtype is not None}
    if len(known) > 1:
        ctx.fail(f"its inputs must have one element type; got {', '.join(sorted(d.name for d in known))}")


@op("Conv")
class Conv(Anchor):
    """y[n, o, p] = bias[o] + sum over c, k of x[n, c, p * stride + k * dilation - pad] * w[o, c, k], 1 to 3 D.

    Channels last in memory: a batch-reduce matrix product (kernels/conv.py), or, where a group has few channels, direct
    sums over vectors of channels (kernels/depthwise.py).
    """

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def window(self, ctx: InferContext) -> Window | None:
        """The window over the input; None where its size is not known."""
        x, w = ctx.input(0), ctx.input(1)
        return conv_window(ctx, x, w, self.kernel_shape, self.strides, self.dilations, self.pads, self.auto_pad)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, w = ctx.input(0), ctx.input(1)
        same_dtypes(ctx)
        return (TensorInfo(x.dtype, conv_shape(ctx, x, w, ctx.optional(2), self.window(ctx), self.group)),)

    def lowers(self, ctx: InferContext) -> bool:
        x, w = ctx.input(0), ctx.input(1)
        if x.shape is None or w.shape is None or not 3 <= len(x.shape) <= 5 or x.dtype not in FLOATS:
            return False
        return all(isinstance(size, int) and size > 0 for size in w.shape)

    def flat(self, ctx: InferContext) -> bool:
        """Whether every pixel of the input gives one of the output: a product over pixels."""
        window, x = self.window(ctx), ctx.input(0)
        assert window is not None
        once = all(n == 1 for n in (*window.kernel, *window.strides))
        return once and not window.padded and x.dtype in (dtypes.float32, dtypes.float64)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        x = ctx.input(0)
        assert x.shape is not None
        return product_loops(x.shape, flat=self.flat(ctx))

    def lower(self, ctx: LowerContext) -> None:
        x, window = ctx.infer.input(0), self.window(ctx.infer)
        assert x.dtype is not None
        assert window is not None
        dtype = compute_dtype(x.dtype)
        weights, strides = conv_weights(ctx, 1, self.group)
        channels = weights.channels * self.group
        bias = ctx.contiguous(2) if ctx.infer.optional(2) is not None else None
        if few_channels(ctx.target, dtype, self.group, weights.channels, weights.results):
            output = ctx.output(0, channels_last(len(window.kernel) + 2))
            direct_sums(ctx, dtype, plain_input(ctx, channels), weights, bias, window, output)
            return
        positions = ctx.outputs[0].shape
        assert positions is not None
        axes, used = conv_axes(positions[2:], window, strides)
        output = ctx.output(0, channels_last(len(positions)))
        if dtype is dtypes.float32 and not ctx.exact_convolution and suits_winograd(weights, window, output):
            winograd(ctx, dtype, weights, bias, window, output)
            return
        if window.padded or x.dtype != dtype:
            source = pad_input(ctx, dtype, channels, window.begin, used, window.strides[-1])
        else:
            source = plain_input(ctx, channels)
        product_of_taps(ctx, dtype, source, weights, bias, axes, output, flat=self.flat(ctx.infer))


def conv_weights(ctx: LowerContext, index: int, group: int) -> tuple[Weights, list[int]]:
    """The weights, which are an input, and the strides of their spatial dimensions."""
    operand = ctx.contiguous(index)
    results, channels, *_ = shape = [d for d in operand.shape if isinstance(d, int)]
    strides = [s for s in dense_strides(shape) if isinstance(s, int)]
    in_group = results // group
    constant = ctx.const(index) is not None
    order = (strides[1], strides[0], strides[0] * in_group)
    return Weights(operand, constant, group, channels, in_group, *order), strides[2:]


def conv_axes(positions: Sequence[Dim], window: Window, strides: Sequence[int]) -> tuple[list[Axis], list[Dim]]:
    """The spatial dimensions of a convolution with these output sizes and weights' strides, and how much of the padded
    input they use."""
    steps = zip(positions, window.kernel, window.strides, window.dilations, strides, strict=True)
    axes = [Axis(size, k, stride, dilation, w) for size, k, stride, dilation, w in steps]
    pairs = zip(axes, window.extents, strict=True)
    return axes, [maximum((axis.size - 1) * axis.step + extent, 0) for axis, extent in pairs]
