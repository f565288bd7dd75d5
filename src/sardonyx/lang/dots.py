"""Dot products of short runs of small integers: four bytes or two 16-bit integers in each 32-bit lane."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import Type
from sardonyx.lang.value import Value

__all__ = ["Dots"]

_BYTES = {4: "128", 8: "256", 16: "512"}
_PAIRS = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}


class Dots(BuilderBase):
    """Integer dot products within 32-bit lanes; exact, modulo 2**32 where the sum overflows."""

    def reinterpret(self, value: Value, dtype: DType) -> Value:
        """The same bits as elements of another size: as many lanes as they fill."""
        lanes = value.lanes * value.dtype.itemsize // dtype.itemsize
        type_ = Type(dtype, lanes)
        return self.value(self.ir.bitcast(value.ir, type_.llvm), type_)

    def dot_bytes(self, total: Value, x: Value, y: Value) -> Value:
        """``total`` plus the sum over the four bytes of each lane of unsigned ``x`` times signed ``y``.

        All are int32; the target must have the instruction (``Target.has_byte_dot``).
        """
        width = _BYTES[total.lanes]
        raw = [total.ir, *(self._as(v, 8) for v in (x, y))]
        return self.value(self.intrinsic(f"llvm.x86.avx512.vpdpbusd.{width}", total.type.llvm, raw), total.type)

    def dot_pairs(self, total: Value, x: Value, y: Value) -> Value:
        """``total`` plus the sum over the two signed 16-bit halves of each lane of ``x`` times those of ``y``.

        All are int32; the halves must not both be -32768 in both lanes.
        """
        name = _PAIRS.get(total.lanes) if self.target.triple.startswith("x86_64") else None
        if name is not None:
            raw = self.intrinsic(name, total.type.llvm, [self._as(x, 16), self._as(y, 16)])
            return total + self.value(raw, total.type)
        low, high = self._halves(x), self._halves(y)
        return total + low[0] * high[0] + low[1] * high[1]

    def _as(self, value: Value, bits: int) -> Any:
        return self.ir.bitcast(value.ir, ir.VectorType(ir.IntType(bits), value.lanes * 32 // bits))

    def _halves(self, value: Value) -> tuple[Value, Value]:
        """The lower and the upper 16 bits of each lane, sign-extended."""
        signed = value.to(dtypes.int32)
        return (signed << 16) >> 16, signed >> 16
