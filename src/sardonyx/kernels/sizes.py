"""Symbolic sizes as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sardonyx.lang import BOOL, I64, Value, Var
from sardonyx.lang.builder import Builder
from sardonyx.symbols import Dim, fold

__all__ = ["SizeCode", "emit_dim"]


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


class _Checked(_Code):
    """The same, noting results that leave 64 bits in ``overflow``; scalars only."""

    def __init__(self, b: Builder, overflow: Var) -> None:
        super().__init__(b)
        self.overflow = overflow

    def _noted(self, operation: str, x: Value, y: Value) -> Value:
        result, left = self.b.overflowing(operation, x, y)
        self.overflow.set(self.overflow.get() | left)
        return result

    def add(self, x: Value, y: Value) -> Value:
        return self._noted("add", x, y)

    def subtract(self, x: Value, y: Value) -> Value:
        return self._noted("sub", x, y)

    def multiply(self, x: Value, y: Value) -> Value:
        return self._noted("mul", x, y)


class SizeCode:
    """Symbolic sizes as values, in a straight line of code: ``values`` has the symbols, ``definitions`` what others
    stand for. Where they are ``checked``, ``overflow`` tells whether one left 64 bits."""

    def __init__(self, b: Builder, values: Mapping[str, Value], definitions: Mapping[str, Dim], checked: bool) -> None:
        self.b = b
        self.values = dict(values)
        self.definitions = definitions
        self.overflow = b.var(b.const(False, BOOL))
        self.arithmetic = _Checked(b, self.overflow) if checked else _Code(b)

    def __call__(self, dim: Dim) -> Value:
        return fold(dim, self._symbol, lambda n: self.b.const(n, I64), self.arithmetic)

    def _symbol(self, name: str) -> Value:
        if name not in self.values:
            self.values[name] = self(self.definitions[name])
        return self.values[name]
