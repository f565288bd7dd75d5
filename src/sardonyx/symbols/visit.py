"""Walks over symbolic integers: evaluation, substitution, and computing one in another arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Protocol, TypeVar

from sardonyx.symbols.atoms import Atom, Monomial, Terms, sorted_terms
from sardonyx.symbols.expression import Dim, as_dim, make, symbol, terms_of
from sardonyx.symbols.functions import broadcast, maximum, minimum

T = TypeVar("T")


class DimOperations(Protocol[T]):
    """The arithmetic that ``fold`` needs; a ``broadcast`` is ``b`` where ``a`` is 1, else ``a``."""

    def add(self, a: T, b: T, /) -> T: ...
    def subtract(self, a: T, b: T, /) -> T: ...
    def multiply(self, a: T, b: T, /) -> T: ...
    def floordiv(self, a: T, b: T, /) -> T: ...
    def mod(self, a: T, b: T, /) -> T: ...
    def minimum(self, a: T, b: T, /) -> T: ...
    def maximum(self, a: T, b: T, /) -> T: ...
    def broadcast(self, a: T, b: T, /) -> T: ...


def fold(d: Dim, leaf: Callable[[str], T], const: Callable[[int], T], ops: DimOperations[T]) -> T:
    """``d`` computed bottom-up in another arithmetic, each shared atom once: ``leaf`` gives the value of a symbol."""
    operations: dict[str, Callable[[T, T], T]] = {
        "floordiv": ops.floordiv,
        "mod": ops.mod,
        "min": ops.minimum,
        "max": ops.maximum,
        "broadcast": ops.broadcast,
    }
    done: dict[Atom, T] = {}

    def visit_atom(atom: Atom) -> T:
        if atom not in done:
            if atom.kind == "symbol":
                done[atom] = leaf(atom.name)
            else:
                done[atom] = reduce(operations[atom.kind], map(visit, atom.arguments))
        return done[atom]

    def visit_term(monomial: Monomial, magnitude: int) -> T:
        factors = [visit_atom(atom) for atom, power in monomial for _ in range(power)]
        if magnitude != 1 or not factors:
            factors.append(const(magnitude))
        return reduce(ops.multiply, factors)

    def visit(dim: Dim) -> T:
        if isinstance(dim, int):
            return const(dim)
        # A positive term first saves the negation.
        terms = sorted(sorted_terms(dim), key=lambda term: term[1] < 0)
        result = visit_term(terms[0][0], abs(terms[0][1]))
        if terms[0][1] < 0:
            result = ops.subtract(const(0), result)
        for monomial, coefficient in terms[1:]:
            part = visit_term(monomial, abs(coefficient))
            result = ops.add(result, part) if coefficient > 0 else ops.subtract(result, part)
        return result

    return visit(as_dim(d))


class _DimArithmetic:
    """The operations on Dims themselves, and so on ints."""

    add = staticmethod(operator.add)
    subtract = staticmethod(operator.sub)
    multiply = staticmethod(operator.mul)
    floordiv = staticmethod(operator.floordiv)
    mod = staticmethod(operator.mod)
    minimum = staticmethod(minimum)
    maximum = staticmethod(maximum)
    broadcast = staticmethod(broadcast)


_ARITHMETIC: Any = _DimArithmetic()


def evaluate(d: Dim, env: Mapping[str, int]) -> int:
    """The number ``d`` is for these sizes.

    Raises KeyError for a symbol that ``env`` lacks, ZeroDivisionError, and ValueError for sizes that do not broadcast.
    """
    if isinstance(d, int):
        return d
    result: int = fold(d, env.__getitem__, int, _ARITHMETIC)
    return result


def substitute(d: Dim, env: Mapping[str, Dim]) -> Dim:
    """``d`` with each symbol that ``env`` names replaced."""
    if isinstance(d, int) or free_symbols(d).isdisjoint(env):
        return d
    result: Dim = fold(d, lambda name: as_dim(env[name]) if name in env else symbol(name), int, _ARITHMETIC)
    return result


def free_symbols(d: Dim) -> frozenset[str]:
    """The names of the symbols in ``d``."""
    if isinstance(d, int):
        return frozenset()
    names: set[str] = set()
    for monomial in d._terms:
        for atom, _ in monomial:
            if atom.kind == "symbol":
                names.add(atom.name)
            for argument in atom.arguments:
                names |= free_symbols(argument)
    return frozenset(names)


def linear(d: Dim, name: str) -> tuple[Dim, Dim] | None:
    """``(coefficient, rest)`` with ``d == coefficient * name + rest`` and neither using ``name``; None where there is
    no such pair: a higher power, or the symbol inside ``//``, ``%``, ``min``, ``max`` or ``broadcast``.
    """
    coefficient: Terms = {}
    rest: Terms = {}
    for monomial, number in terms_of(as_dim(d)).items():
        remaining: list[tuple[Atom, int]] = []
        found = 0
        for atom, power in monomial:
            if atom.kind == "symbol" and atom.name == name:
                found = power
            elif atom.kind != "symbol" and any(name in free_symbols(argument) for argument in atom.arguments):
                return None
            else:
                remaining.append((atom, power))
        if found > 1:
            return None
        (coefficient if found else rest)[tuple(remaining)] = number
    return make(coefficient), make(rest)
