"""The padded copy of a convolution's input: channels last, zeros around it, in the dtype the sums are made in.

    for row in tasks:                                 # one row (n, d, h) of the padded image
        if the row lies in the padding: zeros
        else: zeros before, the input's row, zeros after

The convolution itself then never asks whether an element exists. A copied element is used by as many multiply-adds as
the kernel has taps and results, which is why the copy is a small part of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.lang import KernelBuilder, Pointer, Type, Value

__all__ = ["ConvPad"]


@dataclass(frozen=True)
class ConvPad:
    """Copies [batch][spatial ...][channels] elements into the middle of a dense padded buffer.

    All sizes are i64 arguments, so that every convolution shares the code: channels; the distance of two pixels of the
    buffer (at least channels); batch; then, for each of ``rank`` spatial dimensions, the input's sizes, the buffer's
    sizes and the padding before; then the input's strides: batch and spatial dimensions. Channels are adjacent in
    memory. With ``merged`` pixels are so too, on both sides. What lies after the buffer's size is left out. Buffer 0 is
    the padded one, buffer 1 the input, buffer 2 with ``fill`` one element of the input's type to put around it in place
    of zero; one task is one row (batch and spatial dimensions but the last) of the buffer.
    """

    source: DType
    dest: DType
    rank: int
    merged: bool
    fill: bool = False

    @property
    def name(self) -> str:
        return "conv_pad"

    def emit(self, b: KernelBuilder) -> None:
        dest, source, rank = b.buffer(0, self.dest), b.buffer(1, self.source), self.rank
        channels, pitch, batch = (b.size(k) for k in range(3))
        sizes, padded, begin = ([b.size(3 + part * rank + axis) for axis in range(rank)] for part in range(3))
        strides = [b.size(3 + 3 * rank + axis) for axis in range(rank + 1)]
        width = padded[-1]
        lanes = b.target.lanes(self.dest.itemsize)
        around = b.zero(Type(self.dest, lanes))
        if self.fill:
            around = b.splat(b.buffer(2, self.source).load().to(self.dest), lanes)
        with b.tasks() as task:
            index = unravel(b, task, [batch, *padded[:-1]])
            row = dest.at(task * width * pitch)
            inside = b.i64(0) == 0
            offset = index[0] * strides[0]
            for axis in range(rank - 1):
                place = index[axis + 1] - begin[axis]
                inside = inside & (place >= 0) & (place < sizes[axis])
                offset = offset + place * strides[axis + 1]
            first = b.select(inside, b.minimum(begin[-1], width), width)
            count = b.select(inside, b.minimum(sizes[-1], width - first), b.i64(0))
            self._fill(b, around, row, first * pitch)
            start = row.at(first * pitch)
            if self.merged:
                self._copy(b, start, source.at(offset), count * channels)
            else:
                with b.loop(count) as pixel:
                    self._copy(b, start.at(pixel * pitch), source.at(offset + pixel * strides[-1]), channels)
            self._fill(b, around, row.at((first + count) * pitch), (width - first - count) * pitch)

    def _fill(self, b: KernelBuilder, value: Value, start: Pointer, count: Value) -> None:
        b.vector_loop(count, value.lanes, lambda i, mask: start.store(value, i, mask))

    def _copy(self, b: KernelBuilder, dest: Pointer, source: Pointer, count: Value) -> None:
        lanes = b.target.lanes(max(self.dest.itemsize, self.source.itemsize))

        def body(i: Value, mask: Value | None) -> None:
            dest.store(source.load(i, lanes, mask).to(self.dest), i, mask)

        b.vector_loop(count, lanes, body)
