"""Tensors made from a few numbers: number ranges and one-hot rows."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["NumberRange", "OneHot"]

BLOCK = 4096
"""Elements of one task."""


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


@dataclass(frozen=True)
class NumberRange:
    """``y[i] = start + i * delta`` for i in [0, count): buffers 0 start, 1 delta, 2 y; ``count`` is an int or ``s0``.

    Floats are computed in float64 and rounded once.
    """

    dtype: DType
    count: Dim

    @property
    def name(self) -> str:
        return "range"

    @staticmethod
    def tasks(count: Dim) -> Dim:
        """The number of parallel tasks for that many elements."""
        return ceildiv(count, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        compute = dtypes.float64 if self.dtype.is_float else self.dtype
        lanes = b.target.lanes(8)
        start, delta = (b.buffer(slot, self.dtype).load().to(compute) for slot in (0, 1))
        target = b.buffer(2, self.dtype)
        count = _dim(b, self.count)
        with b.tasks() as task:
            first = task * BLOCK

            def body(offset: Value, mask: Value | None) -> None:
                place = first + offset
                number = (place + b.iota(I64.with_lanes(lanes))).to(compute)
                target.store((number * delta + start).to(self.dtype), place, mask)

            b.vector_loop(b.minimum(count - first, BLOCK), lanes, body)


@dataclass(frozen=True)
class OneHot:
    """``y[o, d, i] = values[indices[o, i] == d]`` over [outer, depth, inner]; all buffers are row-major.

    An index below 0 counts from ``depth``; one out of range gives a row of ``values[0]``. A task is one o. Buffers:
    0 indices [outer, inner], 1 values [2], 2 y; sizes are ints or ``s0, s1``.
    """

    index_dtype: DType
    dtype: DType
    depth: Dim
    inner: Dim

    @property
    def name(self) -> str:
        return "one_hot"

    def emit(self, b: KernelBuilder) -> None:
        indices, values, target = b.buffer(0, self.index_dtype), b.buffer(1, self.dtype), b.buffer(2, self.dtype)
        off, on = values.load(0), values.load(1)
        depth, inner = _dim(b, self.depth), _dim(b, self.inner)
        lanes = b.target.lanes(max(8, compute_dtype(self.dtype).itemsize))

        def wrapped(index: Value) -> Value:
            number = index.to(compute_dtype(self.index_dtype)).to(dtypes.int64)
            return b.select(number < 0, number + depth, number)

        def along_depth(outer: Value) -> None:
            index = wrapped(indices.load(outer))

            def body(d: Value, mask: Value | None) -> None:
                hit = (d + b.iota(I64.with_lanes(lanes))) == index
                target.store(b.select(hit, on, off), outer * depth + d, mask)

            b.vector_loop(depth, lanes, body)

        def along_inner(outer: Value) -> None:
            with b.loop(depth) as d:

                def body(i: Value, mask: Value | None) -> None:
                    hit = wrapped(indices.load(outer * inner + i, lanes, mask)) == d
                    target.store(b.select(hit, on, off), (outer * depth + d) * inner + i, mask)

                b.vector_loop(inner, lanes, body)

        with b.tasks() as task:
            (along_depth if self.inner == 1 else along_inner)(task)
