"""``sardonyx_repeat``: one region run again and again without leaving native code, for loops whose sizes are settled.

    repeat(run, pointers, table, team, trips, words):
        for trip in range(trips):
            where sizes depend on elements of what changes: read these; plan(symbols, table);
                return CHANGED where that fails or a size of an array is another one now
            status = run(pointers, table, team, null); if status: return it
            swap pairs of pointers: what was written is read next, and its memory is written to next
            advance pointers: to the next slice of an input, or of a stack of outputs
            count the trip; end where the condition that the region wrote does not hold

``words`` holds, as i64: the trips made (written), the address of the condition's byte (0: none), the address of the
trip's number (0: none), the address of ``plan`` (0: the table stays as it is), the address of its symbols, the position
in the table of the arena's size (-1: it is constant), the arena's capacity, and the numbers of swaps, advances,
elements and sizes; then for each swap two positions of pointers, for each advance a position and the step in bytes, for
each element the position of its symbol, that of the pointer to its int64 tensor, its place there and whether it is the
negative part that is wanted, and for each size its position in the table and what it must be.
``sardonyx.runtime.repeat`` fills it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.lang.module import FunctionBuilder, Module
from sardonyx.lang.types import I64, PTR
from sardonyx.lang.value import Pointer

__all__ = ["REPEAT", "emit_repeat"]

REPEAT = "sardonyx_repeat"
CHANGED = -2

# Positions of words; the numbers of sardonyx.runtime.repeat.
(
    _DONE, _CONDITION, _NUMBER, _PLAN, _SYMBOLS, _ARENA, _CAPACITY, _SWAPS, _ADVANCES, _ELEMENTS, _SIZES, _MOVES,
) = range(12)  # fmt: skip
_LARGEST = (1 << 63) - 1


def emit_repeat(module: Module) -> None:
    """Adds ``i64 sardonyx_repeat(ptr run, ptr pointers, ptr table, ptr team, i64 trips, ptr words)``."""
    with module.function(REPEAT, I64.llvm, [PTR, PTR, PTR, PTR, I64.llvm, PTR]) as b:
        run, table, team = (b.function.args[k] for k in (0, 2, 3))
        pointers, trips, words = b.pointer_argument(1, dtypes.int64), b.argument(4), b.pointer_argument(5, dtypes.int64)
        condition, number = _address(b, words, _CONDITION), _address(b, words, _NUMBER)
        done, going = b.var(b.i64(0)), b.var(b.i64(1))
        plan = _address(b, words, _PLAN)
        with b.while_(lambda: (done.get() < trips) & (going.get() != 0)):
            with b.if_(b.not_(b.is_null(plan))):
                words.store(done.get(), _DONE)
                _emit_plan(b, plan, pointers, b.pointer_argument(2, dtypes.int64), words)
            status = b.call_pointer(run, [pointers.ir, table, team, ir.Constant(PTR, None)])
            with b.if_(status != 0, likely=False):
                words.store(done.get(), _DONE)
                b.return_(status)
            _emit_moves(b, pointers, words)
            done.set(done.get() + 1)
            with b.if_(b.not_(b.is_null(number))):
                counter = b.pointer(number, dtypes.int64)
                counter.store(counter.load() + 1)
            with b.if_(b.not_(b.is_null(condition))):
                going.set(b.pointer(condition, dtypes.uint8).load().to(dtypes.int64))
        words.store(done.get(), _DONE)
        b.return_(0)


def _address(b: FunctionBuilder, words: Pointer, position: int) -> Any:
    return b.ir.load(words.at(position).ir, typ=PTR, align=8)


def _emit_plan(b: FunctionBuilder, plan: Any, pointers: Pointer, table: Pointer, words: Pointer) -> None:
    """Plans the next trip; returns CHANGED from the function where it is not like the one before."""
    symbols = b.pointer(_address(b, words, _SYMBOLS), dtypes.int64)
    elements = words.at((words.load(_SWAPS) + words.load(_ADVANCES)) * 2 + _MOVES)
    with b.loop(words.load(_ELEMENTS)) as number:
        element = elements.at(number * 4)
        tensor = b.pointer(b.ir.load(pointers.at(element.load(1)).ir, typ=PTR, align=8), dtypes.int64)
        value = tensor.load(element.load(2))
        # the negative part of the least integer is one too small, as in NativeStep
        flipped = b.select(element.load(3) != 0, -b.maximum(value, -_LARGEST), value)
        symbols.store(b.maximum(flipped, 0), element.load(0))
    b.return_if(b.call_pointer(plan, [symbols.ir, table.ir]) != 0, CHANGED)
    arena = words.load(_ARENA)
    with b.if_(arena >= 0):
        b.return_if(table.load(arena) > words.load(_CAPACITY), CHANGED)
    sizes = elements.at(words.load(_ELEMENTS) * 4)
    with b.loop(words.load(_SIZES)) as number:
        b.return_if(table.load(sizes.load(number * 2)) != sizes.load(number * 2 + 1), CHANGED)


def _emit_moves(b: FunctionBuilder, pointers: Pointer, words: Pointer) -> None:
    swaps = words.load(_SWAPS)
    with b.loop(swaps) as swap:
        one, other = words.load(swap * 2 + _MOVES), words.load(swap * 2 + (_MOVES + 1))
        held = pointers.load(one)
        pointers.store(pointers.load(other), one)
        pointers.store(held, other)
    with b.loop(words.load(_ADVANCES)) as advance:
        move = words.at((swaps + advance) * 2 + _MOVES)
        place = move.load(0)
        pointers.store(pointers.load(place) + move.load(1), place)
