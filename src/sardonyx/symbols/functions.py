"""Functions of symbolic integers beyond the operators: extrema, broadcasting, exact division, and what is known."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import gcd

from sardonyx.symbols.atoms import to_text
from sardonyx.symbols.expression import (
    Dim,
    Expr,
    as_dim,
    bounds,
    divide,
    known_nonnegative,
    make,
    opaque,
    single_atom,
    terms_of,
)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of sizes; 1 for none."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two."""
    return _extremum("min", as_dim(a), as_dim(b))


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two."""
    return _extremum("max", as_dim(a), as_dim(b))


def ceildiv(a: Dim, b: Dim) -> Dim:
    """``a / b`` rounded up, for a positive ``b``."""
    return (a + b - 1) // b


def align_up(a: Dim, n: Dim) -> Dim:
    """The smallest multiple of a positive ``n`` that is not less than ``a``."""
    return ceildiv(a, n) * n


def broadcast(a: Dim, b: Dim) -> Dim:
    """The common size of two that are equal or of which one is 1. Raises ValueError for two constants that are not."""
    a, b = as_dim(a), as_dim(b)
    if isinstance(a, int) and isinstance(b, int) and a != b and 1 not in (a, b):
        raise ValueError(f"sizes {a} and {b} do not broadcast: they must be equal, or one of them 1")
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    for one in (a, b):
        low, high = bounds(one)
        if (low is not None and low > 1) or high == 0:
            return one
    for least, other in ((a, b), (b, a)):
        parts = _flatten("min", least)
        if other in parts and all(part == other or (bounds(part)[0] or 0) > 0 for part in parts):
            return other  # min(n, x) beside x is x or, as it must fit, 1
    arguments = {to_text(part): part for dim in (a, b) for part in _flatten("broadcast", dim)}
    return opaque("broadcast", tuple(arguments[text] for text in sorted(arguments)))


def divide_exact(a: Dim, b: Dim) -> Dim | None:
    """The polynomial ``q`` with ``q * b == a``, or None where there is none (or ``b`` is 0)."""
    a, b = as_dim(a), as_dim(b)
    if isinstance(b, Expr):
        quotient, rest = divide(a, b)
        return quotient if rest == 0 else None
    if b == 0 or any(coefficient % b for coefficient in terms_of(a).values()):
        return None
    return make({monomial: coefficient // b for monomial, coefficient in terms_of(a).items()})


def known_equal(a: Dim, b: Dim) -> bool:
    """Whether both are the same number for all sizes, as far as can be seen."""
    return a == b or a - b == 0


def known_factor(d: Dim) -> int:
    """The largest number known to divide ``d`` for all sizes; 0 for 0."""
    if isinstance(d, int):
        return abs(d)
    result = 0
    for monomial, coefficient in terms_of(d).items():
        factor = abs(coefficient)
        for atom, power in monomial:
            if atom.kind in ("min", "max", "broadcast", "mod"):
                factor *= reduce(gcd, map(known_factor, atom.arguments)) ** power
        result = gcd(result, factor)
    return result


def known_multiple(d: Dim, k: Dim) -> bool:
    """Whether ``k`` divides ``d`` for all sizes, as far as can be seen."""
    if isinstance(k, int):
        return k != 0 and known_factor(d) % k == 0
    return divide_exact(d, k) is not None


def _extremum(kind: str, a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b) if kind == "min" else max(a, b)
    kept: list[Dim] = []
    for new in (*_flatten(kind, a), *_flatten(kind, b)):
        if any(_wins(kind, old, new) for old in kept):
            continue
        kept = [old for old in kept if not _wins(kind, new, old)]
        kept.append(new)
    if len(kept) == 1:
        return kept[0]
    return opaque(kind, tuple(sorted(kept, key=to_text)))


def _wins(kind: str, a: Dim, b: Dim) -> bool:
    """Whether ``a`` alone is the minimum (maximum) of the two."""
    return known_nonnegative(b - a) if kind == "min" else known_nonnegative(a - b)


def _flatten(kind: str, dim: Dim) -> tuple[Dim, ...]:
    atom = single_atom(dim)
    return atom.arguments if atom is not None and atom.kind == kind else (dim,)
