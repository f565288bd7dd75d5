"""Accesses to memory that are tested to lie inside of it, in the code of a ``checked`` target.

A kernel finds the bounds of its buffers in front of their addresses: those of slot k are ``bufs[-1 - 2 k]``, the first
byte, and ``bufs[-2 - 2 k]``, the first one behind. Other code neither passes them nor looks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sardonyx.lang.types import I64
from sardonyx.lang.value import Pointer, Value

if TYPE_CHECKING:
    from sardonyx.lang.builder import Builder

__all__ = ["STATUS_BOUNDS", "bound_slots", "check_access"]

STATUS_BOUNDS = 255
"""Status of a kernel that was about to leave one of its buffers."""
_FAR = 1 << 44
"""Offsets beyond are taken for wrong: their bytes would not fit into 64 bits."""


def bound_slots(slot: int) -> tuple[int, int]:
    """Where the bounds of a buffer stand among the addresses."""
    return -1 - 2 * slot, -2 - 2 * slot


def check_access(b: Builder, pointer: Pointer, offsets: Value | None, lanes: int, mask: Value | None) -> None:
    """Leaves the kernel where an access to ``lanes`` elements, consecutive or at ``offsets``, is not within bounds."""
    if pointer.bounds is None:
        return
    address, begin, end = (_number(b, raw) for raw in (pointer.ir, *pointer.bounds))
    start, last = address - begin, end - begin - pointer.dtype.itemsize
    if lanes == 1 or (mask is None and offsets is None):
        b.return_if((start < 0) | (start > last - (lanes - 1) * pointer.dtype.itemsize), STATUS_BOUNDS)
        return
    places = b.iota(I64.with_lanes(lanes)) if offsets is None else offsets.to(I64)
    bytes_ = places * pointer.dtype.itemsize + start
    wrong = (bytes_ < 0) | (bytes_ > last) | (places > _FAR) | (places < -_FAR)
    b.return_if(b.any(wrong if mask is None else wrong & mask), STATUS_BOUNDS)


def _number(b: Builder, address: Any) -> Value:
    return b.value(b.ir.ptrtoint(address, I64.llvm), I64)
