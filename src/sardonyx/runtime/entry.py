"""The door from Python into a program that is one region: a native function of CPython's fast calling convention.

``Door.function`` takes what ``InferenceSession.run`` takes. Where a call is like the one before (same shapes, plain
arrays) native code checks the inputs, makes the outputs and runs, in a fraction of a microsecond; every other call goes
to the Python function that stands behind it (see ``lang.entry``).

It reads fields of CPython's and numpy's objects, so it exists only where these lie where they are known to: CPython
3.11 to 3.14 with its lock, numpy 2. Elsewhere ``open_door`` gives None and calls take the ordinary road.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sardonyx.runtime.address import address_of
from sardonyx.runtime.native import NativeStep
from sardonyx.runtime.pool import code
from sardonyx.runtime.region import InputSpec, OutputSpec

__all__ = ["Door", "open_door"]

# Positions of words; the numbers of sardonyx.lang.entry.
(
    _READY, _SLOW, _INPUTS, _OUTPUTS, _RUN, _POINTERS, _TABLE, _TEAM, _FIRST, _NONE, _DICT, _LIST, _ARRAY,
    _DICT_SIZE, _DICT_GET, _SAME, _CLEAR, _NEW_ARRAY, _NEW_LIST, _SET_ITEM, _INCREF, _DECREF, _SAVE, _RESTORE, _CALL,
    _RECORDS,
) = range(26)  # fmt: skip
_RECORD = 5
_CLOSED, _OPEN, _TAKEN = 0, 1, 2

_FAST_WITH_KEYWORDS = 0x0080 | 0x0002  # METH_FASTCALL | METH_KEYWORDS
_ARRAY_TYPE, _NEW_FROM_DESCRIPTOR = 2, 94  # in numpy's table of functions
_FUNCTIONS = {
    _DICT_SIZE: "PyDict_Size",
    _DICT_GET: "PyDict_GetItemWithError",
    _SAME: "PyObject_RichCompareBool",
    _CLEAR: "PyErr_Clear",
    _NEW_LIST: "PyList_New",
    _SET_ITEM: "PyList_SetItem",
    _INCREF: "Py_IncRef",
    _DECREF: "Py_DecRef",
    _SAVE: "PyEval_SaveThread",
    _RESTORE: "PyEval_RestoreThread",
    _CALL: "PyObject_Vectorcall",
}


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    ]


_doors: weakref.WeakSet[Door] = weakref.WeakSet()


class Door:
    """What native code knows of a step; ``function`` makes the function to call, ``follow`` is told of each call that
    came the ordinary way. Neither refers to the function, so that no circle keeps both alive."""

    def __init__(self, step: NativeStep) -> None:
        self._step = step
        edges: list[InputSpec | OutputSpec] = [*step.region.inputs, *step.region.outputs]
        self._ranks = [len(spec.dims) for spec in edges]
        self._names = [sys.intern(name) for name in (*step.inputs, *step.outputs)]
        self._dtypes = [spec.dtype.memory for spec in edges]
        self._words = np.zeros(_RECORDS + _RECORD * len(self._names) + sum(self._ranks), np.int64)
        self._last: Any = None
        self._kept: Any = None
        self._fill()
        _doors.add(self)

    def _fill(self) -> None:
        words, step = self._words, self._step
        words[_INPUTS], words[_OUTPUTS] = len(step.inputs), len(step.outputs)
        words[_RUN], words[_FIRST] = step.run_address, step.first_input
        for word, object_ in ((_NONE, None), (_DICT, dict), (_LIST, list), (_ARRAY, np.ndarray)):
            words[word] = id(object_)
        for word, name in _FUNCTIONS.items():
            words[word] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        words[_NEW_ARRAY] = _numpy_functions()[_NEW_FROM_DESCRIPTOR]
        sizes = _RECORDS + _RECORD * len(self._names)
        for place, (name, dtype, rank) in enumerate(zip(self._names, self._dtypes, self._ranks, strict=True)):
            record = _RECORDS + _RECORD * place
            words[record : record + 4] = id(name), id(dtype), rank, sizes
            sizes += rank

    def function(self, slow: Callable[..., Any]) -> Callable[..., Any]:
        """The builtin function, to be made once. ``slow`` gets the same arguments where a call is not like the last
        one, and keeps the door alive; the tuple that is the function's ``self`` keeps alive what native code reads."""
        self._words[_SLOW] = id(slow)
        native = code()
        if native is None:
            raise AssertionError("a loaded step without the pool's code")
        documentation = b"run(output_names, input_feed, run_options=None)\n--\n\nSee InferenceSession.run."
        method = _Method(b"run", native.entry, _FAST_WITH_KEYWORDS, documentation)
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        owned = (self._words, slow, method, native)
        made: Callable[..., Any] = make(ctypes.addressof(method), owned, None)
        return made

    def follow(self, arrays: Sequence[Any]) -> None:
        """Told the inputs of a call that went well: the second one of the same shapes opens the door for more of
        them."""
        shapes = tuple([array.shape for array in arrays])
        words = self._words
        if shapes != self._last:
            self._last = shapes
            return
        if words[_READY] == _TAKEN:
            return
        plan = self._step.plan_of(shapes)
        if plan is None:
            return
        words[_READY] = _CLOSED
        frame = self._kept[1] if self._kept is not None else None
        if frame is None or frame.capacity < plan.arena:
            frame = self._step.take_frame(plan)
        self._kept = plan, frame
        words[_POINTERS], words[_TABLE], words[_TEAM] = frame.address, plan.address, self._step.team.address
        sizes = _RECORDS + _RECORD * len(self._names)
        for shape in (*shapes, *(shape for shape, _ in plan.outputs)):
            words[sizes : sizes + len(shape)] = shape
            sizes += len(shape)
        words[_READY] = _OPEN

    def close(self) -> None:
        """Until ``follow`` has seen two calls again."""
        self._words[_READY] = _CLOSED
        self._last = None


def open_door(step: NativeStep) -> Door | None:
    """A door into a loaded step whose inputs and outputs are, in order, those of the program; None where there is none:
    on other interpreters, and for steps whose sizes or memory a call has to look at."""
    native = code()
    region = step.region
    if native is None or not _is_known_interpreter() or region.dynamic or region.keys is not None or step.elements:
        return None
    return Door(step)


def _is_known_interpreter() -> bool:
    """Whether objects are laid out as native code takes them to be."""
    if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return False
    if sysconfig.get_config_var("Py_GIL_DISABLED") or object.__basicsize__ != 16 or np.__version__.split(".")[0] != "2":
        return False
    return _numpy_functions()[_ARRAY_TYPE] == id(np.ndarray) and _fields_agree()


def _fields_agree() -> bool:
    """Reads an array, a tuple and a list through their fields, as native code does."""
    probe = np.zeros((2, 3), np.float32)
    word, half = ctypes.c_size_t.from_address, ctypes.c_int32.from_address
    sizes = ctypes.c_int64 * 2
    array = (
        word(id(probe) + 8).value == id(np.ndarray)
        and word(id(probe) + 16).value == address_of(probe)
        and half(id(probe) + 24).value == 2
        and list(sizes.from_address(word(id(probe) + 32).value)) == [2, 3]
        and word(id(probe) + 56).value == id(probe.dtype)
        and half(id(probe) + 64).value == probe.flags.num
    )
    pair, items = (probe, None), [probe, None]
    containers = (
        word(id(pair) + 24).value == id(probe)
        and word(id(items) + 16).value == 2
        and word(word(id(items) + 24).value).value == id(probe)
    )
    return array and containers


def _numpy_functions() -> Any:
    """numpy's table of C functions."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return (ctypes.c_size_t * 128).from_address(pointer(capsule, None))


def _close_after_fork() -> None:
    """A child has no threads of the parent's pool: plans that name a team are made again."""
    for door in list(_doors):
        door.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_after_fork)
