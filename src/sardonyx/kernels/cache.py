"""The cache of keys or values: the rows in use, the new ones behind them, and zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import STATUS_INDEX
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim

__all__ = ["WriteCache"]


@dataclass(frozen=True)
class WriteCache:
    """Joins (batch, heads, past rows, width) up to row first[b] with (batch, heads, new rows, width).

        for task in [begin, end):                          # one head of one element of the batch
            out[0 ... first[b]] = past[0 ... first[b]]
            out[first[b] ... + new rows] = new
            out[the rest] = 0

    Strides are those of batch, head and row; elements of a row are adjacent, and the output is dense. A first row that
    is negative or beyond the past, or new rows that do not fit, give STATUS_INDEX. Buffers: past, new, first (int64),
    output.
    """

    dtype: DType
    heads: Dim
    past: Dim
    new: Dim
    rows: Dim
    width: Dim
    past_strides: tuple[Dim, Dim, Dim]
    new_strides: tuple[Dim, Dim, Dim]

    @property
    def name(self) -> str:
        return "write_cache"

    def emit(self, b: KernelBuilder) -> None:
        def dim(value: Dim) -> Value:
            return emit_dim(b, value, lambda name: b.size(int(name[1:])))

        heads, past, new, rows, width = map(dim, (self.heads, self.past, self.new, self.rows, self.width))
        lanes = b.target.lanes(self.dtype.itemsize)
        starts = [[dim(stride) for stride in row] for row in (self.past_strides, self.new_strides)]

        def copy(count: Value, source: Pointer, step: Value, target: Pointer) -> None:
            with b.loop(count) as row:
                there, here = source.at(row * step), target.at(row * width)

                def body(i: Value, mask: Value | None, there: Pointer = there, here: Pointer = here) -> None:
                    here.store(there.load(i, lanes, mask), i, mask)

                _over_row(b, self.width, width, lanes, body)

        with b.tasks() as task:
            head, batch = b.index_rem(task, heads), b.index_div(task, heads)
            first = b.buffer(2, dtypes.int64).load(batch)
            b.return_if((first < 0) | (first > past) | (first > rows - new), STATUS_INDEX)
            target = b.buffer(3, self.dtype).at(task * (rows * width))
            old, added = (b.buffer(k, self.dtype).at(batch * row[0]).at(head * row[1]) for k, row in enumerate(starts))
            copy(first, old, starts[0][2], target)
            copy(new, added, starts[1][2], target.at(first * width))
            rest = target.at((first + new) * width)
            zero = b.zero(Type(self.dtype, lanes))
            b.vector_loop((rows - first - new) * width, lanes, lambda i, mask: rest.store(zero, i, mask))


def _over_row(
    b: KernelBuilder, size: Dim, width: Value, lanes: int, body: Callable[[Value, Value | None], None]
) -> None:
    b.vector_loop(size if isinstance(size, int) else width, lanes, body)
