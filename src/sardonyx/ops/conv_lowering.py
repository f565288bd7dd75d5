"""From a convolution's sizes to kernel calls: the padded input, the packed weights, the product; or direct sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.conv import Conv
from sardonyx.kernels.conv_pack import ConvPack, Packing
from sardonyx.kernels.conv_pad import ConvPad
from sardonyx.kernels.conv_plan import Loop, Tap, plan_cut
from sardonyx.kernels.depthwise import Depthwise
from sardonyx.kernels.dot import Atom
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.kernels.window import Sliding, sliding_tasks
from sardonyx.kernels.winograd import PLACES, WinogradInput, WinogradPack, WinogradProduct, plan_winograd
from sardonyx.ops.base import Fused, LowerContext
from sardonyx.ops.spatial import Window
from sardonyx.symbols import Dim, product
from sardonyx.targets import Target

__all__ = [
    "FLOATS",
    "Axis",
    "Source",
    "Weights",
    "channels_last",
    "dense_strides",
    "direct_sums",
    "few_channels",
    "pad_input",
    "plain_input",
    "prepare",
    "product_loops",
    "product_of_taps",
    "slide",
    "suits_winograd",
    "winograd",
]

FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)

BLOCK_VECTORS = 4
"""Vectors of channels in one task of a sliding window: a few rows of so many channels stay in the first cache."""
WINOGRAD_PIXELS = 100
"""Results of an image below which a layer is bound by reading its weights."""
BAND_CACHES = 4
"""Second caches' worth of input that is transformed before it is multiplied; one for an unknown number of images."""
MAX_BANDS = 64
LINE = 64
SET_PERIOD = 4096
"""Bytes of a cache line, and the distance at which addresses share a set of the first cache on common processors."""


def channels_last(rank: int) -> tuple[int, ...]:
    """The memory order of a tensor of ``rank`` dimensions whose channels (dimension 1) are innermost."""
    return (0, *range(2, rank), 1)


def dense_strides(sizes: Sequence[Dim], innermost: Dim = 1) -> list[Dim]:
    """Strides of dense row-major memory whose elements are ``innermost`` apart."""
    strides = [innermost]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    return strides


@dataclass(frozen=True)
class Source:
    """A convolution's input in memory: channels adjacent; ``strides`` are those of batch and spatial dimensions, and
    ``sizes`` the spatial sizes with padding."""

    operand: Operand
    sizes: tuple[Dim, ...]
    strides: tuple[Dim, ...]


@dataclass(frozen=True)
class Axis:
    """One spatial dimension of a convolution over a padded source.

    Output position ``start + scale * i`` for i in [0, size) sums over ``taps`` taps at input place
    ``first + step * i + tap_step * tap``; its weights are ``weight_stride`` apart.
    """

    size: Dim
    taps: int
    step: int
    tap_step: int
    weight_stride: int
    first: int = 0
    start: int = 0
    scale: int = 1


@dataclass(frozen=True)
class Weights:
    """How weights lie in memory: the operand at the first tap, channels and results per group, strides of the three."""

    operand: Operand
    constant: bool
    groups: int
    channels: int
    results: int
    channel_stride: int
    result_stride: int
    group_stride: int


def plain_input(ctx: LowerContext, channels: int | None = None) -> Source:
    """Input 0 channels last, as it is; ``channels`` is their number where it is known from elsewhere."""
    operand = ctx.contiguous(0, channels_last(ctx.input(0).rank))
    batch, own, *spatial = operand.shape
    return Source(operand, tuple(spatial), tuple(dense_strides([batch, *spatial], channels or own)))


def pad_input(
    ctx: LowerContext,
    dtype: DType,
    channels: int,
    begin: Sequence[Dim],
    padded: Sequence[Dim],
    step: int = 1,
    *,
    align: int = 1,
    fill: Operand | None = None,
) -> Source:
    """Input 0 copied to scratch with zeros around, converted to ``dtype``; of its end only what fits ``padded``.

    ``step`` is how many pixels neighbouring results are apart in a row: pixels get a distance that keeps those results'
    inputs out of one set of the first cache. Pixels are a multiple of ``align`` elements apart, and as many more may be
    read after the last; ``fill`` is what is put around in place of zeros.
    """
    source = plain_input(ctx, channels)
    batch = source.operand.shape[0]
    pitch = -(-channels // align) * align
    pitch += LINE // dtype.itemsize if pitch * dtype.itemsize * step % SET_PERIOD == 0 else 0
    scratch = ctx.scratch(dtype, batch * product(padded) * pitch + (align if align > 1 else 0))
    merged = pitch == channels and source.strides[-1] == channels
    kernel = ConvPad(source.operand.dtype, dtype, len(padded), merged, fill is not None)
    sizes = [channels, pitch, batch, *source.sizes, *padded, *begin, *source.strides]
    tasks = batch * product(padded[:-1])
    operands = [scratch, source.operand, *([] if fill is None else [fill])]
    ctx.call(kernel, operands, sizes, tasks, batch * product(padded) * channels)
    return Source(scratch, tuple(padded), tuple(dense_strides([batch, *padded], pitch)))


def prepare(ctx: LowerContext, dtype: DType, packing: Packing, weights: Weights, atom: Atom | None = None) -> Operand:
    """The packed weights: once at load where they are constant, else before each run."""
    lanes = min(packing.columns, ctx.target.lanes(dtype.itemsize))
    kernel = ConvPack(weights.operand.dtype, dtype, len(packing.loops), lanes, atom)
    if weights.constant:
        return ctx.prepared(dtype, packing.count, kernel, [weights.operand], packing.sizes, packing.tasks)
    packed = ctx.scratch(dtype, packing.count)
    ctx.call(kernel, [packed, weights.operand], packing.sizes, packing.tasks, packing.count)
    return packed


def product_loops(shape: Sequence[Dim], *, flat: bool) -> list[list[int]]:
    """The loops of ``product_of_taps`` for an output like ``shape``, as ``LowerContext.epilogue`` names them.

    With ``flat`` all pixels of an image are one loop, and all images' too where their number is known: tiles then fit
    the number of pixels.
    """
    spatial = range(2, len(shape))
    if not flat:
        return [[0], *([axis] for axis in spatial), [1]]
    return [[0, *spatial], [1]] if isinstance(shape[0], int) else [[0], [*spatial], [1]]


def product_of_taps(
    ctx: LowerContext,
    dtype: DType,
    source: Source,
    weights: Weights,
    bias: Operand | None,
    axes: Sequence[Axis],
    output: Operand,
    *,
    flat: bool = False,
    scale: Fused | None = None,
    atom: Atom | None = None,
) -> None:
    """One convolution as a product (kernels/conv.py); ``flat``: one tap that meets every pixel, in long loops.

    ``scale`` is what is done to each sum before the epilogue; ``atom`` the multiply-accumulate where it is not that of
    one element of ``dtype``.
    """
    slots, step = Slots(), 1 if atom is None else atom.depth
    loops = _output_loops(slots, source, axes, output, flat=flat)
    taps, depth = _reduction(slots, source, axes, -(-weights.channels // step) * step)
    depth //= step
    cut = plan_cut(ctx.target, dtype, weights.groups, weights.results, loops, taps, depth)
    reduction = (*((axis.taps, axis.weight_stride) for axis in axes), (weights.channels, weights.channel_stride))
    strides = weights.group_stride, weights.result_stride
    packing = Packing(weights.groups, weights.results, cut.tile.columns, reduction, *strides, step)
    packed = prepare(ctx, dtype, packing, weights, atom) if depth else weights.operand
    fused = ctx.epilogue(product_loops(output.shape, flat=flat))
    kernel = Conv(
        dtype,
        output.dtype,
        weights.groups,
        weights.channels,
        weights.results,
        loops,
        taps,
        depth,
        cut,
        None if bias is None else bias.dtype,
        fused.program,
        len(slots.sizes),
        None if scale is None else scale.program,
        atom,
    )
    offset = source.operand.offset
    for axis, stride in zip(axes, source.strides[1:], strict=True):
        offset = offset + stride * axis.first
    operands = [output, replace(source.operand, offset=offset), packed]
    parts = [fused] if scale is None else [scale, fused]
    operands += [*([] if bias is None else [bias]), *(operand for part in parts for operand in part.operands)]
    positions = output.shape[0] * product(axis.size for axis in axes)
    work = 2 * positions * weights.groups * weights.results * packing.depth
    sizes = [*slots.sizes, *(size for part in parts for size in part.sizes)]
    ctx.call(kernel, operands, sizes, slots.resolve(kernel.tasks()), work)


def _output_loops(
    slots: Slots, source: Source, axes: Sequence[Axis], output: Operand, *, flat: bool
) -> tuple[Loop, ...]:
    """The kernel's loops over output positions, as ``product_loops`` names them."""
    batch, channels, *sizes = output.shape
    strides = dense_strides([batch, *sizes], channels)
    images = Loop(slots.add(batch), slots.add(source.strides[0]), slots.add(strides[0]))
    if flat:
        pixels = product(axis.size for axis in axes)
        if isinstance(batch, int):
            return (Loop(slots.add(batch * pixels), source.strides[-1], channels),)
        return (images, Loop(slots.add(pixels), source.strides[-1], channels))
    spatial = [
        Loop(slots.add(axis.size), slots.add(stride * axis.step), slots.add(out), axis.start, axis.scale)
        for axis, stride, out in zip(axes, source.strides[1:], strides[1:], strict=True)
    ]
    return (images, *spatial)


def _reduction(slots: Slots, source: Source, axes: Sequence[Axis], channels: int) -> tuple[tuple[Tap, ...], int]:
    """The taps that are loops, and the depth inside of them: the channels, with the last dimension's taps where these
    are adjacent in memory; 0 where a phase has no taps."""
    if any(axis.taps == 0 for axis in axes):
        return (), 0
    merged = axes[-1].tap_step == 1 and source.strides[-1] == channels
    taps = [
        Tap(axis.taps, slots.add(stride * axis.tap_step))
        for axis, stride in zip(axes[:-1] if merged else axes, source.strides[1:], strict=False)
        if axis.taps > 1
    ]
    return tuple(taps), channels * (axes[-1].taps if merged else 1)


def suits_winograd(weights: Weights, window: Window, output: Operand) -> bool:
    """Whether a convolution is worth transforming: 3 x 3, stride 1, with enough channels and pixels that the products
    outweigh the transforms and the weights, which grow to 16 / 9."""
    once = all(n == 1 for n in (*window.strides, *window.dilations, weights.groups))
    height, width = output.shape[2], output.shape[-1]
    if window.kernel != (3, 3) or not once or not weights.constant or min(weights.channels, weights.results) < 32:
        return False
    return isinstance(height, int) and isinstance(width, int) and height * width >= WINOGRAD_PIXELS


def winograd(
    ctx: LowerContext, dtype: DType, weights: Weights, bias: Operand | None, window: Window, output: Operand
) -> None:
    """A convolution by kernels/winograd.py."""
    batch, _, height, width = output.shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    rows, columns, channels = -(-height // 2), -(-width // 2), weights.channels
    source = pad_input(ctx, dtype, channels, window.begin, [2 * rows + 2, 2 * columns + 2])
    images = batch if isinstance(batch, int) else 1
    limit = ctx.target.caches.l2 * (BAND_CACHES if isinstance(batch, int) else 1)
    band = _band(rows, columns * channels * PLACES * dtype.itemsize * images, limit)
    # a line more than the elements, so that the places do not share sets of the first cache
    place_stride = batch * (band * columns * channels) + LINE // dtype.itemsize
    patches = ctx.scratch(dtype, place_stride * PLACES)
    cut = plan_winograd(ctx.target, dtype, channels, weights.results, band * columns, images)
    pack = WinogradPack(weights.operand.dtype, dtype, cut.tile.columns, cut.tile.lanes)
    panels = -(-weights.results // cut.tile.columns)
    count = panels * PLACES * channels * cut.tile.columns
    packed = ctx.prepared(dtype, count, pack, [weights.operand], [weights.results, channels], panels)
    fused = ctx.epilogue([[0], [2], [3], [1]])
    for first in range(0, rows, band):
        here = min(band, rows - first)
        work, slots = batch * (here * columns * channels * PLACES), Slots()
        sizes = [channels, here, columns, *source.strides, place_stride]
        moved = replace(source.operand, offset=source.operand.offset + source.strides[1] * (2 * first))
        ctx.call(WinogradInput(dtype), [patches, moved], sizes, batch * here, work * 4)
        kernel = WinogradProduct(
            dtype,
            output.dtype,
            channels,
            weights.results,
            slots.add(batch),
            here,
            slots.argument(first) if band < rows else 0,
            height,
            width,
            slots.add(place_stride),
            tuple(slots.add(stride) for stride in dense_strides([batch, height, width], weights.results)),
            cut,
            None if bias is None else bias.dtype,
            fused.program,
            len(slots.sizes),
        )
        operands = [output, patches, packed, *([] if bias is None else [bias]), *fused.operands]
        tasks = slots.resolve(kernel.tasks())
        ctx.call(kernel, operands, [*slots.sizes, *fused.sizes], tasks, 2 * work * weights.results)


def _band(rows: int, row_bytes: int, limit: int) -> int:
    """Rows of tiles transformed at a time, so that they are multiplied while still in cache; few different bands."""
    bands = max(1, min(-(-rows * row_bytes // limit), MAX_BANDS, rows))
    even = next((n for n in range(bands, min(2 * bands, rows) + 1) if rows % n == 0), bands)
    return -(-rows // even)


def few_channels(target: Target, dtype: DType, groups: int, channels: int, results: int) -> bool:
    """Whether a grouped convolution has too few channels per group to fill vectors as a product."""
    lanes = target.lanes(dtype.itemsize)
    if groups == 1 or results >= lanes:
        return False
    return channels == 1 or (lanes % results == 0 and channels <= results)


def slide(
    ctx: LowerContext, slots: Slots, source: Source, window: Window, output: Operand, itemsize: int
) -> tuple[Sliding, tuple[Dim, ...]]:
    """The nest of a window over the source, and the output's strides: batch and spatial dimensions."""
    batch, channels, *outs = output.shape
    lanes = ctx.target.lanes(itemsize)
    vectors = min(-(-channels // lanes), BLOCK_VECTORS) if isinstance(channels, int) else BLOCK_VECTORS
    block = max(1, vectors) * lanes  # one even for no channels
    sliding = Sliding(
        slots.add(batch),
        slots.add(channels),
        tuple(slots.add(size) for size in source.sizes),
        tuple(slots.add(size) for size in outs),
        window.kernel,
        window.strides,
        window.dilations,
        tuple(slots.add(pad) for pad in window.begin),
        tuple(slots.add(stride) for stride in source.strides),
        block,
        8 if ctx.target.vector_registers >= 32 else 4,
    )
    return sliding, tuple(slots.add(stride) for stride in dense_strides([batch, *outs], channels))


def direct_sums(
    ctx: LowerContext,
    dtype: DType,
    source: Source,
    weights: Weights,
    bias: Operand | None,
    window: Window,
    output: Operand,
    *,
    scale: Fused | None = None,
    zero_point: Operand | None = None,
) -> None:
    """One convolution with few channels in each group, by kernels/depthwise.py.

    ``zero_point`` is subtracted from the input's elements; ``scale`` is what is done to sums before the epilogue.
    """
    slots = Slots()
    sliding, out_strides = slide(ctx, slots, source, window, output, dtype.itemsize)
    lanes = ctx.target.lanes(dtype.itemsize)
    steps = dense_strides([weights.channels, *window.kernel])
    loops = [(count, int(step)) for count, step in zip(window.kernel, steps[1:], strict=True) if isinstance(step, int)]
    loops.append((weights.channels, weights.channel_stride))
    packing = Packing(
        1,
        weights.groups * weights.results,
        lanes,
        tuple(loops),
        weights.group_stride,
        weights.result_stride,
    )
    fused = ctx.epilogue([[0], *([axis + 2] for axis in range(len(window.kernel))), [1]])
    kernel = Depthwise(
        sliding,
        dtype,
        source.operand.dtype,
        output.dtype,
        weights.channels,
        weights.results,
        out_strides,
        None if bias is None else bias.dtype,
        fused.program,
        len(slots.sizes),
        None if scale is None else scale.program,
        zero_point is not None,
    )
    parts = [fused] if scale is None else [scale, fused]
    operands = [output, source.operand, prepare(ctx, dtype, packing, weights)]
    operands += [operand for operand in (bias, zero_point) if operand is not None]
    operands += [operand for part in parts for operand in part.operands]
    sizes = [*slots.sizes, *(size for part in parts for size in part.sizes)]
    work = 2 * product(output.shape) * packing.depth
    ctx.call(kernel, operands, sizes, slots.resolve(sliding_tasks(sliding)), work)
