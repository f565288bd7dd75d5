"""Axes as operators name them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from itertools import pairwise

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import InferContext
from sardonyx.ops.steps import is_positive, magnitude
from sardonyx.ops.values import integers
from sardonyx.symbols import Dim, divide_exact, minimum

__all__ = [
    "AxisChoice",
    "axes_input",
    "axis_of",
    "by_choice",
    "chosen_axes",
    "distinct_axes",
    "fixed_axes",
    "memory_order",
    "row_major",
    "same",
    "sum_of",
    "unknown",
    "without",
]


def axis_of(ctx: InferContext, axis: int, rank: int) -> int:
    """An axis as 0 ... rank - 1; fails outside [-rank, rank)."""
    if not -rank <= axis < rank:
        ctx.fail(f"axis {axis} is outside [{-rank}, {rank}) of a tensor of rank {rank}")
    return axis % rank


def distinct_axes(ctx: InferContext, axes: Sequence[Dim], rank: int) -> tuple[int, ...]:
    """Several axes, each as ``axis_of``; fails where one comes twice or is no constant."""
    result: list[int] = []
    for axis in axes:
        if not isinstance(axis, int):
            ctx.fail(f"an axis must be a constant, got {axis}")
        result.append(axis_of(ctx, axis, rank))
    if len(set(result)) != len(result):
        ctx.fail(f"axes {list(axes)} name one axis twice")
    return tuple(result)


def axes_input(ctx: InferContext, index: int, rank: int) -> tuple[int, ...] | None:
    """The axes that an input holds; None where its contents are not known."""
    axes = integers(ctx, index)
    return None if axes is None or any(not isinstance(axis, int) for axis in axes) else distinct_axes(ctx, axes, rank)


AxisChoice = tuple[Dim, ...]
"""For each dimension, 1 where an axis that data gives is that dimension, else 0."""


def chosen_axes(ctx: InferContext, index: int, rank: int) -> tuple[AxisChoice, ...] | None:
    """The axes that an input holds, which a run may read; None where nothing is known of them."""
    axes = integers(ctx, index)
    if axes is None:
        return None
    choices = []
    for axis in axes:
        message = f"axis {axis} is outside [{-rank}, {rank}) of a tensor of rank {rank}"
        if isinstance(axis, int):
            axis = axis_of(ctx, axis, rank)
        else:
            ctx.require_least(axis + rank, 0, message)
            ctx.require_least(rank - 1 - axis, 0, message)
            axis = ctx.define("axis", axis + rank * is_positive(-axis))
        choices.append(tuple(same(ctx, axis, place) for place in range(rank)))
    for place in range(rank):
        named = sum_of(choice[place] for choice in choices)
        ctx.require_least(1, named, f"axes {list(axes)} name one axis twice")
    return tuple(choices)


def fixed_axes(axes: Iterable[int], rank: int) -> tuple[AxisChoice, ...]:
    """Known axes as choices."""
    return tuple(tuple(int(axis == place) for place in range(rank)) for axis in axes)


def by_choice(chosen: Sequence[Dim], numbers: Sequence[Dim], default: Dim) -> Dim:
    """The number whose axis was ``chosen``, else ``default``; at most one is 1, the others are 0."""
    result: Dim = 0
    free: Dim = 1
    for choice, number in zip(chosen, numbers, strict=True):
        if choice == 1:
            return number
        result, free = result + choice * number, free - choice
    return result + free * default


def around_axis(ctx: InferContext, chosen: AxisChoice, sizes: Sequence[Dim]) -> tuple[Dim, Dim, Dim]:
    """The numbers of elements before, along and after a chosen axis."""
    outer: Dim = 1
    inner: Dim = 1
    before: Dim = 1
    for size, here in zip(sizes, chosen, strict=True):
        before = before - here  # 1 as long as the axis is yet to come
        outer = ctx.define("outer", outer * (1 + before * (size - 1)))
        inner = ctx.define("inner", inner * (1 + (1 - before - here) * (size - 1)))
    return outer, ctx.define("along", by_choice(chosen, sizes, 0)), inner


def same(ctx: InferContext, a: Dim, b: Dim) -> Dim:
    """1 where two numbers are equal, else 0."""
    return ctx.define("same", 1 - minimum(magnitude(a - b), 1))


def sum_of(numbers: Iterable[Dim]) -> Dim:
    """The sum of numbers; 0 for none."""
    result: Dim = 0
    for number in numbers:
        result = result + number
    return result


def without(ctx: InferContext, sizes: Sequence[Dim], gone: Sequence[Dim], count: int) -> list[Dim]:
    """The sizes that are left where ``count`` of them are ``gone`` (1, else 0)."""
    result = []
    before = [sum_of(gone[:axis]) for axis in range(len(sizes))]
    for place in range(len(sizes) - count):
        kept: Dim = 0
        for axis in range(place, place + count + 1):
            kept = kept + (1 - gone[axis]) * same(ctx, axis - before[axis], place) * sizes[axis]
        result.append(ctx.define("size", kept))
    return result


def row_major(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """The strides of a dense tensor whose last axis varies fastest."""
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def memory_order(operand: Operand) -> tuple[int, ...] | None:
    """The dimensions of a view from outermost to innermost in memory, where they do not lie row-major.

    None also where the strides cannot be told apart: a repeated dimension, sizes without a common factor.
    """

    def outer_first(a: int, b: int) -> int:
        x, y = operand.strides[a], operand.strides[b]
        if isinstance(x, int) and isinstance(y, int):
            return y - x
        return -1 if divide_exact(x, y) is not None else 1 if divide_exact(y, x) is not None else 0

    moving = [axis for axis, size in enumerate(operand.shape) if size != 1]
    ordered = sorted(moving, key=cmp_to_key(outer_first))
    for outer, inner in pairwise(ordered):
        if operand.strides[inner] == 0 or outer_first(outer, inner) >= 0:
            return None
    if ordered == moving:
        return None
    return (*(axis for axis, size in enumerate(operand.shape) if size == 1), *ordered)


def unknown(ctx: InferContext, info: TensorInfo, rank: int | None, hint: str = "size") -> TensorInfo:
    """An output like ``info`` in type, whose sizes depend on data."""
    return TensorInfo(info.dtype, None if rank is None else tuple(ctx.fresh(hint) for _ in range(rank)))
