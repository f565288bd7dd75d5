"""Applies functions of the kernel language to numpy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import Module, Value
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.lang.loader import load_objects
from sardonyx.targets import Target

Array = npt.NDArray[Any]
_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def chosen(target: Target | None) -> Target:
    """A target, by default this machine's; its code is checked where SARDONYX_CHECK asks for that."""
    host = host_target()
    return host if target is None else replace(target, checked=target.checked or host.checked)


def addresses(
    arrays: Sequence[Array], bounds: Sequence[tuple[int, int]] | None = None
) -> tuple[ctypes.c_void_p, object]:
    """A kernel's first argument, and what must live as long as it is used.

    ``bounds`` are those of the memory that each array is part of (see ``sardonyx.lang.checking``), by default its own.
    """
    given = bounds if bounds is not None else [np.lib.array_utils.byte_bounds(array) for array in arrays]
    in_front = [edge for pair in reversed(given) for edge in reversed(pair)]
    words = (ctypes.c_void_p * (3 * len(arrays) + 1))(*in_front, *(array.ctypes.data for array in arrays))
    return ctypes.c_void_p(ctypes.addressof(words) + len(in_front) * ctypes.sizeof(ctypes.c_void_p)), words


def emit(
    module: Module, name: str, build: Callable[..., Value], inputs: list[DType], result: DType, lanes: int | None = None
) -> None:
    """Adds a kernel that stores ``build`` of its inputs' elements, a vector at a time."""
    width = lanes or module.target.lanes(max(d.itemsize for d in (*inputs, result)))
    with module.kernel(name) as b:
        pointers = [b.buffer(k, d) for k, d in enumerate(inputs)]
        destination = b.buffer(len(inputs), result)

        def body(i: Value, mask: Value | None) -> None:
            destination.store(build(*(p.load(i, width, mask) for p in pointers)), i, mask)

        b.vector_loop(b.end, width, body)


def apply(
    build: Callable[..., Value],
    *arrays: Array,
    result: DType | None = None,
    target: Target | None = None,
    lanes: int | None = None,
) -> Array:
    """``build`` on every element of arrays of one length; the result has the first one's dtype unless given."""
    target = chosen(target)
    inputs = [dtypes.from_numpy(a.dtype) for a in arrays]
    out = result or inputs[0]
    module = Module(target, "test")
    emit(module, "kernel", build, inputs, out, lanes)
    loaded = load_objects([compile_text(module.text(), target)], ["kernel"])
    contiguous = [np.ascontiguousarray(a) for a in arrays]
    answer = np.zeros(arrays[0].shape, out.numpy)
    pointers, _words = addresses((*contiguous, answer))
    assert _SIGNATURE(loaded.addresses["kernel"])(pointers, None, 0, arrays[0].size) == 0
    return answer


def run(build: Callable[..., None], *arrays: Array, sizes: Sequence[int] = (), target: Target | None = None) -> int:
    """Runs a kernel built by ``build(b, *pointers)`` on arrays, which it may change; gives its status."""
    target = chosen(target)
    module = Module(target, "test")
    with module.kernel("kernel") as b:
        build(b, *(b.buffer(k, dtypes.from_numpy(a.dtype)) for k, a in enumerate(arrays)))
    loaded = load_objects([compile_text(module.text(), target)], ["kernel"])
    pointers, _words = addresses(arrays)
    numbers = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
    return int(_SIGNATURE(loaded.addresses["kernel"])(pointers, numbers, 0, 1))


def ulps(got: Array, expected: npt.NDArray[np.longdouble]) -> npt.NDArray[np.float64]:
    """The error of each element in units in the last place of the correctly rounded result.

    ``expected`` is of higher precision. A NaN that should be none, or the reverse, is infinitely wrong.
    """
    with np.errstate(all="ignore"):
        rounded = expected.astype(got.dtype)
        ordinary = np.isfinite(rounded) & np.isfinite(got)
        unit = np.spacing(np.abs(np.where(ordinary, rounded, 1))).astype(np.longdouble)
        error = np.where(ordinary, np.abs(got.astype(np.longdouble) - expected) / unit, 0)
        # a result that rounds to infinity may also be the largest number, and the reverse
        largest = np.finfo(got.dtype).max
        clamped = np.clip(got, -largest, largest).astype(np.longdouble), np.clip(expected, -largest, largest)
        edge = np.isinf(rounded) ^ np.isinf(got)
        error = np.where(edge, np.abs(clamped[0] - clamped[1]) / np.spacing(largest), error)
        wrong = (np.isnan(rounded) != np.isnan(got)) | (edge & np.isnan(rounded + got))
        signs = (rounded == 0) & (got == 0) & (np.signbit(rounded) != np.signbit(got))
        return np.where(wrong | signs, np.inf, error).astype(np.float64)
