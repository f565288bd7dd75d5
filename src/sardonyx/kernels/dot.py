"""The dot atom: what one multiply-accumulate of the micro-kernel is.

A plain atom multiplies one element of A with a vector of B's. The atoms of 8-bit integers take a *word* of 32 bits at
a time: ``depth`` adjacent elements along k of A against the same of each column of B, summed into the column's int32.
Packed B then consists of words, so that to all loops a product of bytes is one of int32 with k / depth steps.

    depth 4   unsigned bytes of A times signed bytes of B (VNNI); the other signedness is made from these by adding
              128 to A's elements or taking it from B's (flipping the top bit), which ``a_shift`` and ``b_shift`` tell
    depth 2   both widened to 16 bits; products of two are summed exactly in 32 (pmaddwd, or its like)

Both are exact: nothing saturates on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.lang import Value
from sardonyx.lang.builder import Builder
from sardonyx.lang.value import Pointer
from sardonyx.targets import Target

__all__ = ["BYTES", "Atom", "choose_atom", "multiply_add", "plain_atom"]

BYTES = (dtypes.uint8, dtypes.int8)
"""Element types of integer products that are summed in int32."""

TOP_BITS = -0x7F7F7F80
"""The top bit of each byte of a word, as an int32."""


@dataclass(frozen=True)
class Atom:
    """One multiply-accumulate: ``depth`` elements of type ``a`` of A by as many of B, whose panels and sums are of type
    ``sums``."""

    sums: DType
    a: DType
    depth: int = 1

    @property
    def a_shift(self) -> int:
        """What is added to each element of A before it is multiplied."""
        return 128 if self.depth == 4 and self.a is dtypes.int8 else 0

    def b_shift(self, source: DType) -> int:
        """What is added to each element of B before it is multiplied."""
        return -128 if self.depth == 4 and source is dtypes.uint8 else 0

    # -- in the micro-kernel -------------------------------------------------------------------------------------

    def broadcast(self, b: Builder, element: Pointer, lanes: int) -> Value:
        """The elements of A at an address, in every lane."""
        if self.depth == 1:
            return b.splat(element.load().to(self.sums), lanes)
        word = b.reinterpret(element.load(0, self.depth), self.sums)
        # before it is broadcast: LLVM 22 does not come to an end on a vector that is xored just before vpdpbusd
        return b.splat(word ^ TOP_BITS if self.a_shift else word, lanes)

    def accumulate(self, b: Builder, x: Value, y: Value, total: Value) -> Value:
        """``total`` plus the products of A's elements and B's."""
        match self.depth:
            case 1:
                return multiply_add(b, x, y, total)
            case 2:
                return b.dot_pairs(total, x, y)
            case _:
                return b.dot_bytes(total, x, y)

    # -- in packing ----------------------------------------------------------------------------------------------

    def word(self, b: Builder, elements: Sequence[Value]) -> Value:
        """The panel's vector from those of ``depth`` steps of k; missing last ones are zero."""
        if self.depth == 1:
            return elements[0].to(self.sums)
        bits = 32 // self.depth
        parts = [self._shifted(value).to(dtypes.int32) & ((1 << bits) - 1) for value in elements]
        total = parts[0]
        for place, part in enumerate(parts[1:], start=1):
            total = total | (part << (bits * place))
        return total

    def words(self, b: Builder, elements: Value, keep: Value | None) -> Value:
        """Words from adjacent elements along k; those where ``keep`` (None: everywhere) is false are zero."""
        if self.depth == 1:
            return elements.to(self.sums)
        shifted = self._shifted(elements)
        if keep is not None:
            shifted = b.select(keep, shifted, b.zero(shifted.type))
        return b.reinterpret(shifted if self.depth == 4 else shifted.to(dtypes.int16), self.sums)

    def _shifted(self, value: Value) -> Value:
        """Elements of B as the atom multiplies them."""
        return (value ^ 128).to(dtypes.int8) if self.b_shift(value.dtype) else value


def plain_atom(dtype: DType) -> Atom:
    """The atom of one element of ``dtype`` at a time."""
    return Atom(compute_dtype(dtype), compute_dtype(dtype))


def choose_atom(target: Target, a: DType, b: DType) -> Atom:
    """The atom for products of elements of these types."""
    if a not in BYTES or b not in BYTES:
        return plain_atom(a)
    return Atom(dtypes.int32, a, 4) if target.has_byte_dot else Atom(dtypes.int32, dtypes.int16, 2)


def multiply_add(b: Builder, x: Value, y: Value, total: Value) -> Value:
    """total + x * y, fused where the target can."""
    return b.fma(x, y, total) if total.dtype.is_float else total + x * y
