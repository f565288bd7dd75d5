"""Tensors to and from other libraries through DLPack, also of types that numpy does not exchange (bfloat16, float8).

The structures are those of ``dlpack.h``, in capsules called ``dltensor`` or, since version 1, ``dltensor_versioned``.
Source: https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes

__all__ = ["array_from", "capsule_of", "is_dlpack_uint8_tensor"]

_NAME, _VERSIONED_NAME = b"dltensor", b"dltensor_versioned"
_CPU = 1
_CODES = {"bfloat16": 4, "float8_e4m3fn": 10, "float8_e4m3fnuz": 11, "float8_e5m2": 12, "float8_e5m2fnuz": 13}
_TYPES = {(code, dtypes.from_name(name).bits): dtypes.from_name(name) for name, code in _CODES.items()}


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _VersionedHead(ctypes.Structure):
    """What precedes the tensor in a capsule of DLPack 1."""

    _fields_ = [
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
    ]


_api = ctypes.pythonapi
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", _api))


def _tensor_in(capsule: Any) -> _Tensor:
    """The tensor that a capsule holds; it lives as long as the capsule, until somebody takes it over."""
    if _is_valid(capsule, _VERSIONED_NAME):
        return _Tensor.from_address(_get_pointer(capsule, _VERSIONED_NAME) + ctypes.sizeof(_VersionedHead))
    return _Tensor.from_address(_get_pointer(capsule, _NAME))


class _Memory:
    """Borrowed memory for numpy; holds on to what owns it."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self.__array_interface__ = interface
        self._owner = owner


class _Capsule:
    """A bare capsule as an object with ``__dlpack__``."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        tensor = _tensor_in(self._capsule)
        return tensor.device_type, tensor.device_id


def is_dlpack_uint8_tensor(capsule: Any) -> bool:
    """Whether a capsule holds bytes, which old libraries use for booleans."""
    tensor = _tensor_in(capsule)
    return (int(tensor.code), int(tensor.bits), int(tensor.lanes)) == (1, 8, 1)


def array_from(value: Any) -> npt.NDArray[Any]:
    """An array over the memory of an object with ``__dlpack__``, or of a capsule.

    Raises BufferError, RuntimeError or TypeError where the memory is not the processor's or the type is not known.
    """
    if not hasattr(value, "__dlpack__") and type(value).__name__ == "PyCapsule":
        value = _Capsule(value)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as error:
        kind, number = value.__dlpack_device__()
        if kind != _CPU:
            raise BufferError(f"the memory is that of device {kind}:{number}") from error
        capsule = value.__dlpack__()
        tensor = _tensor_in(capsule)
        dtype = _TYPES.get((tensor.code, tensor.bits))
        if dtype is None or tensor.lanes != 1:
            raise
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    interface: dict[str, Any] = {
        "version": 3,
        "shape": shape,
        "typestr": f"<u{dtype.itemsize}" if dtype.itemsize > 1 else "|u1",
        "data": ((tensor.data or 0) + tensor.byte_offset, False),
    }
    if tensor.strides:
        interface["strides"] = tuple(tensor.strides[axis] * dtype.itemsize for axis in range(tensor.ndim))
    if 0 in shape:
        return np.zeros(shape, dtype.numpy)
    return np.asarray(_Memory(interface, capsule)).view(dtype.numpy)


def capsule_of(array: npt.NDArray[Any], **arguments: Any) -> Any:
    """A DLPack capsule over an array's memory; ``arguments`` are those of ``__dlpack__``."""
    dtype = dtypes.from_numpy(array.dtype)
    if dtype.name not in _CODES:
        return array.__dlpack__(**arguments)
    # numpy makes the capsule, for it knows when to let go of the array; only the name of the type is ours
    capsule = array.view(f"u{dtype.itemsize}").__dlpack__(**arguments)
    tensor = _tensor_in(capsule)
    tensor.code, tensor.bits = _CODES[dtype.name], dtype.bits
    return capsule
