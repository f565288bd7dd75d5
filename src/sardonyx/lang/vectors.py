"""Operations on whole vectors: lanes, shuffles, reductions, masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import BOOL, I32, I64, Type
from sardonyx.lang.value import Operand, Value

__all__ = ["Vectors"]


class Vectors(BuilderBase):
    """Operations that move or combine lanes."""

    def iota(self, type_: Type) -> Value:
        """0, 1, 2 ... in the lanes."""
        if type_.lanes == 1:
            return self.const(0, type_)
        element = type_.element
        convert = float if type_.dtype.is_float else int
        return self.value(
            ir.Constant(type_.llvm, [ir.Constant(element, convert(n)) for n in range(type_.lanes)]), type_
        )

    def extract(self, value: Value, lane: int) -> Value:
        if value.lanes == 1:
            return value
        return self.value(self.ir.extract_element(value.ir, ir.Constant(I32.llvm, lane)), value.type.scalar)

    def insert(self, vector: Value, scalar: Value, lane: int) -> Value:
        return self.value(self.ir.insert_element(vector.ir, scalar.ir, ir.Constant(I32.llvm, lane)), vector.type)

    def shuffle(self, left: Value, right: Value | None, lanes: Sequence[int]) -> Value:
        """Lanes picked from ``left`` (0 ...) and ``right`` (left.lanes ...)."""
        other = ir.Constant(left.type.llvm, ir.Undefined) if right is None else right.ir
        mask = ir.Constant(ir.VectorType(I32.llvm, len(lanes)), [ir.Constant(I32.llvm, n) for n in lanes])
        return self.value(self.ir.shuffle_vector(left.ir, other, mask), left.type.with_lanes(len(lanes)))

    def reduce(self, combine: Callable[[Value, Value], Value], value: Value) -> Value:
        """All lanes combined to a scalar in a fixed order: halves onto halves, so that results are reproducible."""
        while value.lanes > 1:
            half = value.lanes // 2
            if value.lanes % 2:
                raise TypeError(f"reduction of {value.type}: the number of lanes must be a power of two")
            low = self.shuffle(value, None, range(half))
            high = self.shuffle(value, None, range(half, value.lanes))
            if half == 1:
                low, high = self.extract(value, 0), self.extract(value, 1)
            value = combine(low, high)
        return value

    def tail_mask(self, remaining: Operand, lanes: int) -> Value:
        """True in the first ``remaining`` lanes (an i64; more than ``lanes`` gives all true)."""
        count = self.coerce(remaining, I64)
        limit = self._self.minimum(count, self.i64(lanes))
        narrow = self.splat(self._self.convert(limit, I32.dtype), lanes)
        return self._self.compare("<", self.iota(I32.with_lanes(lanes)), narrow)

    def all_true(self, lanes: int) -> Value:
        return self.const(True, BOOL.with_lanes(lanes))

    def any(self, mask: Value) -> Value:
        """Whether any lane of a mask is true."""
        if mask.lanes == 1:
            return mask
        bits = self.ir.bitcast(mask.ir, ir.IntType(mask.lanes))
        return self.value(self.ir.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(mask.lanes), 0)), BOOL)
