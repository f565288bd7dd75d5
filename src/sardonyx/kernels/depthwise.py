"""Convolutions whose groups have few channels: sums over vectors of output channels.

    for row, tile of pixels, vector of channels:            # kernels/window.py
        sums[pixel][:] = bias[:]
        for tap inside the image: for j < group_channels:
            sums[pixel][:] += x[pixel, input channels of the lanes, j] * w[tap][j][:]
        store(epilogue(sums))

Depthwise convolution is the case of one input and one output channel per group: the input is then a plain vector.
Otherwise each lane picks its channel from a vector of neighbouring ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.dot import multiply_add
from sardonyx.kernels.point import PointProgram, Position, emit_programs, emit_store
from sardonyx.kernels.sizes import emit_dim
from sardonyx.kernels.window import Nest, Sliding, Tile
from sardonyx.lang import I64, KernelBuilder, Type, Value, Var
from sardonyx.symbols import Dim, symbol

__all__ = ["Depthwise"]


@dataclass(frozen=True)
class Depthwise:
    """A grouped convolution with ``group_channels`` input and ``group_results`` output channels in each group.

    Buffers: 0 output, 1 input, 2 weights as [vector of output channels][tap][group channel][lane], 3 bias (with
    ``bias``), one element of the input's type to subtract from each (with ``zero_point``), then those of ``scale`` and
    the epilogue ``program``. ``out_strides`` are the output's: batch and spatial dimensions; channels are
    adjacent. ``sizes`` counts the kernel's own i64 arguments.
    """

    sliding: Sliding
    dtype: DType
    in_dtype: DType
    out_dtype: DType
    group_channels: int
    group_results: int
    out_strides: tuple[Dim, ...]
    bias: DType | None
    program: PointProgram
    sizes: int
    scale: PointProgram | None = None
    zero_point: bool = False

    @property
    def name(self) -> str:
        return "depthwise"

    def emit(self, b: KernelBuilder) -> None:
        Nest(b, self.sliding, _Body(self, b)).emit()


class _Body:
    """The multiply-adds of one tile."""

    def __init__(self, spec: Depthwise, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.lanes = b.target.lanes(spec.dtype.itemsize)
        self.source = b.buffer(1, spec.in_dtype)
        self.weights = b.buffer(2, spec.dtype)
        self.sums: list[Var] = []
        self.next_buffer = 3 + (spec.bias is not None) + spec.zero_point
        self.zero = b.buffer(self.next_buffer - 1, spec.in_dtype).load().to(spec.dtype) if spec.zero_point else None
        self.store_offset: Dim = symbol(f"i{len(spec.out_strides)}")
        for axis, stride in enumerate(spec.out_strides):
            self.store_offset = self.store_offset + symbol(f"i{axis}") * stride

    def begin(self, tile: Tile) -> None:
        spec, b = self.spec, self.b
        start = b.zero(Type(spec.dtype, self.lanes))
        if spec.bias is not None:
            start = b.buffer(3, spec.bias).load(tile.channel, self.lanes, tile.mask).to(spec.dtype)
        self.sums = [b.var(start) for _ in range(tile.count)]

    def load(self, tile: Tile, offset: Value) -> list[Value]:
        spec, lanes = self.spec, self.lanes
        inputs, outputs = spec.group_channels, spec.group_results
        if inputs == outputs == 1:
            return [self.centred(self.source.load(offset + tile.channel, lanes, tile.mask))]
        if lanes > 1 and lanes % outputs == 0 and spec.sliding.block % lanes == 0 and inputs <= outputs:
            return self.shuffled(tile, offset)
        channels = self.b.iota(I64.with_lanes(lanes)) + tile.channel if lanes > 1 else tile.channel
        groups = channels // outputs
        result = []
        for j in range(inputs):
            offsets = groups * inputs + j
            at = self.source.at(offset)
            value = at.gather(offsets, tile.mask) if lanes > 1 else at.load(offsets)
            result.append(self.centred(value))
        return result

    def centred(self, value: Value) -> Value:
        """Input elements as they are multiplied."""
        wide = value.to(self.spec.dtype)
        return wide if self.zero is None else wide - self.zero

    def shuffled(self, tile: Tile, offset: Value) -> list[Value]:
        """Whole groups in a vector: their input channels are one vector too, from which each lane picks its own."""
        spec, b, lanes = self.spec, self.b, self.lanes
        inputs, outputs = spec.group_channels, spec.group_results
        first = tile.channel // outputs * inputs
        mask = None
        if tile.mask is not None or inputs < outputs:
            total = emit_dim(b, spec.sliding.channels // outputs * inputs, lambda name: b.size(int(name[1:])))
            here = b.i64(lanes // outputs * inputs)
            mask = b.tail_mask(b.minimum(total - first, here), lanes)
        loaded = self.centred(self.source.load(offset + first, lanes, mask))
        picks = [[lane // outputs * inputs + j for lane in range(lanes)] for j in range(inputs)]
        return [b.shuffle(loaded, None, pick) for pick in picks]

    def tap(self, tile: Tile, tap: Value) -> list[Value]:
        inputs, lanes, taps = self.spec.group_channels, self.lanes, math.prod(self.spec.sliding.kernel)
        start = self.weights.at(tile.channel * (taps * inputs) + tap * (inputs * lanes))
        return [start.load(j * lanes, lanes) for j in range(inputs)]

    def step(self, tile: Tile, pixel: int, loaded: list[Value], tap: list[Value], place: Value) -> None:
        total = self.sums[pixel]
        for value, weight in zip(loaded, tap, strict=True):
            total.set(multiply_add(self.b, value, weight, total.get()))

    def finish(self, tile: Tile) -> None:
        spec, b = self.spec, self.b
        for pixel, total in enumerate(self.sums):
            index = [*tile.index[:-1], tile.index[-1] + pixel, tile.channel]
            position = Position(index, self.lanes, len(index) - 1, tile.mask)
            programs = spec.scale, spec.program
            (result,) = emit_programs(b, programs, position, [total.get()], self.next_buffer, spec.sizes)
            emit_store(b, 0, spec.out_dtype, self.store_offset, result, position)
