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
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, product

__all__ = ["ConvPad"]


@dataclass(frozen=True)
class ConvPad:
    """Copies [n][spatial ...][channels] elements into the middle of a dense padded buffer.

    ``sizes`` are the input's spatial sizes, ``padded`` the buffer's, ``begin`` the padding before; what lies after
    ``padded`` is left out. ``strides`` are the input's: batch, spatial dimensions; channels are adjacent in memory.
    ``pitch`` is the distance of two pixels of the buffer in elements, at least ``channels``. Buffer 0 is the padded
    one, buffer 1 the input.
    """

    source: DType
    dest: DType
    channels: int
    pitch: int
    batch: Dim
    sizes: tuple[Dim, ...]
    padded: tuple[Dim, ...]
    begin: tuple[Dim, ...]
    strides: tuple[Dim, ...]

    @property
    def name(self) -> str:
        return "conv_pad"

    def tasks(self) -> Dim:
        """The number of parallel tasks, in the kernel's own slots."""
        return self.batch * product(self.padded[:-1])

    def emit(self, b: KernelBuilder) -> None:
        def number(dim: Dim) -> Value:
            return emit_dim(b, dim, lambda name: b.size(int(name[1:])))

        dest, source = b.buffer(0, self.dest), b.buffer(1, self.source)
        width = number(self.padded[-1])
        sizes, begin, strides = ([number(d) for d in dims] for dims in (self.sizes, self.begin, self.strides))
        outer = [number(d) for d in (self.batch, *self.padded[:-1])]
        with b.tasks() as task:
            index = unravel(b, task, outer)
            row = dest.at(task * width * self.pitch)
            inside = b.i64(0) == 0
            offset = index[0] * strides[0]
            for axis in range(len(sizes) - 1):
                place = index[axis + 1] - begin[axis]
                inside = inside & (place >= 0) & (place < sizes[axis])
                offset = offset + place * strides[axis + 1]
            with b.if_else(inside) as (then, otherwise):
                with then:
                    before = b.minimum(begin[-1], width)
                    last = b.minimum(before + sizes[-1], width)
                    self._zero(b, row, b.i64(0), before)
                    self._copy(b, row.at(before * self.pitch), source.at(offset), last - before, strides[-1])
                    self._zero(b, row, last, width)
                with otherwise:
                    self._zero(b, row, b.i64(0), width)

    def _zero(self, b: KernelBuilder, row: Pointer, first: Value, last: Value) -> None:
        lanes = b.target.lanes(self.dest.itemsize)
        zero = b.zero(Type(self.dest, lanes))
        start = row.at(first * self.pitch)
        b.vector_loop((last - first) * self.pitch, lanes, lambda i, mask: start.store(zero, i, mask))

    def _copy(self, b: KernelBuilder, row: Pointer, source: Pointer, count: Value, stride: Value) -> None:
        lanes = b.target.lanes(max(self.dest.itemsize, self.source.itemsize))

        def move(target: Pointer, origin: Pointer, elements: Value | int) -> None:
            def body(i: Value, mask: Value | None) -> None:
                target.store(origin.load(i, lanes, mask).to(self.dest), i, mask)

            b.vector_loop(elements, lanes, body)

        if self.pitch == self.channels and self.strides[-1] == self.channels:
            move(row, source, count * self.channels)
            return
        with b.loop(count) as pixel:
            move(row.at(pixel * self.pitch), source.at(pixel * stride), self.channels)
