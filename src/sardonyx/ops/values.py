"""Symbolic contents in the data-moving operators: reading them from inputs and handing them on."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.contents import LIMIT, contents
from sardonyx.symbols import Dim, known_nonnegative, maximum

__all__ = ["carried", "integers", "scalar_integer", "size_from", "sizes_input"]


def integers(ctx: InferContext, index: int) -> tuple[Dim, ...] | None:
    """The contents of an integer input of rank 0 or 1, or None where they are not known or it is omitted."""
    return contents(ctx.optional(index))


def scalar_integer(ctx: InferContext, index: int) -> Dim | None:
    """The content of an integer input of one element."""
    values = integers(ctx, index)
    if values is None:
        return None
    if len(values) != 1:
        ctx.fail(f"input {index} must have one element, got {len(values)}")
    return values[0]


def size_from(ctx: InferContext, size: Dim, message: str) -> Dim:
    """A number as a size: fails with ``message`` for a negative one, now or, where data gives it, in the run."""
    if isinstance(size, int):
        if size < 0:
            ctx.fail(message)
        return size
    if known_nonnegative(size) or not ctx.from_data(size):
        return size
    ctx.require_least(size, 0, message)
    return ctx.define("size", maximum(size, 0))


def sizes_input(ctx: InferContext, index: int, what: str) -> tuple[Dim, ...] | None:
    """The contents of an integer input as sizes, None where they are not known; fails for a negative one."""
    sizes = integers(ctx, index)
    if sizes is None:
        return None
    return tuple(size_from(ctx, size, f"{what} {list(sizes)} has a negative size") for size in sizes)


def carried(dtype: DType | None, shape: Sequence[Dim] | None, values: Sequence[Dim] | None) -> TensorInfo:
    """The info of an output with contents, where they may be carried: integers of rank 0 or 1, not too many."""
    shape = None if shape is None else tuple(shape)
    if values is None or dtype is None or shape is None:
        return TensorInfo(dtype, shape)
    fits = len(values) <= LIMIT and dtype.kind in "iub" and len(shape) <= 1
    return TensorInfo(dtype, shape, tuple(values) if fits else None)
