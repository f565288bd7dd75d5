"""Operators whose output sizes only the data can tell: Compress, NonZero, Unique.

Their kernels count, and put the results at the start of memory for as many as there could be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.compact import CountTrue, Offsets, TakeSlices, TrueCoordinates
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.kernels.unique import Unique as UniqueKernel
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, minimum, product

__all__ = ["Compress", "NonZero", "Unique", "offsets_of"]


def offsets_of(ctx: LowerContext, numbers: Operand, count: Dim, total: Operand) -> None:
    """Replaces ``count`` numbers by the sums of those before them, and puts the sum of all into ``total``."""
    slots = Slots()
    ctx.call(Offsets(slots.add(count)), [numbers, total], slots.sizes, 1, count)


def _count(ctx: LowerContext, elements: Operand, count: Dim, total: Operand) -> Operand:
    """Where the elements that are not 0 begin, block by block; their number goes into ``total``."""
    slots, tasks = Slots(), CountTrue.tasks(count)
    offsets = ctx.scratch(dtypes.int64, tasks)
    ctx.call(CountTrue(elements.dtype, slots.add(count)), [elements, offsets], slots.sizes, tasks, count)
    offsets_of(ctx, offsets, tasks, total)
    return offsets


def _coordinates(ctx: LowerContext, elements: Operand, extents: Sequence[Dim], total: Operand, places: Operand) -> None:
    """The coordinates in ``extents`` of the elements that are not 0."""
    slots, count = Slots(), product(extents)
    offsets = _count(ctx, elements, count, total)
    kernel = TrueCoordinates(elements.dtype, tuple(slots.add(extent) for extent in extents), slots.add(count))
    operands = [elements, offsets, total, places]
    ctx.call(kernel, operands, slots.sizes, CountTrue.tasks(count), count * max(1, len(extents)))


def _take(ctx: LowerContext, parts: tuple[Dim, Dim, Dim], places: Operand, most: Dim, total: Operand) -> None:
    """The slices of input 0, [outer, size, inner], at ``places``, as output 0."""
    source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
    outer, size, inner = parts
    kernel = TakeSlices(source.dtype, slots.add(most), slots.add(size), slots.add(inner))
    tasks = TakeSlices.tasks(outer, most)
    ctx.call(kernel, [source, places, total, target], slots.sizes, tasks, outer * most * inner)


def _parts(ctx: InferContext, axis: int | None) -> tuple[Dim, Dim, Dim]:
    """The numbers of elements before, along and after an axis; without one, all elements are along it."""
    shape = ctx.input(0).shape or ()
    if axis is None:
        return 1, product(shape), 1
    place = axis_of(ctx, axis, len(shape))
    return product(shape[:place]), shape[place], product(shape[place + 1 :])


def _with_size(ctx: InferContext, axis: int | None, size: Dim) -> tuple[Dim, ...]:
    """The shape of input 0 with another size of the axis, or only that size without one."""
    shape = ctx.input(0).shape or ()
    if axis is None:
        return (size,)
    place = axis_of(ctx, axis, len(shape))
    return (*shape[:place], size, *shape[place + 1 :])


@op("Compress")
class Compress(Anchor):
    """The slices of ``axis`` (of the flattened input without one) where the condition (input 1) is true.

    The condition may be shorter than the axis; the slices behind it are left out.
    """

    axis: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, condition = ctx.input(0), ctx.input(1)
        if condition.rank is not None and condition.rank != 1:
            ctx.fail(f"the condition must have rank 1, got {condition.rank}")
        count = ctx.count("selected", self._most(ctx))
        return (TensorInfo(data.dtype, _with_size(ctx, self.axis, count)),)

    def carries(self, ctx: InferContext) -> bool:
        return True

    def _most(self, ctx: InferContext) -> Dim:
        return minimum(product(ctx.input(1).shape or ()), _parts(ctx, self.axis)[1])

    def lowers(self, ctx: InferContext) -> bool:
        data, condition = ctx.input(0).dtype, ctx.input(1).dtype
        return data is not None and data.kind in "fiub" and condition is dtypes.bool_

    def lower(self, ctx: LowerContext) -> None:
        parts, most = _parts(ctx.infer, self.axis), self._most(ctx.infer)
        place = 0 if self.axis is None else axis_of(ctx.infer, self.axis, ctx.infer.input(0).rank or 0)
        total = ctx.counter((ctx.outputs[0].shape or ())[place])
        places = ctx.scratch(dtypes.int64, most)
        _coordinates(ctx, ctx.contiguous(1), [most], total, places)
        _take(ctx, parts, places, most, total)


@op("NonZero")
class NonZero(Anchor):
    """The coordinates of the elements that are not 0, one column each."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape = ctx.input(0).shape or ()
        return (TensorInfo(dtypes.int64, (len(shape), ctx.count("nonzero", product(shape)))),)

    def carries(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype is dtypes.string  # handle 0 is the empty string

    def lowers(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and (computable(dtype) or dtype is dtypes.bool_)

    def lower(self, ctx: LowerContext) -> None:
        source, total = ctx.contiguous(0), ctx.counter((ctx.outputs[0].shape or ())[1])
        _coordinates(ctx, source, source.shape, total, ctx.output())


@op("Unique")
class Unique(Anchor):
    """The different elements, or slices of ``axis``; then where each comes first, which each is, and how often.

    They are sorted, or in the order in which they first come. A NaN is larger than any number and equal to itself.
    """

    axis: int | None = None
    sorted: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, size = ctx.input(0), _parts(ctx, self.axis)[1]
        count = ctx.count("unique", size)
        first = TensorInfo(data.dtype, _with_size(ctx, self.axis, count))
        return (first, *(TensorInfo(dtypes.int64, (n,)) for n in (count, size, count)))[: ctx.outputs]

    def lowers(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and (computable(dtype) or dtype is dtypes.bool_)

    def carries(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype is dtypes.string and not self.sorted  # handles are equal, but in no order

    def hosts(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype is dtypes.string and bool(self.sorted)

    def host(self, *values: Any) -> Sequence[Any]:
        (x,) = values
        ordered = sorted(set(x.reshape(-1).tolist()))
        ranks = {text: rank for rank, text in enumerate(ordered)}
        numbers = np.asarray([ranks[text] for text in x.reshape(-1).tolist()], np.int64).reshape(x.shape)
        parts = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True, axis=self.axis)
        texts = np.empty(len(ordered), object)
        texts[:] = ordered
        return (texts[parts[0].reshape(-1)].reshape(parts[0].shape), *(part.reshape(-1) for part in parts[1:]))

    def lower(self, ctx: LowerContext) -> None:
        outer, size, inner = parts = _parts(ctx.infer, self.axis)
        place = 0 if self.axis is None else axis_of(ctx.infer, self.axis, ctx.infer.input(0).rank or 0)
        total, source, slots = ctx.counter((ctx.outputs[0].shape or ())[place]), ctx.contiguous(0), Slots()
        numbers = [ctx.output(index) if ctx.wanted(index) else ctx.scratch(dtypes.int64, size) for index in (1, 2, 3)]
        kernel = UniqueKernel(source.dtype, slots.add(outer), slots.add(size), slots.add(inner), bool(self.sorted))
        operands = [source, *numbers, total, ctx.scratch(dtypes.int64, size * 4)]
        ctx.call(kernel, operands, slots.sizes, 1, outer * size * inner * 64)
        if ctx.wanted(0):
            _take(ctx, parts, numbers[0], size, total)
