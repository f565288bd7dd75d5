"""Tables: the value of a key, and the row of a category."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import STATUS_INDEX, compute_dtype
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["CategoryRows", "Lookup"]

BLOCK = 1024
"""Elements of one task."""


@dataclass(frozen=True)
class Lookup:
    """``y[i] = values[k]`` where ``keys[k] == x[i]``: a binary search in s1 sorted keys, one element a lane.

        place = 0
        for stretch = keys, halved until it is 1: place += half where keys[place + half - 1] < x
        y = values[place] if keys[place] == x else values[s1] (NaN: values[s1 + 1])

    Buffers: x (s0 elements), keys in the compute dtype of x, values (two more than keys: for no key, for NaN), y.
    """

    key: DType
    value: DType

    @property
    def name(self) -> str:
        return "lookup"

    @staticmethod
    def tasks(count: Dim) -> Dim:
        """The number of parallel tasks for that many elements."""
        return ceildiv(count, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        lanes, compute = b.target.lanes(8), compute_dtype(self.key)
        source, keys = b.buffer(0, self.key), b.buffer(1, compute)
        values, target = b.buffer(2, self.value), b.buffer(3, self.value)
        count, known = b.size(0), b.size(1)
        index = I64.with_lanes(lanes)

        def body(offset: Value, mask: Value | None, first: Value) -> None:
            x = source.load(first + offset, lanes, mask).to(compute)
            place, stretch = b.var(b.zero(index)), b.var(known)
            with b.while_(lambda: stretch.get() > 1):
                half = stretch.get() // 2
                below = keys.gather(place.get() + (half - 1)) < x
                place.set(b.select(below, place.get() + half, place.get()))
                stretch.set(stretch.get() - half)
            found = b.var(b.splat(known, lanes))
            with b.if_(known > 0):
                found.set(b.select(keys.gather(place.get()) == x, place.get(), found.get()))
            entry = found.get()
            if compute.is_float:
                entry = b.select(b.is_nan(x), b.splat(known + 1, lanes), entry)
            target.store(values.gather(entry), first + offset, mask)

        with b.tasks() as task:
            first = task * BLOCK
            b.vector_loop(b.minimum(count - first, BLOCK), lanes, lambda i, mask: body(i, mask, first))


@dataclass(frozen=True)
class CategoryRows:
    """``y[i, k] = categories[k] == x[i]`` as 1 and 0; with ``strict`` an element of no category is STATUS_INDEX.

    Floats are truncated to integers. Buffers: x (s0 elements), s1 int64 categories, y in float32.
    """

    dtype: DType
    strict: bool

    @property
    def name(self) -> str:
        return "category_rows"

    @staticmethod
    def tasks(count: Dim) -> Dim:
        """The number of parallel tasks for that many elements."""
        return ceildiv(count, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        lanes = b.target.lanes(8)
        source, categories, target = (
            b.buffer(0, self.dtype),
            b.buffer(1, dtypes.int64),
            b.buffer(2, dtypes.float32),
        )
        count, known = b.size(0), b.size(1)
        found = b.var(b.zero(I64))

        def row(i: Value) -> None:
            x = source.load(i).to(compute_dtype(self.dtype))
            key = x.to(dtypes.int64)
            if x.dtype.is_float:
                key = b.select(b.is_nan(x), -(1 << 63), key)
            found.set(0)

            def body(k: Value, mask: Value | None) -> None:
                same = categories.load(k, lanes, mask) == key
                target.store(same.to(dtypes.float32), i * known + k, mask)
                inside = same if mask is None else same & mask
                found.set(found.get() | b.any(inside).to(dtypes.int64))

            b.vector_loop(known, lanes, body)
            if self.strict:
                b.return_if(found.get() == 0, STATUS_INDEX)

        with b.tasks() as task:
            first = task * BLOCK
            with b.loop(b.minimum(first + BLOCK, count), first) as i:
                row(i)
