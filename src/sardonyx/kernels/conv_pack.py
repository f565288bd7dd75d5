"""Weights of a convolution in the order its kernel reads them.

packed[group][panel][tap][k][column] = weights[group, panel * columns + column, k, tap], zero past the last result
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value

__all__ = ["ConvPack", "Packing"]


@dataclass(frozen=True)
class Packing:
    """The sizes of packed weights: panels of ``columns`` results (a multiple of the vector's lanes, or fewer).

    ``loops`` are (count, stride) of the reduction, outermost first: taps, then input channels; ``group_stride`` and
    ``result_stride`` step through groups and results of one group. Strides may be negative (reversed taps). With
    ``step``, packed elements are words of that many input channels (kernels/dot.py).
    """

    groups: int
    results: int
    columns: int
    loops: tuple[tuple[int, int], ...]
    group_stride: int
    result_stride: int
    step: int = 1

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return -(-self.results // self.columns)

    @property
    def depth(self) -> int:
        """Rows of one panel."""
        counts = [count for count, _ in self.loops]
        return math.prod([*counts[:-1], -(-counts[-1] // self.step)])

    @property
    def count(self) -> int:
        """Elements of the packed memory."""
        return self.groups * self.panels * self.depth * self.columns

    @property
    def tasks(self) -> int:
        """One task packs one panel."""
        return self.groups * self.panels

    @property
    def sizes(self) -> list[int]:
        """The i64 arguments of ``ConvPack``."""
        loops = [number for loop in self.loops for number in loop]
        return [self.results, self.columns, self.panels, self.group_stride, self.result_stride, *loops]


@dataclass(frozen=True)
class ConvPack:
    """Packs weights as ``Packing`` says, whose ``sizes`` are its arguments: all convolutions share the code.

    ``rank`` is the number of reduction loops; ``lanes`` divides the columns of a panel. Buffer 0 is the packed memory,
    buffer 1 the weights' first element.
    """

    source: DType
    dest: DType
    rank: int
    lanes: int
    atom: Atom | None = None

    @property
    def name(self) -> str:
        return "conv_pack"

    def emit(self, b: KernelBuilder) -> None:
        atom = self.atom or plain_atom(self.dest)
        dest, source = b.buffer(0, self.dest), b.buffer(1, self.source)
        results, columns, panels, group_stride, result_stride = (b.size(k) for k in range(5))
        loops = [(b.size(5 + 2 * k), b.size(6 + 2 * k)) for k in range(self.rank)]
        channels, channel_stride = loops.pop()
        words = (channels + (atom.depth - 1)) // atom.depth
        depth = words
        for count, _ in loops:
            depth = depth * count
        with b.tasks() as task:
            first = task % panels * columns
            origin = source.at(task // panels * group_stride + first * result_stride)
            target = dest.at(task * depth * columns)

            def store(offset: Value, channel: Value, elements: int, row: Value, first: Value = first) -> None:
                """One row: a word of so many channels of each result."""
                start = origin.at(offset + channel * channel_stride)
                with b.loop(columns, 0, self.lanes) as column:
                    parts = [
                        self._vector(b, start.at(k * channel_stride), column, results - first, result_stride)
                        for k in range(elements)
                    ]
                    target.store(atom.word(b, parts), row * columns + column)

            def reduction(axis: int, offset: Value, row: Value) -> None:
                if axis < len(loops):
                    count, stride = loops[axis]
                    with b.loop(count) as step:
                        reduction(axis + 1, offset + step * stride, row * count + step)
                    return
                whole = channels // atom.depth
                with b.loop(whole) as word:
                    store(offset, word * atom.depth, atom.depth, row * words + word)
                for rest in range(1, atom.depth):
                    with b.if_(channels % atom.depth == rest):
                        store(offset, whole * atom.depth, rest, row * words + whole)

            reduction(0, b.i64(0), b.i64(0))

    def _vector(self, b: KernelBuilder, origin: Pointer, column: Value, left: Value, stride: Value) -> Value:
        """One vector of results of one row, zero past the last."""
        if self.lanes == 1:
            value = b.var(b.zero(Type(self.source)))
            with b.if_(left > column):
                value.set(origin.load(column * stride))
            return value.get()
        steps = (b.iota(I64.with_lanes(self.lanes)) + column) * stride
        return origin.gather(steps, b.tail_mask(left - column, self.lanes))
