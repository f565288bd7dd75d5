"""Axes as operators name them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from itertools import pairwise

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import InferContext
from sardonyx.ops.values import integers
from sardonyx.symbols import Dim, divide_exact

__all__ = ["axes_input", "axis_of", "distinct_axes", "memory_order", "row_major", "unknown"]


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
