"""The memory plan: where each temporary buffer lies in the arena.

A buffer lives from the first call that names it to the last. Buffers of known size are packed by size, the largest
first, at the lowest place that is free for their whole life. Buffers whose sizes are symbols share slots: a slot is as
large as its largest member, and the slots' offsets are sums that the plan computes when the sizes are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx.compiler.workspace import Buffer, Call
from sardonyx.symbols import Dim, evaluate, free_symbols

__all__ = ["ALIGNMENT", "MemoryPlan", "plan_memory"]

ALIGNMENT = 64
_TYPICAL = 128
"""What a symbol counts for when buffers of symbolic sizes are compared: only the quality of the plan depends on it."""


@dataclass(frozen=True)
class MemoryPlan:
    """``fixed`` maps a buffer to its offset in the first ``fixed_size`` bytes of the arena; ``slots`` lists, for each
    slot behind them in order, its members' sizes; ``slot_of`` maps a buffer to its slot."""

    fixed: dict[int, int]
    fixed_size: int
    slots: list[list[Dim]]
    slot_of: dict[int, int]


def plan_memory(buffers: Sequence[Buffer], calls: Sequence[Call]) -> MemoryPlan:
    """Places the temporary buffers of a region."""
    lives = _lives(buffers, calls)
    known = {k: size for k in lives if isinstance(size := buffers[k].size, int)}
    fixed, fixed_size = _pack(known, lives)
    slots, slot_of = _share({k: buffers[k].size for k in lives if k not in known}, lives)
    return MemoryPlan(fixed, fixed_size, slots, slot_of)


def _lives(buffers: Sequence[Buffer], calls: Sequence[Call]) -> dict[int, tuple[int, int]]:
    lives: dict[int, tuple[int, int]] = {}
    for number, call in enumerate(calls):
        for operand in call.operands:
            if buffers[operand.buffer].kind == "temporary":
                first, _ = lives.get(operand.buffer, (number, number))
                lives[operand.buffer] = first, number
    return lives


def _pack(sizes: dict[int, int], lives: dict[int, tuple[int, int]]) -> tuple[dict[int, int], int]:
    placed: list[tuple[int, int, int]] = []  # offset, end, buffer
    offsets: dict[int, int] = {}
    total = 0
    for buffer in sorted(sizes, key=lambda k: (-sizes[k], lives[k])):
        first, last = lives[buffer]
        size = max(ALIGNMENT, -(-sizes[buffer] // ALIGNMENT) * ALIGNMENT)
        offset = 0
        for start, end, other in placed:  # by offset
            if lives[other][1] < first or lives[other][0] > last:
                continue
            if offset + size <= start:
                break
            offset = max(offset, end)
        placed.append((offset, offset + size, buffer))
        placed.sort()
        offsets[buffer] = offset
        total = max(total, offset + size)
    return offsets, total


def _share(sizes: dict[int, Dim], lives: dict[int, tuple[int, int]]) -> tuple[list[list[Dim]], dict[int, int]]:
    slots: list[list[Dim]] = []
    typical: list[int] = []
    free_from: list[int] = []
    slot_of: dict[int, int] = {}
    for buffer in sorted(sizes, key=lambda k: lives[k]):
        first, last = lives[buffer]
        size = _typical(sizes[buffer])
        candidates = [s for s in range(len(slots)) if free_from[s] < first]
        if candidates:
            # one that holds the buffer with the least waste, else the one that grows the least
            slot = min(candidates, key=lambda s: (typical[s] < size, abs(typical[s] - size)))
        else:
            slot = len(slots)
            slots.append([])
            typical.append(0)
            free_from.append(-1)
        if sizes[buffer] not in slots[slot]:
            slots[slot].append(sizes[buffer])
        typical[slot] = max(typical[slot], size)
        free_from[slot] = last
        slot_of[buffer] = slot
    return slots, slot_of


def _typical(size: Dim) -> int:
    try:
        return evaluate(size, dict.fromkeys(free_symbols(size), _TYPICAL))
    except (ValueError, ZeroDivisionError):
        return _TYPICAL
