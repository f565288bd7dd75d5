"""Col2Im and DeformConv: images and the columns of their windows."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.columns import AddColumns, DeformedColumns
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.slots import Slots
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.conv import conv_shape, conv_window
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import per_axis
from sardonyx.ops.values import integers, sizes_input
from sardonyx.symbols import Dim, product

__all__ = ["Col2Im", "DeformConv"]


@op("Col2Im")
class Col2Im(Anchor):
    """The images whose windows are the columns (n, channels * window, blocks): what lies at one place is added up."""

    sized_by = (1, 2)
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        image, window = sizes_input(ctx, 1, "image_shape"), sizes_input(ctx, 2, "block_shape")
        if x.shape is not None and len(x.shape) != 3:
            ctx.fail(f"the columns must have shape (n, channels * window, blocks), got {list(x.shape)}")
        if image is None or window is None or x.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(image) != len(window) or not image:
            ctx.fail(f"image_shape {list(image)} and block_shape {list(window)} differ in length")
        for name, sizes in (("image_shape", image), ("block_shape", window)):
            for size in sizes:
                ctx.require_least(size, 1, f"{name} must be positive, got {list(sizes)}")
        message = f"{x.shape[1]} rows of columns are no whole number of windows {list(window)}"
        ctx.require_equal(x.shape[1] % product(window), 0, message)
        blocks = product(self._blocks(ctx, image, window))
        ctx.require_equal(x.shape[2], blocks, f"there are {blocks} windows in the image, got {x.shape[2]} columns")
        channels = ctx.define("channels", x.shape[1] // product(window))
        return (TensorInfo(x.dtype, (x.shape[0], channels, *image)),)

    def _window(self, ctx: InferContext, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Strides, dilations and pads."""
        return (
            per_axis(ctx, "strides", self.strides, rank, 1, 1),
            per_axis(ctx, "dilations", self.dilations, rank, 1, 1),
            per_axis(ctx, "pads", self.pads, 2 * rank, 0, 0),
        )

    def _blocks(self, ctx: InferContext, image: Sequence[Dim], window: Sequence[Dim]) -> list[Dim]:
        """Positions of the window along each dimension."""
        rank = len(image)
        strides, dilations, pads = self._window(ctx, rank)
        return [
            (image[k] + pads[k] + pads[rank + k] - (window[k] - 1) * dilations[k] - 1) // strides[k] + 1
            for k in range(rank)
        ]

    def lowers(self, ctx: InferContext) -> bool:
        x = ctx.input(0)
        known = x.dtype is not None and computable(x.dtype, "fiu") and x.shape is not None
        return known and integers(ctx, 1) is not None and integers(ctx, 2) is not None

    def lower(self, ctx: LowerContext) -> None:
        image, window = sizes_input(ctx.infer, 1, "") or (), sizes_input(ctx.infer, 2, "") or ()
        x, y, slots = ctx.contiguous(0), ctx.output(), Slots()
        strides, dilations, pads = self._window(ctx.infer, len(image))
        kernel = AddColumns(
            x.dtype,
            tuple(slots.add(size) for size in image),
            tuple(slots.add(size) for size in window),
            tuple(slots.add(size) for size in self._blocks(ctx.infer, image, window)),
            strides,
            dilations,
            pads[: len(image)],
        )
        sums = ctx.scratch(compute_dtype(x.dtype), product(y.shape))
        ctx.call(kernel, [x, y, sums], slots.sizes, y.shape[0] * y.shape[1], product(x.shape) * 16)


@op("DeformConv")
class DeformConv(Reducible):
    """Conv whose taps are moved by an input of offsets, in two dimensions: columns of samples, times the weights."""

    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    offset_group: int = 1
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, w = ctx.input(0), ctx.input(1)
        window = conv_window(ctx, x, w, self.kernel_shape, self.strides, self.dilations, self.pads, "NOTSET")
        return (TensorInfo(x.dtype, conv_shape(ctx, x, w, ctx.optional(3), window, self.group)),)

    def expands(self, ctx: InferContext) -> bool:
        x, w = ctx.input(0), ctx.input(1)
        if x.shape is None or w.shape is None or len(x.shape) != 4 or x.dtype is None or not computable(x.dtype, "f"):
            return False
        return all(isinstance(size, int) for size in w.shape)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, w, offset = (b.input(k) for k in range(3))
        outputs, channels, *kernel = (b.known(size, "the weights' shape") for size in b.shape(w))
        columns = b.op(
            "DeformColumns",
            x,
            offset,
            b.optional(4),
            domain="sardonyx",
            kernel_shape=kernel,
            strides=list(self.strides or (1, 1)),
            dilations=list(self.dilations or (1, 1)),
            pads=list(self.pads or (0, 0, 0, 0)),
            offset_group=self.offset_group,
        )
        size = channels * kernel[0] * kernel[1]
        grouped = b.reshape(columns, b.size(x, 0), self.group, size, -1)
        weights = b.reshape(w, 1, self.group, outputs // self.group, size)
        result = b.op("MatMul", weights, grouped)
        result = b.reshape(result, b.size(x, 0), outputs, b.size(offset, 2), b.size(offset, 3))
        bias = b.optional(3)
        return (result if bias is None else b.op("Add", result, b.reshape(bias, 1, outputs, 1, 1)),)


@op("DeformColumns", "sardonyx")
class DeformColumns(Anchor):
    """The samples (n, channels, taps, height * width of the output) of moved windows; inputs x, offsets, mask."""

    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    offset_group: int

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, offset, mask = ctx.input(0), ctx.input(1), ctx.optional(2)
        if x.shape is None or offset.shape is None:
            return (TensorInfo(x.dtype, None),)
        if len(x.shape) != 4 or len(offset.shape) != 4 or self.offset_group < 1:
            ctx.fail(f"expected images and offsets of rank 4, got {list(x.shape)} and {list(offset.shape)}")
        taps = self._taps(ctx)
        message = f"{x.shape[1]} channels cannot be split into {self.offset_group} groups of offsets"
        ctx.require_equal(x.shape[1] % self.offset_group, 0, message)
        self._require(ctx, "offset", offset, x, taps * 2)
        if mask is not None and mask.shape is not None:
            self._require(ctx, "mask", mask, x, taps)
        return (TensorInfo(x.dtype, (x.shape[0], x.shape[1], taps, product(self._output(ctx, x)))),)

    def _taps(self, ctx: InferContext) -> int:
        return int(product(per_axis(ctx, "kernel_shape", self.kernel_shape, 2, 1, 1)))  # type: ignore[arg-type]  # ints

    def _output(self, ctx: InferContext, x: TensorInfo) -> tuple[Dim, Dim]:
        pads = per_axis(ctx, "pads", self.pads, 4, 0, 0)
        strides = per_axis(ctx, "strides", self.strides, 2, 1, 1)
        dilations = per_axis(ctx, "dilations", self.dilations, 2, 1, 1)
        height, width = (
            ((x.shape or ())[2 + k] + pads[k] + pads[2 + k] - (self.kernel_shape[k] - 1) * dilations[k] - 1)
            // strides[k]
            + 1
            for k in range(2)
        )
        return height, width

    def _require(self, ctx: InferContext, what: str, info: TensorInfo, x: TensorInfo, rows: int) -> None:
        wanted = ((x.shape or ())[0], self.offset_group * rows, *self._output(ctx, x))
        if info.shape is None or len(info.shape) != 4:
            ctx.fail(f"{what} must have rank 4")
        for size, expected in zip(info.shape, wanted, strict=True):
            ctx.require_equal(size, expected, f"{what} must have shape {list(wanted)}, got {list(info.shape)}")

    def lowers(self, ctx: InferContext) -> bool:
        infos = [info for info in ctx.inputs if info is not None]
        same = all(info.dtype == infos[0].dtype and info.shape is not None for info in infos)
        return same and infos[0].dtype is not None and computable(infos[0].dtype, "f")

    def lower(self, ctx: LowerContext) -> None:
        x, offset, slots = ctx.contiguous(0), ctx.contiguous(1), Slots()
        mask = ctx.contiguous(2) if ctx.infer.optional(2) is not None else None
        y, (height, width) = ctx.output(), self._output(ctx.infer, ctx.infer.input(0))
        kernel = DeformedColumns(
            x.dtype,
            slots.add(x.shape[1]),
            self.offset_group,
            slots.add(x.shape[2]),
            slots.add(x.shape[3]),
            (slots.add(height), slots.add(width)),
            (self.kernel_shape[0], self.kernel_shape[1]),
            (self.strides[0], self.strides[1]),
            (self.dilations[0], self.dilations[1]),
            (self.pads[0], self.pads[1]),
            mask is not None,
        )
        operands = [x, offset, y] if mask is None else [x, offset, y, mask]
        tasks = y.shape[0] * y.shape[1] * y.shape[2]
        ctx.call(kernel, operands, slots.sizes, tasks, product(y.shape) * 32)
