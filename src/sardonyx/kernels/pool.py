"""Pooling over channels-last images: vectors run over channels.

for row, tile of pixels, vector of channels:            # kernels/window.py
    for tap inside the image: total[pixel] = max(total, x)     or total + x, total + |x| ** p
    store(epilogue(total))                                     divided by the number of taps, or its p-th root

for batch element, block of channels:                   # GlobalPool
    for each pixel: totals[0:4] op= x[pixel, 4 vectors of channels]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import STATUS_INDEX, PointProgram, Position, compute_dtype, emit_point, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.kernels.window import Nest, Sliding, Tile
from sardonyx.lang import I64, KernelBuilder, Type, Value, Var
from sardonyx.lang.vmath import pow
from sardonyx.symbols import Dim, ceildiv, symbol

__all__ = ["GLOBAL_VECTORS", "GlobalPool", "Pool", "Unpool"]

GLOBAL_VECTORS = 4
"""Vectors of channels that one task of a global pool reads side by side, so that sums do not wait for each other."""

GLOBAL_PIXELS = 128
"""Pixels that are summed before the sum is added to the whole: the error grows with their number, not the image's."""


def _start(b: KernelBuilder, op: str, type_: Type) -> Value:
    """The neutral element."""
    if op != "max":
        return b.zero(type_)
    dtype = type_.dtype
    if dtype.is_float:
        return b.const(float("-inf"), type_)
    return b.const(-(1 << (dtype.bits - 1)) if dtype.is_signed else 0, type_)


def _combine(b: KernelBuilder, op: str, total: Value, x: Value) -> Value:
    if op == "max":
        return b.maximum(x, total)
    if op == "average":
        return total + x
    degree, result, power = int(op[1:]), None, b.abs(x)
    while degree:
        if degree % 2:
            result = power if result is None else result * power
        degree //= 2
        power = power * power
    return total if result is None else total + result


def _finish(b: KernelBuilder, op: str, total: Value, count: Callable[[], Value]) -> Value:
    """The result of a pool over ``count()`` elements."""
    if op == "average":
        return total / b.splat(count().to(total.dtype), total.lanes)
    if op == "max" or op == "l1":
        return total
    return b.sqrt(total) if op == "l2" else pow(total, b.const(1 / int(op[1:]), total.type))


def _offset(strides: tuple[Dim, ...]) -> Dim:
    """Where the output's element at a position lies; channels are adjacent."""
    offset: Dim = symbol(f"i{len(strides)}")
    for axis, stride in enumerate(strides):
        offset = offset + symbol(f"i{axis}") * stride
    return offset


@dataclass(frozen=True)
class Pool:
    """A pool over sliding windows; ``op`` is max, average, or l<p> for the p-norm.

    ``count_end`` is for averages: where taps stop to count, per spatial dimension (padding included); None: only taps
    inside the image count. ``indices`` (for max) is ``row`` or ``column``: also gives the place of each maximum in the
    whole tensor, its spatial dimensions counted row- or column-major. Buffers: 0 output, 1 input, 2 indices (int64,
    with ``indices``), then the epilogue's. ``out_strides`` are those of batch and spatial dimensions.
    """

    sliding: Sliding
    op: str
    dtype: DType
    out_dtype: DType
    out_strides: tuple[Dim, ...]
    count_end: tuple[Dim, ...] | None
    indices: str | None
    program: PointProgram
    sizes: int

    @property
    def name(self) -> str:
        return f"{self.op}_pool"

    def emit(self, b: KernelBuilder) -> None:
        body = _Body(self, b)
        body.nest = Nest(b, self.sliding, body)
        body.nest.emit()


class _Body:
    """The sums of one tile."""

    nest: Nest

    def __init__(self, spec: Pool, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.compute = compute_dtype(spec.dtype)
        self.lanes = b.target.lanes(self.compute.itemsize)
        self.source = b.buffer(1, spec.dtype)
        self.store_offset = _offset(spec.out_strides)
        self.totals: list[Var] = []
        self.places: list[Var] = []

    def begin(self, tile: Tile) -> None:
        start = _start(self.b, self.spec.op, Type(self.compute, self.lanes))
        self.totals = [self.b.var(start) for _ in range(tile.count)]
        if self.spec.indices:
            unknown = self.b.const(-1, I64.with_lanes(self.lanes))
            self.places = [self.b.var(unknown) for _ in range(tile.count)]

    def load(self, tile: Tile, offset: Value) -> Value:
        lanes = self.lanes
        return self.source.load(offset + tile.channel, lanes, tile.mask if lanes > 1 else None).to(self.compute)

    def tap(self, tile: Tile, tap: Value) -> None:
        """Pools have nothing that belongs to a tap."""

    def step(self, tile: Tile, pixel: int, loaded: Value, tap: None, place: Value) -> None:
        b, total = self.b, self.totals[pixel]
        if self.spec.indices:
            known = self.places[pixel]
            better = (loaded > total.get()) | (known.get() < 0)
            known.set(b.select(better, b.splat(place, self.lanes), known.get()))
            total.set(b.select(better, loaded, total.get()))
            return
        total.set(_combine(b, self.spec.op, total.get(), loaded))

    def finish(self, tile: Tile) -> None:
        spec, b = self.spec, self.b
        first = 3 if spec.indices else 2
        for pixel, total in enumerate(self.totals):
            index = [*tile.index[:-1], tile.index[-1] + pixel, tile.channel]
            position = Position(index, self.lanes, len(index) - 1, tile.mask)
            value = _finish(b, spec.op, total.get(), partial(self.count, tile, pixel))
            (result,) = emit_point(b, spec.program, position, [value], first, spec.sizes)
            emit_store(b, 0, spec.out_dtype, self.store_offset, result, position)
            if spec.indices:
                place = self.whole_place(tile, self.places[pixel].get())
                emit_store(b, 2, dtypes.int64, self.store_offset, place, position)

    def count(self, tile: Tile, pixel: int) -> Value:
        """The taps an average is divided by."""
        spec, b, sliding = self.spec, self.b, self.spec.sliding
        if spec.count_end is None:
            total = b.i64(1)
            for low, high in [*tile.outer, tile.columns[pixel]]:
                span = high - low
                total = total * span
            return total
        total = b.i64(1)
        position = [*tile.index[1:-1], tile.index[-1] + pixel]
        for axis, end in enumerate(spec.count_end):
            place = position[axis] * sliding.strides[axis] - self.nest.before[axis]
            dilation = sliding.dilations[axis]
            taps = (b.maximum(self.nest.number(end) - place, 0) + (dilation - 1)) // dilation
            total = total * b.minimum(taps, sliding.kernel[axis])
        return total

    def whole_place(self, tile: Tile, place: Value) -> Value:
        """The place within one image as one in the whole tensor (batch, channel, spatial)."""
        b, sizes = self.b, self.nest.sizes
        if self.spec.indices == "column":
            columns, rest = b.i64(0), place
            step = b.i64(1)
            strides = []
            for size in sizes:
                strides.append(step)
                step = step * size
            for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
                columns = columns + rest % size * stride
                rest = rest // size
            place = columns
        image = b.i64(1)
        for size in sizes:
            image = image * size
        channels = self.b.iota(I64.with_lanes(self.lanes)) + (
            tile.index[0] * self.nest.number(self.spec.sliding.channels) + tile.channel
        )
        return place + channels * image


@dataclass(frozen=True)
class GlobalPool:
    """A pool over all ``pixels`` of each image; ``op`` as in ``Pool``; a task does GLOBAL_VECTORS vectors of channels.

    ``batch_stride`` is the input's; pixels and channels are dense, channels innermost. Buffers: 0 output (dense),
    1 input, then the epilogue's.
    """

    op: str
    dtype: DType
    out_dtype: DType
    batch: Dim
    channels: Dim
    pixels: Dim
    batch_stride: Dim
    program: PointProgram
    sizes: int
    spatial: int

    @property
    def name(self) -> str:
        return f"global_{self.op}_pool"

    def _block(self, lanes: int) -> int:
        return lanes * GLOBAL_VECTORS

    def tasks(self, lanes: int) -> Dim:
        """The number of parallel tasks for vectors of ``lanes`` of the computed dtype."""
        return self.batch * ceildiv(self.channels, self._block(lanes))

    def emit(self, b: KernelBuilder) -> None:
        compute = compute_dtype(self.dtype)
        lanes = b.target.lanes(compute.itemsize)

        def number(dim: Dim) -> Value:
            return emit_dim(b, dim, lambda name: b.size(int(name[1:])))

        pixels, stride, channels = number(self.pixels), number(self.batch_stride), number(self.channels)
        blocks = ceildiv(self.channels, self._block(lanes))
        store = _offset((self.channels, *[0] * self.spatial))
        with b.tasks() as task:
            image, block = unravel(b, task, [b.i64(0), number(blocks)])
            first = block * self._block(lanes)
            source = b.buffer(1, self.dtype).at(image * stride)
            totals = [b.var(_start(b, self.op, Type(compute, lanes))) for _ in range(GLOBAL_VECTORS)]
            masks = [b.tail_mask(channels - first - v * lanes, lanes) for v in range(GLOBAL_VECTORS)]
            if isinstance(self.channels, int) and self.channels % self._block(lanes) == 0:
                masks = [b.all_true(lanes)] * GLOBAL_VECTORS
            with b.loop(pixels, 0, GLOBAL_PIXELS) as start:
                parts = [b.var(_start(b, self.op, Type(compute, lanes))) for _ in range(GLOBAL_VECTORS)]
                with b.loop(b.minimum(start + GLOBAL_PIXELS, pixels), start) as pixel:
                    for vector, part in enumerate(parts):
                        place = pixel * channels + first + vector * lanes
                        x = source.load(place, lanes, masks[vector]).to(compute)
                        part.set(_combine(b, self.op, part.get(), x))
                for total, part in zip(totals, parts, strict=True):
                    total.set(b.maximum(part.get(), total.get()) if self.op == "max" else total.get() + part.get())
            for vector, total in enumerate(totals):
                value = _finish(b, self.op, total.get(), lambda: pixels)
                index = [image, *[b.i64(0)] * self.spatial, first + vector * lanes]
                position = Position(index, lanes, len(index) - 1, masks[vector])
                (result,) = emit_point(b, self.program, position, [value], 2, self.sizes)
                emit_store(b, 0, self.out_dtype, store, result, position)


@dataclass(frozen=True)
class Unpool:
    """out[:] = 0; then, in order, out[indices[i]] = x[i] for ``count`` elements; one task.

    An index outside [0, ``size``) makes the kernel return STATUS_INDEX. Buffers: 0 output of ``size`` elements,
    1 input, 2 indices (int64), all dense.
    """

    dtype: DType
    count: Dim
    size: Dim

    @property
    def name(self) -> str:
        return "max_unpool"

    def emit(self, b: KernelBuilder) -> None:
        out, source, indices = b.buffer(0, self.dtype), b.buffer(1, self.dtype), b.buffer(2, dtypes.int64)
        count, size = (emit_dim(b, dim, lambda name: b.size(int(name[1:]))) for dim in (self.count, self.size))
        lanes = b.target.lanes(self.dtype.itemsize)
        with b.tasks():
            b.vector_loop(size, lanes, lambda i, mask: out.store(b.zero(Type(self.dtype, lanes)), i, mask))
            with b.loop(count) as place:
                index = indices.load(place)
                b.return_if((index < 0) | (index >= size), STATUS_INDEX)
                out.store(source.load(place), index)
