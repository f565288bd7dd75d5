"""Size symbols beside those that are sizes of inputs: elements of tensors, computed sizes, and counts.

An *element* is an integer that a run reads from a small tensor when a step begins (the shape that a Reshape is given).
Symbols are never negative, so that an element is the difference of two: its positive and its negative part.
A *definition* is a symbol for an expression of others, computed once when a step begins: sizes that follow from data
would make large expressions. A *count* is what a kernel finds out (how many elements are not 0); its limit is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from sardonyx.symbols import Dim, Expr, free_symbols, symbol, to_text

__all__ = ["Element", "SizeSymbols"]


@dataclass(frozen=True)
class Element:
    """Where an element's symbol is read: its positive part, or the ``negative`` one."""

    value: ir.Value
    index: int
    negative: bool


@dataclass
class SizeSymbols:
    """The symbols of one graph, by name."""

    elements: dict[str, Element] = field(default_factory=dict)
    definitions: dict[str, Dim] = field(default_factory=dict)
    limits: dict[str, Dim] = field(default_factory=dict)
    _of_value: dict[ir.Value, list[str]] = field(default_factory=dict)
    _defined: dict[str, Expr] = field(default_factory=dict)
    _born: dict[str, int] = field(default_factory=dict)

    @property
    def made(self) -> int:
        """How many symbols were made so far."""
        return len(self._born)

    def fresh(self, hint: str) -> Expr:
        """A new symbol."""
        name = f"{hint}#{len(self._born)}"
        self._born[name] = len(self._born)
        return symbol(name)

    def newer(self, size: Dim, made: int) -> bool:
        """Whether a size depends on a symbol that was not among the first ``made``."""
        return any(self._born.get(name, -1) >= made for name in free_symbols(size))

    def element(self, value: ir.Value, index: int) -> Dim:
        """The integer at a place of a tensor, in symbols of its own."""
        parts: list[Expr] = []
        for negative in (False, True):
            part = self.fresh(f"{value.name}[{index}]")
            name = next(iter(free_symbols(part)))
            self.elements[name] = Element(value, index, negative)
            self._of_value.setdefault(value, []).append(name)
            parts.append(part)
        return parts[0] - parts[1]

    def natural(self, value: ir.Value) -> Dim:
        """The only integer of a tensor, which is never negative, in a new symbol."""
        made = self.fresh(value.name or "number")
        name = next(iter(free_symbols(made)))
        self.elements[name] = Element(value, 0, False)
        self._of_value.setdefault(value, []).append(name)
        return made

    def elements_of(self, value: ir.Value) -> Collection[str]:
        """The symbols that are read from a value."""
        return self._of_value.get(value, ())

    def define(self, hint: str, size: Dim) -> Dim:
        """A symbol for ``size``, which must not be negative where it counts; what no data goes into stays as it is."""
        if not self.from_data(size):
            return size
        text = to_text(size)
        if text not in self._defined:
            made = self.fresh(hint)
            self._defined[text] = made
            self.definitions[next(iter(free_symbols(made)))] = size
        return self._defined[text]

    def from_data(self, size: Dim) -> bool:
        """Whether a size depends on elements of tensors."""
        return not self.elements.keys().isdisjoint(self.base([size]))

    def count(self, hint: str, limit: Dim) -> Expr:
        """A new symbol for what a kernel counts, at most ``limit``."""
        made = self.fresh(hint)
        self.limits[next(iter(free_symbols(made)))] = limit
        return made

    def base(self, sizes: Iterable[Dim], told: Collection[str] = ()) -> set[str]:
        """The symbols that sizes depend on: what definitions lead to, except for those in ``told``."""
        found: set[str] = set()
        waiting = [name for size in sizes for name in free_symbols(size)]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.definitions and name not in told:
                waiting += free_symbols(self.definitions[name])
            else:
                found.add(name)
        return found
