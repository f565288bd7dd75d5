"""Weights of a convolution in the order its kernel reads them.

packed[group][panel][tap][k][column] = weights[group, panel * columns + column, k, tap], zero past the last result
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value

__all__ = ["ConvPack"]


@dataclass(frozen=True)
class ConvPack:
    """Packs weights into panels of ``columns`` results (a multiple of the vector's lanes, or fewer than them).

    ``loops`` are (count, stride) of the reduction, outermost first: taps, then input channels; ``group_stride`` and
    ``result_stride`` step through groups and results of one group. Strides may be negative (reversed taps). Buffer 0 is
    the packed memory, buffer 1 the weights' first element; one task is one panel of one group.
    """

    source: DType
    dest: DType
    groups: int
    results: int
    columns: int
    loops: tuple[tuple[int, int], ...]
    group_stride: int
    result_stride: int

    @property
    def name(self) -> str:
        return "conv_pack"

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return -(-self.results // self.columns)

    @property
    def depth(self) -> int:
        """Rows of one panel."""
        return math.prod(count for count, _ in self.loops)

    @property
    def count(self) -> int:
        """Elements of the packed memory."""
        return self.groups * self.panels * self.depth * self.columns

    @property
    def tasks(self) -> int:
        return self.groups * self.panels

    def emit(self, b: KernelBuilder) -> None:
        dest, source = b.buffer(0, self.dest), b.buffer(1, self.source)
        lanes = min(self.columns, b.target.lanes(self.dest.itemsize))
        with b.tasks() as task:
            group, panel = task // self.panels, task % self.panels
            first = panel * self.columns
            origin = source.at(group * self.group_stride + first * self.result_stride)
            target = dest.at(task * (self.depth * self.columns))
            left = b.i64(self.results) - first
            with b.loop(self.depth) as row:
                offset, rest = b.i64(0), row
                for count, stride in reversed(self.loops):
                    offset = offset + rest % count * stride
                    rest = rest // count
                with b.loop(self.columns, 0, lanes) as column:
                    self._columns(b, origin.at(offset), target.at(row * self.columns + column), column, left, lanes)

    def _columns(
        self, b: KernelBuilder, origin: Pointer, target: Pointer, column: Value, left: Value, lanes: int
    ) -> None:
        """One vector of results of one row."""
        if lanes == 1:
            value = b.var(b.zero(Type(self.dest)))
            with b.if_(left > column):
                value.set(origin.load(column * self.result_stride).to(self.dest))
            target.store(value.get())
            return
        steps = (b.iota(I64.with_lanes(lanes)) + column) * self.result_stride
        target.store(origin.gather(steps, b.tail_mask(left - column, lanes)).to(self.dest))
