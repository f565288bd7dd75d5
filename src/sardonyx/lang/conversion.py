"""Conversion between element types."""

from __future__ import annotations

from typing import Any

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import Type
from sardonyx.lang.value import Value, promoted

__all__ = ["Conversion"]


class Conversion(BuilderBase):
    """Conversions that are defined for every input and never call a runtime library."""

    def convert(self, value: Value, dtype: DType) -> Value:
        """Converts the element type.

        Integers wrap; float to integer truncates and saturates (NaN gives 0), so that no input is undefined
        behaviour; to bool tests for non-zero; float to a narrower float rounds once, to nearest even. See ``narrow``
        for what else there is about types of eight bits.
        """
        source, target = value.type, Type(dtype, value.lanes)
        if source == target:
            return value
        wide = promoted(source.dtype)
        if wide is not None:
            widened = self._widened(value)
            widened.stored = value
            return self.convert(widened, dtype)
        if dtype is dtypes.bool_:
            return value != 0
        wide = promoted(dtype)
        if wide is not None:
            if value.stored is not None and value.stored.dtype is dtype:
                return value.stored
            return self._narrowed(value, dtype, wide)
        return self.value(self._convert(value, source, target), target)

    def single(self, value: Value) -> Value:
        """As float32, so that rounding it to a narrower float rounds as if once."""
        wide = value.dtype is dtypes.float64
        return self._to_odd_float32(value) if wide else self.convert(value, dtypes.float32)

    def _widened(self, value: Value) -> Value:
        """A value of a dtype that is only stored, in the dtype it is computed in."""
        match value.dtype:
            case dtypes.float16:
                return self._from_float16(value)
            case dtypes.bfloat16:
                return self._from_bfloat16(value)
            case DType(kind="f"):
                return self._self.widen(value)
        unused = 8 - value.dtype.bits
        byte = self.value(value.ir, Type(dtypes.int8 if value.dtype.kind == "i" else dtypes.uint8, value.lanes))
        return (byte << unused) >> unused

    def _narrowed(self, value: Value, dtype: DType, wide: DType) -> Value:
        """The reverse; integers keep their low bits."""
        match dtype:
            case dtypes.float16:
                return self._to_float16(self.single(value))
            case dtypes.bfloat16:
                return self._to_bfloat16(self.single(value))
            case DType(kind="f"):
                return self._self.narrow(self.single(value), dtype, saturate=dtype is dtypes.float8_e8m0fnu)
        if value.dtype.is_float:
            value = self._self.saturate(value, dtype)
        return self.value((self.convert(value, wide) & ((1 << dtype.bits) - 1)).ir, Type(dtype, value.lanes))

    def _convert(self, value: Value, source: Type, target: Type) -> Any:
        build = self.ir
        if source.dtype.is_float and target.dtype.is_float:
            if target.dtype.bits > source.dtype.bits:
                return build.fpext(value.ir, target.llvm)
            return build.fptrunc(value.ir, target.llvm)
        if source.dtype.is_float:
            return self._saturated(value, target).ir
        if target.dtype.is_float:
            convert = build.sitofp if source.dtype.kind == "i" else build.uitofp
            return convert(value.ir, target.llvm)
        source_bits = 1 if source.dtype is dtypes.bool_ else source.dtype.itemsize * 8
        target_bits = target.dtype.itemsize * 8
        if source_bits == target_bits:
            return value.ir
        if source_bits > target_bits:
            return build.trunc(value.ir, target.llvm)
        extend = build.sext if source.dtype.kind == "i" else build.zext
        return extend(value.ir, target.llvm)

    def _saturated(self, value: Value, target: Type) -> Value:
        """Truncated and held in the range of an integer type; NaN gives 0."""
        b, dtype = self._self, target.dtype
        if not self.target.triple.startswith("x86_64"):
            name = "fptosi" if dtype.is_signed else "fptoui"
            full = f"llvm.{name}.sat.{target.mangled}.{value.type.mangled}"
            return self.value(self.intrinsic(full, target.llvm, [value.ir]), target)
        # LLVM takes vectors apart for that intrinsic on x86; these few instructions it keeps whole
        signed = dtype.kind == "i"
        low, beyond = -(2.0 ** (dtype.bits - 1)) if signed else 0.0, 2.0 ** (dtype.bits - signed)
        bounded = b.maximum(value, low)
        inside = bounded < beyond
        whole = self.truncated(b.select(inside, bounded, 0.0), dtype)
        most = b.const((1 << (dtype.bits - signed)) - 1, target)
        return b.select(bounded >= beyond, most, whole)

    def truncated(self, value: Value, dtype: DType) -> Value:
        """A float truncated to an integer of a type that surely holds it (anything else is undefined)."""
        target = Type(dtype, value.lanes)
        if dtype.bits < 32:
            return self.convert(self.truncated(value, dtypes.int32), dtype)
        build = self.ir.fptosi if dtype.is_signed else self.ir.fptoui
        return self.value(build(value.ir, target.llvm), target)

    def _to_odd_float32(self, value: Value) -> Value:
        """float64 to float32, rounded to odd, so that rounding the result once more rounds as if once."""
        b = self._self
        near = b.convert(value, dtypes.float32)
        back = b.convert(near, dtypes.float64)
        bits = b.bitcast(near, dtypes.uint32)
        truncated = b.select(b.abs(back) > b.abs(value), bits - 1, bits)
        return b.bitcast(b.select(back != value, truncated | 1, bits), dtypes.float32)

    def _from_bfloat16(self, value: Value) -> Value:
        wide = self.ir.zext(value.ir, Type(dtypes.uint32, value.lanes).llvm)
        bits = self.value(wide, Type(dtypes.uint32, value.lanes)) << 16
        return self._self.bitcast(bits, dtypes.float32)

    def _to_bfloat16(self, value: Value) -> Value:
        b = self._self
        bits = b.bitcast(value, dtypes.uint32)
        rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
        quiet = (bits >> 16) | 0x40
        chosen = b.select(b.is_nan(value), quiet, rounded)
        type_ = Type(dtypes.bfloat16, value.lanes)
        return self.value(self.ir.trunc(chosen.ir, type_.llvm), type_)

    def _from_float16(self, value: Value) -> Value:
        b, single = self._self, Type(dtypes.float32, value.lanes)
        if self.target.has_f16_convert:
            return self.value(self.ir.fpext(value.ir, single.llvm), single)
        half = b.bitcast(value, dtypes.uint16).to(dtypes.uint32)
        magnitude, sign = (half & 0x7FFF) << 13, (half & 0x8000) << 16
        normal = magnitude + ((127 - 15) << 23)
        special = magnitude | 0x7F800000
        # a denormal is its digits put below 2^-14, minus 2^-14
        tiny = b.bitcast(b.bitcast(magnitude + (113 << 23), dtypes.float32) - 2.0**-14, dtypes.uint32)
        bits = b.select(magnitude >= (0x7C00 << 13), special, b.select(magnitude < (0x400 << 13), tiny, normal))
        return b.bitcast(bits | sign, dtypes.float32)

    def _to_float16(self, value: Value) -> Value:
        b, half = self._self, Type(dtypes.float16, value.lanes)
        if self.target.has_f16_convert:
            return self.value(self.ir.fptrunc(value.ir, half.llvm), half)
        bits = b.bitcast(value, dtypes.uint32)
        magnitude = bits & 0x7FFFFFFF
        sign = (bits ^ magnitude) >> 16
        normal = (magnitude + (((magnitude >> 13) & 1) + (0xFFF - ((127 - 15) << 23)) % 2**32)) >> 13
        special = b.select(magnitude > 0x7F800000, ((magnitude >> 13) & 0x3FF) | 0x7E00, b.const(0x7C00, bits.type))
        # adding 0.5 makes the last bit of a float worth 2^-24, as that of a denormal half: the addition rounds
        tiny = b.bitcast(b.bitcast(magnitude, dtypes.float32) + 0.5, dtypes.uint32) - 0x3F000000
        chosen = b.select(magnitude >= 0x47800000, special, b.select(magnitude < 0x38800000, tiny, normal))
        return b.bitcast((chosen | sign).to(dtypes.uint16), dtypes.float16)
