"""``sardonyx_entry``: the door from Python, a function of CPython's fast calling convention in native code.

    entry(self, args, nargs, kwnames):                    # self is a tuple whose first item is the array of words
        unless a plan is installed and nobody is inside, there are two arguments and no keywords,
               the first is None or a list of all outputs' names, and the second a dict of as many items as inputs:
            return slow(*args)
        for each input: the dict's value must be an ndarray of the dtype, contiguous and aligned, of the plan's shape
        results = a list of new arrays
        release the interpreter's lock; status = run(pointers, table, team, null); take the lock again
        return results, or where status is not 0: slow(*args), which says what is wrong

Whatever is not the ordinary case is left to ``slow``, a Python function with the same arguments: nothing here ever
raises. The offsets below are those of CPython 3.11 to 3.14 (not free-threaded) and of numpy 2;
``sardonyx.runtime.entry`` makes sure of both and fills the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.lang.module import FunctionBuilder, Module
from sardonyx.lang.types import BOOL, I64, PTR
from sardonyx.lang.value import Pointer, Value

__all__ = ["ENTRY", "emit_entry"]

ENTRY = "sardonyx_entry"

# Positions of words; the numbers of sardonyx.runtime.entry.
(
    _READY, _SLOW, _INPUTS, _OUTPUTS, _RUN, _POINTERS, _TABLE, _TEAM, _FIRST, _NONE, _DICT, _LIST, _ARRAY,
    _DICT_SIZE, _DICT_GET, _SAME, _CLEAR, _NEW_ARRAY, _NEW_LIST, _SET_ITEM, _INCREF, _DECREF, _SAVE, _RESTORE, _CALL,
    _RECORDS,
) = range(26)  # fmt: skip
_RECORD = 5  # words of an input or output: name, dtype, rank, where among the words its sizes are, the object itself

_TYPE = 8  # of any object
_TUPLE_ITEMS = 24
_LIST_SIZE, _LIST_ITEMS = 16, 24
_DATA, _RANK, _SIZES, _DTYPE, _FLAGS = 16, 24, 32, 56, 64  # of an ndarray
_CONTIGUOUS = 0x101
_PY_EQ = 2

_I32 = ir.IntType(32)


def emit_entry(module: Module) -> None:
    """Adds ``ptr sardonyx_entry(ptr self, ptr args, i64 nargs, ptr kwnames)``."""
    with module.function(ENTRY, PTR, [PTR, PTR, I64.llvm, PTR]) as b:
        _Entry(b).emit()


class _Entry:
    """The function while it is emitted."""

    def __init__(self, b: FunctionBuilder) -> None:
        self.b = b
        self.self_, self.args, self.count, self.names = b.function.args
        words = self._address(self._address(self.self_, _TUPLE_ITEMS), _DATA)
        self.words = b.pointer(words, dtypes.int64)
        self.null = ir.Constant(PTR, None)
        self.slow = b.function.append_basic_block("slow")

    def emit(self) -> None:
        b, words = self.b, self.words
        self._unless(words.load(_READY) == 1)
        self._unless((b.argument(2) == 2) & b.is_null(self.names))
        feeds = self._address(self.args, 8)
        self._unless(self._is(self._address(feeds, _TYPE), _DICT))
        inputs, outputs = words.load(_INPUTS), words.load(_OUTPUTS)
        self._unless(self._api(_DICT_SIZE, [feeds], I64.llvm) == inputs)
        records = words.at(_RECORDS)
        self._check_names(self._address(self.args, 0), records.at(inputs * _RECORD), outputs)
        pointers = b.pointer(self._word(_POINTERS), dtypes.int64).at(words.load(_FIRST))
        with b.loop(inputs) as i:
            self._take_input(feeds, records.at(i * _RECORD), pointers.at(i))
        results = self._api(_NEW_LIST, [outputs.ir], PTR)
        self._unless_null(results)
        with b.loop(outputs) as i:
            self._make_output(results, records.at((inputs + i) * _RECORD), i, pointers.at(inputs + i))
        self._run(results)
        self._emit_slow()

    # -- the ordinary case --------------------------------------------------------------------------------------------

    def _check_names(self, wanted: Any, records: Pointer, outputs: Value) -> None:
        """None, or a list of the names of all outputs in their order."""
        b = self.b
        with b.if_(b.not_(self._is(wanted, _NONE))):
            self._unless(self._is(self._address(wanted, _TYPE), _LIST))
            self._unless(b.pointer(wanted, dtypes.int64).load(_LIST_SIZE // 8) == outputs)
            items = b.pointer(self._address(wanted, _LIST_ITEMS), dtypes.int64)
            with b.loop(outputs) as i:
                name, item = self._load(records.at(i * _RECORD)), self._load(items.at(i))
                same = self._api(_SAME, [name, item, ir.Constant(_I32, _PY_EQ)], _I32)
                self._unless(b.value(b.ir.icmp_signed("==", same, ir.Constant(_I32, 1)), BOOL))

    def _take_input(self, feeds: Any, record: Pointer, slot: Pointer) -> None:
        """The array of one input, if it is as the plan wants it; its address goes into the run's pointers."""
        b = self.b
        array = self._api(_DICT_GET, [feeds, self._load(record)], PTR)
        self._unless_null(array)
        self._unless(self._is(self._address(array, _TYPE), _ARRAY))
        self._unless(self._equal(self._address(array, _DTYPE), self._load(record.at(1))))
        flags = self._int32(array, _FLAGS)
        self._unless((flags & _CONTIGUOUS) == _CONTIGUOUS)
        rank = record.load(2)
        self._unless(self._int32(array, _RANK) == rank)
        sizes = b.pointer(self._address(array, _SIZES), dtypes.int64)
        expected = self.words.at(record.load(3))
        with b.loop(rank) as axis:
            self._unless(sizes.load(axis) == expected.load(axis))
        self._keep(record.at(4), array)
        self._keep(slot, self._address(array, _DATA))

    def _make_output(self, results: Any, record: Pointer, index: Value, slot: Pointer) -> None:
        b = self.b
        dtype = self._load(record.at(1))
        self._api(_INCREF, [dtype], None)  # the array takes it
        rank = b.ir.trunc(record.load(2).ir, _I32)
        sizes = self.words.at(record.load(3)).ir
        zero = ir.Constant(_I32, 0)
        made = self._api(
            _NEW_ARRAY, [self._word(_ARRAY), dtype, rank, sizes, self.null, self.null, zero, self.null], PTR
        )
        self._unless_null(made, results)
        self._keep(slot, self._address(made, _DATA))
        self._api(_SET_ITEM, [results, index.ir, made], _I32)

    def _run(self, results: Any) -> None:
        """The run without the interpreter's lock; meanwhile other threads find the door closed."""
        b, words = self.b, self.words
        words.store(b.i64(2), _READY)
        self._for_inputs(_INCREF)  # another thread may take them out of the dict
        state = self._api(_SAVE, [], PTR)
        arguments = [self._word(_POINTERS), self._word(_TABLE), self._word(_TEAM), self.null]
        status = b.call_pointer(self._word(_RUN), arguments)
        self._api(_RESTORE, [state], None)
        self._for_inputs(_DECREF)
        with b.if_(words.load(_READY) == 2):  # else somebody closed it for good in between
            words.store(b.i64(1), _READY)
        self._unless(status == 0, results)
        b.ir.ret(results)

    def _for_inputs(self, word: int) -> None:
        with self.b.loop(self.words.load(_INPUTS)) as i:
            self._api(word, [self._load(self.words.at(i * _RECORD + (_RECORDS + 4)))], None)

    # -- everything else ----------------------------------------------------------------------------------------------

    def _emit_slow(self) -> None:
        b = self.b
        b.ir.position_at_end(self.slow)
        b.ir.ret(self._api(_CALL, [self._word(_SLOW), self.args, self.count, self.names], PTR))

    def _unless(self, condition: Value, results: Any = None) -> None:
        """Goes the slow way where the condition does not hold, without the results made so far."""
        b = self.b
        with b.if_(b.not_(condition), likely=False):
            if results is not None:
                self._api(_DECREF, [results], None)
            self._api(_CLEAR, [], None)
            b.ir.branch(self.slow)

    def _unless_null(self, address: Any, results: Any = None) -> None:
        self._unless(self.b.not_(self.b.is_null(address)), results)

    # -- CPython's and numpy's objects -----------------------------------------------------------------------------

    def _api(self, word: int, arguments: Sequence[Any], result: Any) -> Any:
        """Calls the C function whose address is in a word; an i64 result comes as a Value."""
        made = self.b.call_address(self._word(word), arguments, ir.VoidType() if result is None else result)
        return self.b.value(made, I64) if result is I64.llvm else made

    def _word(self, position: int) -> Any:
        return self._load(self.words.at(position))

    def _load(self, place: Pointer) -> Any:
        return self.b.ir.load(place.ir, typ=PTR, align=8)

    def _keep(self, slot: Pointer, address: Any) -> None:
        self.b.ir.store(address, slot.ir, align=8)

    def _address(self, object_: Any, offset: int) -> Any:
        """The pointer in an object's field."""
        return self.b.ir.load(self.b.advance(object_, self.b.i64(offset)), typ=PTR, align=8)

    def _int32(self, object_: Any, offset: int) -> Value:
        field = self.b.ir.load(self.b.advance(object_, self.b.i64(offset)), typ=_I32, align=4)
        return self.b.value(self.b.ir.sext(field, I64.llvm), I64)

    def _is(self, object_: Any, word: int) -> Value:
        return self._equal(object_, self._word(word))

    def _equal(self, one: Any, other: Any) -> Value:
        return self.b.value(self.b.ir.icmp_unsigned("==", one, other), BOOL)
