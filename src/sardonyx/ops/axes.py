"""Axes as operators name them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.values import integers
from sardonyx.symbols import Dim

__all__ = ["axes_input", "axis_of", "distinct_axes", "row_major", "unknown"]


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


def unknown(ctx: InferContext, info: TensorInfo, rank: int | None, hint: str = "size") -> TensorInfo:
    """An output like ``info`` in type, whose sizes depend on data."""
    return TensorInfo(info.dtype, None if rank is None else tuple(ctx.fresh(hint) for _ in range(rank)))
