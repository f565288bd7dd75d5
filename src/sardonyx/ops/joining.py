"""What is known of a value that comes from one of several places: the branches of an If, the trips of a loop."""

from __future__ import annotations

from collections.abc import Callable

from sardonyx.graph.info import ElementInfo, TensorInfo
from sardonyx.symbols import Dim, known_equal

__all__ = ["as_value", "element_of", "join", "join_elements"]


def join(a: TensorInfo, b: TensorInfo, widen: Callable[[Dim, Dim], Dim]) -> TensorInfo:
    """What holds for both: the common type, the common contents, and sizes; where these differ, what ``widen`` gives.

    The dtype is that of ``a``: whether they agree is the caller's question. The result is ``a`` itself where that says
    no more than ``b``.
    """
    if a.sequence is not None and b.sequence is not None:
        return TensorInfo(sequence=join_elements(a.sequence, b.sequence))
    if a.optional is not None and b.optional is not None:
        return TensorInfo(optional=join_elements(a.optional, b.optional))
    if a.is_container or b.is_container:
        return TensorInfo()
    shape: tuple[Dim, ...] | None = None
    if a.shape is not None and b.shape is not None and len(a.shape) == len(b.shape):
        shape = tuple(x if known_equal(x, y) else widen(x, y) for x, y in zip(a.shape, b.shape, strict=True))
    values = a.values if a.values == b.values and shape == a.shape else None
    const = a.const if a.const is b.const else None
    joined = TensorInfo(a.dtype if a.dtype is not None else b.dtype, shape, values, const)
    return a if (joined.dtype, joined.shape, values) == (a.dtype, a.shape, a.values) and const is a.const else joined


def join_elements(a: ElementInfo, b: ElementInfo) -> ElementInfo:
    """What holds for the elements of both."""
    if a.empty or b.empty:
        other = b if a.empty else a
        return other if other.dtype is not None or other.sequence is not None else ElementInfo(a.dtype or b.dtype)
    if a.sequence is not None and b.sequence is not None:
        return ElementInfo(sequence=join_elements(a.sequence, b.sequence))
    shape: tuple[Dim | None, ...] | None = None
    if a.shape is not None and b.shape is not None and len(a.shape) == len(b.shape):
        shape = tuple(
            x if x is not None and y is not None and known_equal(x, y) else None
            for x, y in zip(a.shape, b.shape, strict=True)
        )
    return ElementInfo(a.dtype if a.dtype is not None else b.dtype, shape)


def element_of(info: TensorInfo) -> ElementInfo:
    """A value as the element of a sequence or the content of an optional."""
    return ElementInfo(info.dtype, info.shape, info.sequence)


def as_value(element: ElementInfo, fresh: Callable[[str], Dim]) -> TensorInfo:
    """An element as a value; sizes that differ between elements become new symbols."""
    if element.sequence is not None:
        return TensorInfo(sequence=element.sequence)
    if element.shape is None:
        return TensorInfo(element.dtype)
    return TensorInfo(element.dtype, tuple(fresh("element") if size is None else size for size in element.shape))
