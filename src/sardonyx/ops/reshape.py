"""Other shapes of the same elements: Reshape, Flatten, Squeeze, Unsqueeze, Identity; and Shape and Size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import chosen_axes, row_major, same, sum_of, unknown, without
from sardonyx.ops.base import InferContext, Op, View
from sardonyx.ops.registry import op
from sardonyx.ops.steps import is_positive
from sardonyx.ops.values import carried, integers
from sardonyx.symbols import Dim, divide_exact, known_equal, known_positive, maximum, product

__all__ = ["Flatten", "Identity", "Reshape", "Shape", "Size", "Squeeze", "Unsqueeze", "reshape_view"]


def reshape_view(source: Operand, shape: tuple[Dim, ...]) -> Operand | None:
    """``source`` seen in another shape of as many elements, or None where that needs a copy."""
    kept = [(size, stride) for size, stride in zip(source.shape, source.strides, strict=True) if size != 1]
    strides: list[Dim] = []
    place = 0
    remaining = [size for size in shape if size != 1]
    start = 0
    while start < len(remaining):
        # The fewest dimensions of both sides that hold as many elements.
        end, first = start + 1, place
        wanted, have = remaining[start], product(())
        while not known_equal(wanted, have):
            if place < len(kept) and divide_exact(wanted, have) is not None:
                have = have * kept[place][0]
                place += 1
            elif end < len(remaining) and divide_exact(have, wanted) is not None:
                wanted = wanted * remaining[end]
                end += 1
            else:
                return _dense(source, shape)
        group = kept[first:place]
        if any(not known_equal(a[1], b[1] * b[0]) for a, b in itertools.pairwise(group)):
            return _dense(source, shape)
        innermost = group[-1][1] if group else 1
        strides.extend(innermost * step for step in row_major(remaining[start:end]))
        start = end
    if any(not known_equal(size, 1) for size, _ in kept[place:]):
        return _dense(source, shape)
    following = iter(strides)
    return replace(source, shape=shape, strides=tuple(1 if size == 1 else next(following) for size in shape))


def _dense(source: Operand, shape: tuple[Dim, ...]) -> Operand | None:
    """A dense source has any shape, also one whose count of elements only a run can compare."""
    for size, stride, expected in zip(source.shape, source.strides, row_major(source.shape), strict=True):
        if size != 1 and not known_equal(stride, expected):
            return None
    return replace(source, shape=shape, strides=row_major(shape))


class _SameElements(View):
    """Outputs are input 0 in another shape."""

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        shape = outputs[0].shape
        if shape is None:
            return None
        seen = reshape_view(source, shape)
        return None if seen is None else (seen,)


@op("Reshape")
class Reshape(_SameElements):
    """The same elements in the shape of input 1, where 0 keeps a size (unless ``allowzero``) and -1 is what is left."""

    sized_by = (1,)
    rank_by = 1
    allowzero: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, target = ctx.input(0), ctx.input(1)
        if target.rank is not None and target.rank != 1:
            ctx.fail(f"the shape must have rank 1, got rank {target.rank}")
        wanted = integers(ctx, 1)
        if wanted is None:
            count = target.shape[0] if target.shape is not None else None
            return (unknown(ctx, data, count if isinstance(count, int) else None),)
        if data.shape is None:
            known = all(isinstance(size, int) and size > 0 for size in wanted)
            return (TensorInfo(data.dtype, wanted) if known else unknown(ctx, data, len(wanted)),)
        shape = self._resolve(ctx, data.shape, wanted)
        return (carried(data.dtype, shape, data.values if len(shape) <= 1 else None),)

    def hosts(self, ctx: InferContext) -> bool:
        """Where the length of the shape, and so the rank, depends on data: another look at the same memory."""
        data, target = ctx.input(0), ctx.input(1)
        return data.shape is not None and target.shape is not None and not isinstance(product(target.shape), int)

    def host(self, *values: Any) -> Sequence[Any]:
        data, target = values
        sizes = [int(size) for size in np.asarray(target).reshape(-1)]
        if not self.allowzero:
            if any(size == 0 and place >= data.ndim for place, size in enumerate(sizes)):
                raise ValueError(f"0 in shape {sizes} copies a size that the input of shape {data.shape} does not have")
            sizes = [data.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
        if any(size < -1 for size in sizes):
            raise ValueError(f"shape {sizes} has a negative size")
        return (data.reshape(sizes),)

    def _resolve(self, ctx: InferContext, shape: tuple[Dim, ...], wanted: Sequence[Dim]) -> tuple[Dim, ...]:
        if any(ctx.from_data(size) for size in wanted):
            return self._resolve_data(ctx, shape, wanted)
        result: list[Dim] = []
        free = [place for place, size in enumerate(wanted) if size == -1]
        if len(free) > 1:
            ctx.fail(f"shape {list(wanted)} has -1 more than once")
        for place, size in enumerate(wanted):
            if size == 0 and not self.allowzero:
                if place >= len(shape):
                    ctx.fail(f"0 at place {place} of the new shape copies a size, but the input has rank {len(shape)}")
                result.append(shape[place])
            elif isinstance(size, int) and size < -1:
                ctx.fail(f"shape {list(wanted)} has the negative size {size}")
            else:
                result.append(size)
        total = product(shape)
        if free:
            left = _quotient(shape, result, free[0])
            if left is None:
                ctx.fail(f"-1 in shape {list(wanted)} cannot be found beside a size of 0")
            result[free[0]] = left
        message = f"{list(shape)} has not as many elements as the new shape {list(wanted)}"
        ctx.require_equal(product(result), total, message)
        return tuple(result)

    def _resolve_data(self, ctx: InferContext, shape: tuple[Dim, ...], wanted: Sequence[Dim]) -> tuple[Dim, ...]:
        """The same where a run reads sizes: each is its number, the size it copies, or what is left."""
        sizes: list[Dim] = []
        left_out: list[Dim] = []
        others: Dim = 1
        for place, number in enumerate(wanted):
            ctx.require_least(number, -1, f"the new shape {list(wanted)} has a negative size")
            size, free = maximum(number, 0), is_positive(-number)
            if not self.allowzero:
                copied = shape[place] if place < len(shape) else 0
                zero = same(ctx, number, 0)
                if place >= len(shape):
                    ctx.require_equal(zero, 0, f"0 at place {place} of the new shape copies a size that is not there")
                size = size + zero * copied
            sizes.append(ctx.define("size", size))
            left_out.append(ctx.define("free", free))
            others = ctx.define("others", others * (sizes[-1] + left_out[-1]))
        ctx.require_least(1, sum_of(left_out), f"the new shape {list(wanted)} has -1 more than once")
        rest = ctx.define("rest", product(shape) // maximum(others, 1))
        result = [ctx.define("size", size + free * rest) for size, free in zip(sizes, left_out, strict=True)]
        message = f"{list(shape)} has not as many elements as the new shape {list(wanted)}"
        ctx.require_equal(product(result), product(shape), message)
        return tuple(result)


def _quotient(shape: Sequence[Dim], wanted: Sequence[Dim], free: int) -> Dim | None:
    """The size at ``free``: what is left of ``shape`` when the other sizes are divided out of it."""
    left = list(shape)
    others: list[Dim] = []
    for place, size in enumerate(wanted):
        if place == free or size == 1:
            continue
        if size in left:  # also where the size may be 0 in a run: 0 copied from the input is divided out unseen
            left.remove(size)
        else:
            others.append(size)
    total, divisor = product(left), product(others)
    if divisor == 0:
        return None
    exact = divide_exact(total, divisor)
    return exact if exact is not None else total // divisor


@op("Flatten")
class Flatten(_SameElements):
    """Two dimensions: those before ``axis`` and those from it on."""

    axis: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is None:
            return (unknown(ctx, data, 2),)
        rank = len(data.shape)
        if not -rank <= self.axis <= rank:
            ctx.fail(f"axis {self.axis} is outside [{-rank}, {rank}] of a tensor of rank {rank}")
        axis = self.axis + rank if self.axis < 0 else self.axis
        return (TensorInfo(data.dtype, (product(data.shape[:axis]), product(data.shape[axis:]))),)


@op("Squeeze")
class Squeeze(_SameElements):
    """Without the dimensions of size 1, or those of input 1 only."""

    sized_by = (1,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is None:
            return (unknown(ctx, data, None),)
        shape = data.shape
        if ctx.optional(1) is None:
            if any(not isinstance(size, int) and not known_positive(size - 1) for size in shape):
                return (unknown(ctx, data, None),)  # which sizes are 1, and so the rank, only a run can say
            return (carried(data.dtype, [size for size in shape if size != 1], data.values),)
        choices = chosen_axes(ctx, 1, len(shape))
        if choices is None:
            return (unknown(ctx, data, None),)
        gone = [sum_of(choice[axis] for choice in choices) for axis in range(len(shape))]
        for axis, (out, size) in enumerate(zip(gone, shape, strict=True)):
            one = size if out == 1 else 1 + out * (size - 1)
            ctx.require_equal(one, 1, f"axis {axis} to squeeze has size {size}, not 1")
        return (carried(data.dtype, without(ctx, shape, gone, len(choices)), data.values),)

    def hosts(self, ctx: InferContext) -> bool:
        """Where the rank depends on which sizes are 1: another look at the same memory."""
        return ctx.optional(1) is None and ctx.input(0).shape is not None

    def host(self, *values: Any) -> Sequence[Any]:
        return (np.squeeze(values[0]),)


@op("Unsqueeze")
class Unsqueeze(_SameElements):
    """With dimensions of size 1 put in at the places of input 1 in the output."""

    sized_by = (1,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, given = ctx.input(0), ctx.input(1)
        count = None if given.shape is None else product(given.shape)
        if data.shape is None:
            return (unknown(ctx, data, None),)
        rank = len(data.shape) + count if isinstance(count, int) else None
        choices = None if rank is None else chosen_axes(ctx, 1, rank)
        if rank is None or choices is None:
            return (unknown(ctx, data, rank),)
        made = [sum_of(choice[axis] for choice in choices) for axis in range(rank)]
        return (carried(data.dtype, _with_ones(ctx, data.shape, made), data.values),)


def _with_ones(ctx: InferContext, sizes: Sequence[Dim], made: Sequence[Dim]) -> list[Dim]:
    """Sizes with 1 wherever ``made`` is 1 (of the result's places; elsewhere it is 0)."""
    result: list[Dim] = []
    before: Dim = 0
    for place, one in enumerate(made):
        old: Dim = 0
        for k in range(max(0, place + len(sizes) - len(made)), min(place + 1, len(sizes))):
            old = old + same(ctx, place - before, k) * sizes[k]
        result.append(ctx.define("size", one + (1 - one) * old))
        before = before + one
    return result


@op("Identity")
class Identity(View):
    """The input itself, whatever it is."""

    any_rank = True

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (ctx.input(0),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        return (source,)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        return values


@op("Shape")
class Shape(Op):
    """The sizes ``start`` to ``end`` of the input; always known from its symbolic sizes, so that it needs no kernel."""

    start: int = 0
    end: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is None:
            return (TensorInfo(dtypes.int64, (ctx.fresh("rank"),)),)
        rank = len(data.shape)
        edges = (self.start, rank if self.end is None else self.end)
        start, end = (max(0, min(rank, edge + rank if edge < 0 else edge)) for edge in edges)
        sizes = data.shape[start:end]
        return (carried(dtypes.int64, (len(sizes),), sizes),)


@op("Size")
class Size(Op):
    """The number of elements of the input; known from its symbolic sizes."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        return (carried(dtypes.int64, (), None if data.shape is None else (product(data.shape),)),)
