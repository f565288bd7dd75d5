"""The different slices of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.compact import merge_sort, size_of
from sardonyx.kernels.select import compare_dtype, sort_key
from sardonyx.lang import BOOL, KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim

__all__ = ["Unique"]


@dataclass(frozen=True)
class Unique:
    """Which of the ``size`` slices ``x[:, k, :]`` differ; one task.

        order = slices, sorted stably by their elements            # equal ones side by side, the first of them first
        groups of equals, numbered in this order, or by where each comes first (``sorted`` false)
        firsts[group], counts[group], inverse[slice] = group

    Elements are compared as ``sort_key`` has it. Buffers: 0 x [outer, size, inner], 1 firsts, 2 inverse, 3 counts (all
    three of ``size`` elements), 4 the number of groups, 5 scratch of four times ``size`` int64.
    """

    dtype: DType
    outer: Dim
    size: Dim
    inner: Dim
    sorted: bool

    @property
    def name(self) -> str:
        return "unique"

    def emit(self, b: KernelBuilder) -> None:
        firsts, inverse, counts, total, scratch = (b.buffer(slot, dtypes.int64) for slot in range(1, 6))
        n = size_of(b, self.size)
        with b.tasks():
            with b.loop(n) as i:
                scratch.store(i, i)
            order = merge_sort(b, scratch, n, lambda x, y: self._compared(b, x, y) <= 0)
            groups = self._groups(b, order, n, firsts, inverse, counts)
            if not self.sorted:
                self._renumber(b, n, groups, firsts, inverse, counts, scratch.at(n * 2))
            total.store(groups)

    def _key(self, b: KernelBuilder, slice_: Value, outer: Value, inner: Value) -> Value:
        offset = (outer * size_of(b, self.size) + slice_) * size_of(b, self.inner) + inner
        return sort_key(b, b.buffer(0, self.dtype).load(offset).to(compare_dtype(self.dtype)))

    def _compared(self, b: KernelBuilder, x: Value, y: Value) -> Value:
        """-1, 0 or 1 where slice x comes before y, is equal, or comes after it."""
        result, outer, inner = b.var(b.i64(0)), b.var(b.i64(0)), b.var(b.i64(0))
        outer_size, inner_size = size_of(b, self.outer), size_of(b, self.inner)
        going = b.var((outer_size > 0) & (inner_size > 0))
        with b.while_(going.get):
            left, right = (self._key(b, slice_, outer.get(), inner.get()) for slice_ in (x, y))
            result.set(b.select(left < right, b.i64(-1), b.select(left > right, b.i64(1), b.i64(0))))
            last = inner.get() + 1 == inner_size
            inner.set(b.select(last, b.i64(0), inner.get() + 1))
            outer.set(outer.get() + b.select(last, b.i64(1), b.i64(0)))
            going.set((result.get() == 0) & (outer.get() < outer_size))
        return result.get()

    def _groups(
        self, b: KernelBuilder, order: Pointer, n: Value, firsts: Pointer, inverse: Pointer, counts: Pointer
    ) -> Value:
        groups = b.var(b.i64(0))
        with b.loop(n) as i:
            slice_ = order.load(i)
            new = b.var(b.const(True, BOOL))
            with b.if_(i > 0):
                new.set(self._compared(b, order.load(i - 1), slice_) != 0)
            with b.if_(new.get()):
                firsts.store(slice_, groups.get())
                counts.store(b.i64(0), groups.get())
                groups.set(groups.get() + 1)
            group = groups.get() - 1
            counts.store(counts.load(group) + 1, group)
            inverse.store(group, slice_)
        return groups.get()

    def _renumber(
        self,
        b: KernelBuilder,
        n: Value,
        groups: Value,
        firsts: Pointer,
        inverse: Pointer,
        counts: Pointer,
        scratch: Pointer,
    ) -> None:
        """Groups in the order of their first slices."""
        numbers, amounts = scratch, scratch.at(n)
        with b.loop(groups) as group:
            amounts.store(counts.load(group), group)
            numbers.store(b.i64(-1), group)
        following = b.var(b.i64(0))
        with b.loop(n) as i:
            group = inverse.load(i)
            with b.if_(numbers.load(group) < 0):
                numbers.store(following.get(), group)
                firsts.store(i, following.get())
                counts.store(amounts.load(group), following.get())
                following.set(following.get() + 1)
            inverse.store(numbers.load(group), i)
