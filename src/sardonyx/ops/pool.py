"""Pooling: MaxPool, AveragePool, LpPool, their global forms, and the records of unpooling and region pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import Carried, PointProgram, compute_dtype
from sardonyx.kernels.pool import GlobalPool, Pool, Unpool
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.window import sliding_tasks
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.conv_lowering import FLOATS, channels_last, plain_input, slide
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import Window, output_size, per_axis, size_of, spatial_window
from sardonyx.symbols import Dim, product

__all__ = [
    "AveragePool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
]

MAX_NORM = 64
"""Largest p whose powers are computed by multiplying."""


class _Sliding(Anchor):
    """What the pools with sliding windows share."""

    auto_pad: str
    ceil_mode: int
    dilations: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...]
    strides: tuple[int, ...]

    def window(self, ctx: InferContext) -> Window | None:
        """The window over the input; None where its rank is not known."""
        shape = ctx.input(0).shape
        if shape is None:
            return None
        if len(shape) < 3:
            ctx.fail(f"input 0 must have batch, channels and spatial dimensions; its shape is {list(shape)}")
        if len(self.kernel_shape) != len(shape) - 2:
            ctx.fail(f"attribute 'kernel_shape' {list(self.kernel_shape)} does not fit the input's shape {list(shape)}")
        pads, auto_pad = self.pads, self.auto_pad
        return spatial_window(ctx, shape[2:], self.kernel_shape, self.strides, self.dilations, pads, auto_pad)

    def out_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        """The shape of the outputs."""
        shape, window = ctx.input(0).shape, self.window(ctx)
        if shape is None or window is None:
            return None
        sides = zip(shape[2:], window.begin, window.end, window.extents, window.strides, strict=True)
        ceil = bool(self.ceil_mode) and self.auto_pad in ("NOTSET", "")
        spatial = [
            output_size(ctx, size, begin + end, extent, stride, ceil=ceil, begin=begin)
            for size, begin, end, extent, stride in sides
        ]
        return (*shape[:2], *spatial)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (TensorInfo(ctx.input(0).dtype, self.out_shape(ctx)),)

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx, FLOATS)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return None if ctx.outputs > 1 else _loops(ctx)

    def pool(self, ctx: LowerContext, kind: str, *, count_padding: bool = False, indices: str | None = None) -> None:
        """One call of kernels/pool.py."""
        window, source = self.window(ctx.infer), plain_input(ctx)
        assert window is not None
        rank = len(window.kernel)
        order = channels_last(rank + 2)
        output = ctx.output(0, order)
        slots, dtype = Slots(), source.operand.dtype
        size = compute_dtype(dtype).itemsize
        sliding, out_strides = slide(ctx, slots, source, window, output, size)
        count_end = None
        if count_padding:
            count_end = tuple(slots.add(s + end) for s, end in zip(source.sizes, window.end, strict=True))
        if indices is None:
            fused = ctx.epilogue(_loops(ctx.infer))
            program, operands, sizes = fused.program, fused.operands, fused.sizes
        else:
            program, operands, sizes = PointProgram((Carried(0, dtype),), (0,)), [ctx.output(1, order)], []
        count = len(slots.sizes)
        kernel = Pool(sliding, kind, dtype, output.dtype, out_strides, count_end, indices, program, count)
        work = product(output.shape) * product(window.kernel)
        tasks = slots.resolve(sliding_tasks(sliding))
        ctx.call(kernel, [output, source.operand, *operands], [*slots.sizes, *sizes], tasks, work)


def _lowers(ctx: InferContext, allowed: Sequence[DType]) -> bool:
    x = ctx.input(0)
    return x.shape is not None and 3 <= len(x.shape) <= 5 and x.dtype in allowed


def _loops(ctx: InferContext) -> list[list[int]]:
    return [[0], *([axis] for axis in range(2, ctx.input(0).rank or 2)), [1]]


@op("MaxPool")
class MaxPool(_Sliding):
    """The largest element under each window; a second output gives its place in the input, flattened."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    storage_order: int = 0
    strides: tuple[int, ...] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape = self.out_shape(ctx)
        return (TensorInfo(ctx.input(0).dtype, shape), TensorInfo(dtypes.int64, shape))[: max(1, ctx.outputs)]

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx, (*FLOATS, dtypes.int8, dtypes.uint8))

    def lower(self, ctx: LowerContext) -> None:
        indices = None if ctx.infer.outputs < 2 else "column" if self.storage_order else "row"
        self.pool(ctx, "max", indices=indices)


@op("AveragePool")
class AveragePool(_Sliding):
    """The mean under each window, over the elements inside the image or, with count_include_pad, inside the padding."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    count_include_pad: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def lower(self, ctx: LowerContext) -> None:
        self.pool(ctx, "average", count_padding=bool(self.count_include_pad))


@op("LpPool")
class LpPool(_Sliding):
    """The p-norm of the elements under each window."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: tuple[int, ...] = ()
    p: int = 2
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def lowers(self, ctx: InferContext) -> bool:
        return 1 <= self.p <= MAX_NORM and _lowers(ctx, FLOATS)

    def lower(self, ctx: LowerContext) -> None:
        self.pool(ctx, f"l{self.p}")


class _Global(Anchor):
    """What the global pools share."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) < 2:
            ctx.fail(f"input 0 must have batch and channels; its shape is {list(x.shape)}")
        return (TensorInfo(x.dtype, (*x.shape[:2], *[1] * (len(x.shape) - 2))),)

    def lowers(self, ctx: InferContext) -> bool:
        return _lowers(ctx, FLOATS)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return _loops(ctx)

    def pool(self, ctx: LowerContext, kind: str) -> None:
        """One call of the global kernel."""
        source = plain_input(ctx)
        batch, channels, *_ = source.operand.shape
        rank = len(source.sizes)
        output = ctx.output(0, channels_last(rank + 2))
        fused, slots = ctx.epilogue(_loops(ctx.infer)), Slots()
        pixels, stride = slots.add(product(source.sizes)), slots.add(source.strides[0])
        batch_slot, channel_slot = slots.add(batch), slots.add(channels)
        dtype, count = source.operand.dtype, len(slots.sizes)
        kernel = GlobalPool(
            kind, dtype, output.dtype, batch_slot, channel_slot, pixels, stride, fused.program, count, rank
        )
        tasks = slots.resolve(kernel.tasks(ctx.target.lanes(compute_dtype(dtype).itemsize)))
        operands = [output, source.operand, *fused.operands]
        ctx.call(kernel, operands, [*slots.sizes, *fused.sizes], tasks, product(source.operand.shape))


@op("GlobalAveragePool")
class GlobalAveragePool(_Global):
    """The mean of each channel over all pixels."""

    def lower(self, ctx: LowerContext) -> None:
        self.pool(ctx, "average")


@op("GlobalMaxPool")
class GlobalMaxPool(_Global):
    """The largest element of each channel."""

    def lower(self, ctx: LowerContext) -> None:
        self.pool(ctx, "max")


@op("GlobalLpPool")
class GlobalLpPool(_Global):
    """The p-norm of each channel over all pixels."""

    p: int = 2

    def lowers(self, ctx: InferContext) -> bool:
        return 1 <= self.p <= MAX_NORM and super().lowers(ctx)

    def lower(self, ctx: LowerContext) -> None:
        self.pool(ctx, f"l{self.p}")


@op("MaxUnpool")
class MaxUnpool(Anchor, Reducible):
    """Puts each element at the place in the whole output that its index names, zeros elsewhere.

    The indices count in an output of the default size; where input 2 asks for a larger one, more zeros follow.
    """

    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, indices, wanted = ctx.input(0), ctx.input(1), ctx.optional(2)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        rank = len(x.shape)
        if indices.shape is not None:
            if len(indices.shape) != rank:
                ctx.fail(f"indices of rank {len(indices.shape)} do not fit an input of rank {rank}")
            for axis, (size, given) in enumerate(zip(x.shape, indices.shape, strict=True)):
                ctx.require_equal(size, given, f"axis {axis} has size {size} in the input and {given} in the indices")
        if wanted is not None:
            shape = wanted.values or tuple(ctx.fresh("size") for _ in range(rank))
            return (TensorInfo(x.dtype, tuple(shape)),)
        kernel = per_axis(ctx, "kernel_shape", self.kernel_shape, rank - 2, 1, 1)
        strides = per_axis(ctx, "strides", self.strides, rank - 2, 1, 1)
        pads = per_axis(ctx, "pads", self.pads, 2 * (rank - 2), 0, 0)
        sides = zip(x.shape[2:], kernel, strides, pads[: rank - 2], pads[rank - 2 :], strict=True)
        sizes = [(n - 1) * s + k - b - e for n, k, s, b, e in sides]
        return (TensorInfo(x.dtype, (*x.shape[:2], *(size_of(ctx, size) for size in sizes))),)

    def lowers(self, ctx: InferContext) -> bool:
        x, indices = ctx.input(0), ctx.input(1)
        known = x.shape is not None and indices.shape is not None and ctx.optional(2) is None
        return known and x.dtype is not None and x.dtype in FLOATS and indices.dtype is dtypes.int64

    def expands(self, ctx: InferContext) -> bool:
        return ctx.optional(2) is not None and ctx.input(0).shape is not None

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        attributes: dict[str, Any] = {"kernel_shape": self.kernel_shape, "pads": self.pads, "strides": self.strides}
        given = {name: value for name, value in attributes.items() if value}
        result = b.op("MaxUnpool", b.input(0), b.input(1), **given)
        more = b.op("Sub", b.input(2), b.op("Shape", result))
        before = b.ints(*[0] * b.rank(b.input(0)))
        return (b.op("Pad", result, b.op("Concat", before, more, axis=0)),)

    def lower(self, ctx: LowerContext) -> None:
        source, indices, output, slots = ctx.contiguous(0), ctx.contiguous(1), ctx.output(), Slots()
        count, size = product(source.shape), product(output.shape)
        kernel = Unpool(source.dtype, slots.add(count), slots.add(size))
        ctx.call(kernel, [output, source, indices], slots.sizes, 1, count + size)
