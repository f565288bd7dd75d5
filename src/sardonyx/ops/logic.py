"""Logic on bools and on bits: And, Or, Xor, Not, BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot, BitShift."""

from __future__ import annotations

from sardonyx.dtypes import DType
from sardonyx.lang import Value
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__: list[str] = []


@op("And")
class And(Elementwise):
    """a and b."""

    required = 2
    kinds = "b"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a & b

    def symbolic(self, *values: Dim) -> Dim | None:
        return 0 if 0 in values else 1 if values == (1, 1) else None


@op("Or")
class Or(Elementwise):
    """a or b."""

    required = 2
    kinds = "b"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a | b

    def symbolic(self, *values: Dim) -> Dim | None:
        return 1 if 1 in values else 0 if values == (0, 0) else None


@op("Xor")
class Xor(Elementwise):
    """Exactly one of a and b."""

    required = 2
    kinds = "b"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a ^ b


@op("Not")
class Not(Elementwise):
    """not x."""

    kinds = "b"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return ~x

    def symbolic(self, *values: Dim) -> Dim | None:
        (x,) = values
        return 1 - x


@op("BitwiseAnd")
class BitwiseAnd(Elementwise):
    """The bits set in both."""

    required = 2
    kinds = "iu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a & b


@op("BitwiseOr")
class BitwiseOr(Elementwise):
    """The bits set in one at least."""

    required = 2
    kinds = "iu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a | b


@op("BitwiseXor")
class BitwiseXor(Elementwise):
    """The bits set in exactly one."""

    required = 2
    kinds = "iu"

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a ^ b


@op("BitwiseNot")
class BitwiseNot(Elementwise):
    """The bits not set."""

    kinds = "iu"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return ~x


@op("BitShift")
class BitShift(Elementwise):
    """a shifted by b bits, ``LEFT`` or ``RIGHT`` (with copies of the sign).

    A shift by the width or more, or by a negative number, leaves nothing but the sign: -1 to the right of a negative
    number, else 0.
    """

    cost = 3
    required = 2
    kinds = "iu"
    direction: str

    def compute(self, *values: Value) -> Value:
        a, b = values
        return a.b.shift_left(a, b) if self.direction == "LEFT" else a.b.shift_right(a, b)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        if self.direction not in ("LEFT", "RIGHT"):
            ctx.fail(f"attribute 'direction' must be LEFT or RIGHT, got {self.direction!r}")
        return super().result_dtypes(ctx)
