"""Element types: one record per ONNX tensor type, with its numpy and storage properties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["ALL", "DType", "carrier", "from_name", "from_numpy", "from_onnx"]


_ORT_NAMES = {
    "float32": "float",
    "float64": "double",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
    "float4_e2m1fn": "float4e2m1",
}


@dataclass(frozen=True, eq=True)
class DType:
    """An element type.

    ``onnx`` is the number of the type in ``TensorProto.DataType``; ``kind`` is one of ``f`` (float), ``i`` (signed),
    ``u`` (unsigned), ``b`` (bool), ``c`` (complex) and ``s`` (string); ``bits`` is the size of one packed element.
    """

    name: str
    onnx: int
    kind: str
    bits: int

    def __repr__(self) -> str:
        return self.name

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory; types under a byte are held one element to a byte once unpacked."""
        return max(1, self.bits // 8)

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_signed(self) -> bool:
        return self.kind in "if"

    @property
    def ort_name(self) -> str:
        """The name in ONNX Runtime's type strings: ``tensor(float)`` and so on."""
        return _ORT_NAMES.get(self.name, self.name)

    @property
    def memory(self) -> np.dtype[Any]:
        """The numpy dtype of what native code holds of one element: handles for strings."""
        return np.dtype(np.int64) if self.kind == "s" else self.numpy

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype of one unpacked element (ml_dtypes where numpy has none)."""
        if self.kind == "s":
            return np.dtype(object)
        try:
            known: np.dtype[Any] = np.dtype(self.name)
        except TypeError:
            import ml_dtypes

            known = np.dtype(getattr(ml_dtypes, self.name))
        return known


float32 = DType("float32", 1, "f", 32)
uint8 = DType("uint8", 2, "u", 8)
int8 = DType("int8", 3, "i", 8)
uint16 = DType("uint16", 4, "u", 16)
int16 = DType("int16", 5, "i", 16)
int32 = DType("int32", 6, "i", 32)
int64 = DType("int64", 7, "i", 64)
string = DType("string", 8, "s", 64)
bool_ = DType("bool", 9, "b", 8)
float16 = DType("float16", 10, "f", 16)
float64 = DType("float64", 11, "f", 64)
uint32 = DType("uint32", 12, "u", 32)
uint64 = DType("uint64", 13, "u", 64)
complex64 = DType("complex64", 14, "c", 64)
complex128 = DType("complex128", 15, "c", 128)
bfloat16 = DType("bfloat16", 16, "f", 16)
float8_e4m3fn = DType("float8_e4m3fn", 17, "f", 8)
float8_e4m3fnuz = DType("float8_e4m3fnuz", 18, "f", 8)
float8_e5m2 = DType("float8_e5m2", 19, "f", 8)
float8_e5m2fnuz = DType("float8_e5m2fnuz", 20, "f", 8)
uint4 = DType("uint4", 21, "u", 4)
int4 = DType("int4", 22, "i", 4)
float4_e2m1fn = DType("float4_e2m1fn", 23, "f", 4)
float8_e8m0fnu = DType("float8_e8m0fnu", 24, "f", 8)
uint2 = DType("uint2", 25, "u", 2)
int2 = DType("int2", 26, "i", 2)
float6_e2m3fn = DType("float6_e2m3fn", 27, "f", 6)
float6_e3m2fn = DType("float6_e3m2fn", 28, "f", 6)

ALL: tuple[DType, ...] = tuple(value for value in list(globals().values()) if isinstance(value, DType))
_BY_ONNX = {dtype.onnx: dtype for dtype in ALL}
_BY_NAME = {dtype.name: dtype for dtype in ALL}


uint128 = DType("uint128", -1, "u", 128)
"""A word that only native code knows: it moves complex numbers of two float64."""

_CARRIERS = {string: int64, complex64: uint64, complex128: uint128}


def carrier(dtype: DType) -> DType:
    """What native code takes elements for that it only moves: integers that stand for strings and complex numbers."""
    return _CARRIERS.get(dtype, dtype)


def from_onnx(code: int) -> DType:
    """The record of a ``TensorProto.DataType`` number; raises KeyError for a number no version of ONNX defines."""
    return _BY_ONNX[code]


def from_name(name: str) -> DType:
    """The record of a name such as ``float32``; raises KeyError for an unknown one."""
    return _BY_NAME[name]


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The record of a numpy dtype (byte order ignored); raises KeyError for one that ONNX cannot hold."""
    if dtype.kind in "OSUT":
        return string
    return _BY_NAME[dtype.name]
