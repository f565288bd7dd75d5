"""Symbolic sizes as code."""

from __future__ import annotations

from collections.abc import Callable

from sardonyx.lang import I64, Value
from sardonyx.lang.builder import Builder
from sardonyx.symbols import Dim, fold

__all__ = ["emit_dim"]


class _Code:
    """The arithmetic of symbolic integers on i64 values; operands of // and % may be negative only on the left."""

    def __init__(self, b: Builder) -> None:
        self.b = b

    def add(self, x: Value, y: Value) -> Value:
        return x + y

    def subtract(self, x: Value, y: Value) -> Value:
        return x - y

    def multiply(self, x: Value, y: Value) -> Value:
        return x * y

    def floordiv(self, x: Value, y: Value) -> Value:
        divisor = self.b.select(
            y == 0, self.b.splat(self.b.i64(1), y.lanes), y
        )  # an empty tensor: any quotient will do
        quotient = self.b.div(x, divisor)
        inexact = (self.b.mul(quotient, divisor) != x) & ((x < 0) ^ (divisor < 0))
        return self.b.select(inexact, quotient - 1, quotient)

    def mod(self, x: Value, y: Value) -> Value:
        return x - self.floordiv(x, y) * y

    def minimum(self, x: Value, y: Value) -> Value:
        return self.b.minimum(x, y)

    def maximum(self, x: Value, y: Value) -> Value:
        return self.b.maximum(x, y)

    def broadcast(self, x: Value, y: Value) -> Value:
        return self.b.select(x == 1, y, x)


def emit_dim(b: Builder, dim: Dim, symbol: Callable[[str], Value]) -> Value:
    """A symbolic integer as an i64 value, given the value of each symbol (all scalars, or all vectors of one width)."""
    if isinstance(dim, int):
        return b.const(dim, I64)
    return fold(dim, symbol, lambda n: b.const(n, I64), _Code(b))
