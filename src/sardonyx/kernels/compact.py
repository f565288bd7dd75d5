"""Elements that are kept, put together: what NonZero, Compress, Unique and NonMaxSuppression share.

How many there are is known only when they were counted. Each block counts its own; a running sum of these tells every
block where its results begin, so that the blocks can be done in any order by any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import BOOL, KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["BLOCK", "CountTrue", "Offsets", "TakeSlices", "TrueCoordinates", "merge_sort", "size_of"]

BLOCK = 4096
"""Elements that one task looks at."""
SLICES = 64
"""Slices that one task copies."""


def size_of(b: KernelBuilder, dim: Dim) -> Value:
    """A size of a kernel's description as a value."""
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


def _is_true(b: KernelBuilder, value: Value) -> Value:
    return value if value.type == BOOL.with_lanes(value.lanes) else value.to(compute_dtype(value.dtype)) != 0


@dataclass(frozen=True)
class CountTrue:
    """``counts[task]`` is the number of elements of a block that are not 0. Buffers: 0 elements, 1 counts."""

    dtype: DType
    count: Dim

    @property
    def name(self) -> str:
        return "count_true"

    @staticmethod
    def tasks(count: Dim) -> Dim:
        """The number of parallel tasks for that many elements."""
        return ceildiv(count, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        elements, counts = b.buffer(0, self.dtype), b.buffer(1, dtypes.int64)
        with b.tasks() as task:
            found = b.var(b.i64(0))
            first = task * BLOCK
            with b.loop(b.minimum(size_of(b, self.count), first + BLOCK), first) as i:
                found.set(found.get() + b.select(_is_true(b, elements.load(i)), b.i64(1), b.i64(0)))
            counts.store(found.get(), task)


@dataclass(frozen=True)
class Offsets:
    """Replaces each of ``count`` numbers by the sum of those before it; one task.

    Buffers: 0 the numbers, 1 the sum of all.
    """

    count: Dim

    @property
    def name(self) -> str:
        return "offsets"

    def emit(self, b: KernelBuilder) -> None:
        numbers, total = b.buffer(0, dtypes.int64), b.buffer(1, dtypes.int64)
        with b.tasks():
            sum_ = b.var(b.i64(0))
            with b.loop(size_of(b, self.count)) as i:
                number = numbers.load(i)
                numbers.store(sum_.get(), i)
                sum_.set(sum_.get() + number)
            total.store(sum_.get())


@dataclass(frozen=True)
class TrueCoordinates:
    """``places[r, k]`` is the position along dimension r of the element number k that is not 0.

    Buffers: 0 elements of the row-major shape ``extents``, 1 each block's offset, 2 how many there are, 3 places.
    """

    dtype: DType
    extents: tuple[Dim, ...]
    count: Dim

    @property
    def name(self) -> str:
        return "true_coordinates"

    def emit(self, b: KernelBuilder) -> None:
        elements, offsets = b.buffer(0, self.dtype), b.buffer(1, dtypes.int64)
        total, places = b.buffer(2, dtypes.int64), b.buffer(3, dtypes.int64)
        sizes = [size_of(b, extent) for extent in self.extents]
        with b.tasks() as task:
            columns = total.load()
            place = b.var(offsets.load(task))
            first = task * BLOCK
            end = b.minimum(size_of(b, self.count), first + BLOCK)
            with b.loop(end, first) as i, b.if_(_is_true(b, elements.load(i))):
                for row, coordinate in enumerate(unravel(b, i, sizes) if sizes else []):
                    places.store(coordinate, columns * row + place.get())
                place.set(place.get() + 1)


@dataclass(frozen=True)
class TakeSlices:
    """``y[o, k, i] = x[o, places[k], i]`` for as many k as there are places; the others are out of the way.

    ``most`` is the most places there can be, ``size`` the number of slices of x. Buffers: 0 x [outer, size, inner],
    1 places, 2 how many there are, 3 y.
    """

    dtype: DType
    most: Dim
    size: Dim
    inner: Dim

    @property
    def name(self) -> str:
        return "take_slices"

    @staticmethod
    def tasks(outer: Dim, most: Dim) -> Dim:
        """The number of parallel tasks."""
        return outer * ceildiv(most, SLICES)

    def emit(self, b: KernelBuilder) -> None:
        source, places = b.buffer(0, self.dtype), b.buffer(1, dtypes.int64)
        total, target = b.buffer(2, dtypes.int64), b.buffer(3, self.dtype)
        most, size, inner = (size_of(b, dim) for dim in (self.most, self.size, self.inner))
        blocks = b.index_div(most + (SLICES - 1), SLICES)
        lanes = 1 if self.inner == 1 else b.target.lanes(self.dtype.itemsize)
        with b.tasks() as task:
            outer, block = b.index_div(task, blocks), b.index_rem(task, blocks)
            count = total.load()
            with b.loop(b.minimum(count, (block + 1) * SLICES), block * SLICES) as k:
                read = source.at((outer * size + places.load(k)) * inner)
                written = target.at((outer * count + k) * inner)

                def body(i: Value, mask: Value | None, read: Pointer = read, written: Pointer = written) -> None:
                    written.store(read.load(i, lanes, mask), i, mask)

                b.vector_loop(inner, lanes, body)


def merge_sort(b: KernelBuilder, memory: Pointer, count: Value, in_order: Callable[[Value, Value], Value]) -> Pointer:
    """Sorts the ``count`` integers at ``memory`` stably; gives where the result lies.

    ``memory`` has room for twice as many. ``in_order(x, y)`` says whether x, which stood before y, may stay there.

        for width = 1, 2, 4 ...:
            for each pair of runs of that width: merge them into the other half of the memory
    """
    base, width = b.var(b.i64(0)), b.var(b.i64(1))
    with b.while_(lambda: width.get() < count):
        source, target = memory.at(base.get()), memory.at(count - base.get())
        with b.loop(count, 0, width.get() * 2) as low:
            middle = b.minimum(low + width.get(), count)
            high = b.minimum(middle + width.get(), count)
            left, right = b.var(low), b.var(middle)
            with b.loop(high, low) as place:
                take_left = b.var(right.get() >= high)
                with b.if_((left.get() < middle) & (right.get() < high)):
                    take_left.set(in_order(source.load(left.get()), source.load(right.get())))
                with b.if_else(take_left.get()) as (then, otherwise):
                    with then:
                        target.store(source.load(left.get()), place)
                        left.set(left.get() + 1)
                    with otherwise:
                        target.store(source.load(right.get()), place)
                        right.set(right.get() + 1)
        base.set(count - base.get())
        width.set(width.get() * 2)
    return memory.at(base.get())
