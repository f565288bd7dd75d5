"""Memory orders: dense strides, and which dimensions can be walked as one."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.kernels.spec import Operand
from sardonyx.symbols import Dim, known_equal

__all__ = ["dense_strides", "is_dense", "merge_axes", "mergeable"]


def dense_strides(shape: Sequence[Dim], order: Sequence[int] | None = None) -> tuple[Dim, ...]:
    """Strides of a dense tensor whose dimensions lie in ``order``, outermost first (None: row-major)."""
    strides: list[Dim] = [1] * len(shape)
    step: Dim = 1
    for axis in reversed(range(len(shape)) if order is None else list(order)):
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def is_dense(operand: Operand, order: Sequence[int] | None = None) -> bool:
    """Whether an operand is surely dense in an order; dimensions of size 1 may have any stride."""
    wanted = dense_strides(operand.shape, order)
    return all(
        size == 1 or known_equal(stride, step)
        for size, stride, step in zip(operand.shape, operand.strides, wanted, strict=True)
    )


def mergeable(strides: Sequence[Sequence[Dim]], shape: Sequence[Dim], outer: int, inner: int) -> bool:
    """Whether every operand walks two dimensions, one inside the other, with one stride."""
    return all(known_equal(s[outer], s[inner] * shape[inner]) for s in strides)


def merge_axes(shape: Sequence[Dim], order: Sequence[int], strides: Sequence[Sequence[Dim]]) -> list[list[int]]:
    """The fewest loops over ``shape`` in an order: each names the dimensions it covers, outermost first.

    Dimensions of size 1 are in no loop. There is at least one loop, which may be empty.
    """
    loops: list[list[int]] = []
    for axis in order:
        if shape[axis] == 1:
            continue
        if loops and mergeable(strides, shape, loops[-1][-1], axis):
            loops[-1].append(axis)
        else:
            loops.append([axis])
    return loops or [[]]
