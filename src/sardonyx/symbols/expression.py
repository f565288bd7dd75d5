"""The normal form of a symbolic integer, its arithmetic, and what can be known of it. The package says the rules."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import lru_cache, reduce
from math import gcd
from typing import TypeAlias

from sardonyx.errors import ModelTooLargeError
from sardonyx.symbols.atoms import MAX_WEIGHT, Atom, Monomial, Terms, atom_text, join, order, to_text, without

MAX_TERMS = 64
MAX_COEFFICIENT = 1 << 80


class Expr:
    """A symbolic integer that is not known to be constant. Immutable, hashable, ordered only by ``to_text``."""

    __slots__ = ("_hash", "_terms", "_text", "_weight")
    __array_ufunc__ = None  # numpy integers leave the operators to this class

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._hash: int | None = None
        self._text: str | None = None
        self._weight = sum(1 + sum(atom.weight for atom, _ in monomial) for monomial in terms)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and self._terms == other._terms)

    def __repr__(self) -> str:
        return to_text(self)

    def __reduce__(self) -> tuple[type[Expr], tuple[Terms]]:
        return Expr, (self._terms,)

    def __neg__(self) -> Dim:
        return _scale(self, -1)

    def __add__(self, other: Dim) -> Dim:
        return _add(self, as_dim(other))

    def __radd__(self, other: int) -> Dim:
        return _add(self, as_dim(other))

    def __sub__(self, other: Dim) -> Dim:
        return _add(self, _scale(as_dim(other), -1))

    def __rsub__(self, other: int) -> Dim:
        return _add(_scale(self, -1), as_dim(other))

    def __mul__(self, other: Dim) -> Dim:
        return _multiply(self, as_dim(other))

    def __rmul__(self, other: int) -> Dim:
        return _multiply(self, as_dim(other))

    def __floordiv__(self, other: Dim) -> Dim:
        return _floordiv(self, as_dim(other))

    def __rfloordiv__(self, other: int) -> Dim:
        return _floordiv(as_dim(other), self)

    def __mod__(self, other: Dim) -> Dim:
        return _mod(self, as_dim(other))

    def __rmod__(self, other: int) -> Dim:
        return _mod(as_dim(other), self)


Dim: TypeAlias = int | Expr


# ---- building -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def symbol(name: str) -> Expr:
    """The size called ``name``; equal names are the same size. Raises ValueError for an empty name."""
    if not name:
        raise ValueError("a symbol needs a name")
    return Expr({((Atom("symbol", name, ()), 1),): 1})


def as_dim(value: Dim) -> Dim:
    """A Dim as such: numpy integers and bools become ints."""
    return value if isinstance(value, Expr) or type(value) is int else operator.index(value)


def opaque(kind: str, arguments: tuple[Dim, ...]) -> Expr:
    """An operation that stays as it is, as an expression."""
    return Expr({((Atom(kind, "", arguments), 1),): 1})


def make(terms: Terms) -> Dim:
    """The Dim of terms without zero coefficients."""
    if not terms:
        return 0
    if len(terms) == 1 and () in terms:
        return terms[()]
    if len(terms) > MAX_TERMS:
        raise ModelTooLargeError(f"a symbolic size has more than {MAX_TERMS} terms")
    if any(abs(coefficient) > MAX_COEFFICIENT for coefficient in terms.values()):
        raise ModelTooLargeError(f"a coefficient of a symbolic size is larger than {MAX_COEFFICIENT}")
    result = Expr(terms)
    if result._weight > MAX_WEIGHT:
        raise ModelTooLargeError(f"a symbolic size has more than {MAX_WEIGHT} parts")
    return result


def terms_of(dim: Dim) -> Terms:
    """The monomials and coefficients of a Dim."""
    if isinstance(dim, Expr):
        return dim._terms
    return {(): dim} if dim else {}


def _scale(a: Dim, factor: int) -> Dim:
    if isinstance(a, int):
        return a * factor
    return make({monomial: c * factor for monomial, c in a._terms.items()}) if factor else 0


def _add(a: Dim, b: Dim) -> Dim:
    terms = dict(terms_of(a))
    for monomial, coefficient in terms_of(b).items():
        total = terms.get(monomial, 0) + coefficient
        if total:
            terms[monomial] = total
        else:
            terms.pop(monomial, None)
    return make(_recombine(terms))


def _recombine(terms: Terms) -> Terms:
    """``c * (x % k) + c * k * (x // k)`` is ``c * x``."""
    for monomial, coefficient in terms.items():
        if len(monomial) != 1 or monomial[0][0].kind != "mod" or monomial[0][1] != 1:
            continue
        x, k = monomial[0][0].arguments
        quotient = _scale(_multiply(_floordiv(x, k), k), coefficient)
        # A quotient that is itself a sum cannot be recognised by its terms alone.
        whole = terms_of(quotient)
        if len(whole) == 1 and all(terms.get(m) == c for m, c in whole.items()):
            rest = {m: c for m, c in terms.items() if m not in whole and m is not monomial}
            return dict(terms_of(_add(make(rest), _scale(x, coefficient))))
    return terms


def _multiply(a: Dim, b: Dim) -> Dim:
    if isinstance(b, int):
        return _scale(a, b)
    if isinstance(a, int):
        return _scale(b, a)
    if len(a._terms) * len(b._terms) > MAX_TERMS * 8:
        raise ModelTooLargeError(f"a symbolic size has more than {MAX_TERMS} terms")
    terms: Terms = {}
    for left, c in a._terms.items():
        for right, d in b._terms.items():
            monomial = join(left, right)
            terms[monomial] = terms.get(monomial, 0) + c * d
    return make({m: c for m, c in terms.items() if c})


def single_atom(dim: Dim) -> Atom | None:
    """The atom that the whole of ``dim`` is, if it is one."""
    if isinstance(dim, Expr) and len(dim._terms) == 1:
        ((monomial, coefficient),) = dim._terms.items()
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


# ---- division -----------------------------------------------------------------------------------------------------


def _floordiv(a: Dim, b: Dim) -> Dim:
    if isinstance(b, int):
        if isinstance(a, int):
            return a // b
        return _floordiv_constant(a, b) if b > 0 else _floordiv_negative(a, b)
    if a == 0 or a == b:
        return 0 if a == 0 else 1
    quotient, rest = divide(a, b)
    return _add(quotient, _floordiv_rest(rest, b))


def _floordiv_negative(a: Expr, b: int) -> Dim:
    if b == 0:
        raise ZeroDivisionError(f"division of {a} by 0")
    return _floordiv(_scale(a, -1), -b)


def _floordiv_constant(a: Expr, k: int) -> Dim:
    """``a // k``: whole multiples leave the division, common factors cancel, nested divisions join."""
    quotient, rest = _split(a, k)
    constant = rest.pop((), 0)
    common = reduce(gcd, rest.values(), k)
    rest = {monomial: coefficient // common for monomial, coefficient in rest.items()}
    constant, k = constant // common, k // common
    inner = _add(make(rest), constant)
    if k == 1 or isinstance(inner, int):
        return _add(quotient, inner // k)
    atom = single_atom(make(rest))
    if atom is not None and atom.kind == "floordiv" and isinstance(atom.arguments[1], int):
        divisor = atom.arguments[1]
        return _add(quotient, _floordiv(_add(atom.arguments[0], constant * divisor), divisor * k))
    low, high = bounds(inner)
    if low is not None and high is not None and low // k == high // k:
        return _add(quotient, low // k)
    return _add(quotient, opaque("floordiv", (inner, k)))


def _split(a: Expr, k: int) -> tuple[Dim, Terms]:
    """``a`` as ``quotient * k + rest``: coefficients smaller than k, and the constant from 0 to k - 1."""
    quotient: Terms = {}
    rest: Terms = {}
    for monomial, coefficient in a._terms.items():
        q, r = divmod(coefficient, k)
        if monomial and r and coefficient < 0:
            q, r = q + 1, r - k  # -n // 2 stays itself instead of -n + n // 2
        if q:
            quotient[monomial] = q
        if r:
            rest[monomial] = r
    return make(quotient), rest


def _floordiv_rest(rest: Dim, b: Expr) -> Dim:
    """``rest // b`` where no multiple of ``b`` can be taken out of ``rest``."""
    if rest == 0:
        return 0
    rest, b_left = _cancel(rest, b)
    if isinstance(b_left, int):
        return _floordiv(rest, b_left)
    if known_nonnegative(rest) and known_positive(b_left - rest):
        return 0
    return opaque("floordiv", (rest, b_left))


def _cancel(a: Dim, b: Expr) -> tuple[Dim, Dim]:
    """Both without the monomial and the number that divide every term of both."""
    terms = [*terms_of(a).items(), *b._terms.items()]
    common = dict(terms[0][0])
    for monomial, _ in terms[1:]:
        powers = dict(monomial)
        common = {atom: min(power, powers[atom]) for atom, power in common.items() if atom in powers}
    number = reduce(gcd, (coefficient for _, coefficient in terms))
    factor: Monomial = tuple(sorted(common.items(), key=atom_text))

    def reduced(dim: Dim) -> Dim:
        return make({without(m, factor) or (): c // number for m, c in terms_of(dim).items()})

    # A factor may be 0 at run time, never negative, so that the quotient keeps its value wherever it has one.
    if any(not _atom_nonnegative(atom) for atom in common):
        return a, b
    return reduced(a), reduced(b)


def divide(a: Dim, b: Expr) -> tuple[Dim, Dim]:
    """Polynomials ``q, r`` with ``a = q * b + r``; r is 0 exactly where b divides a."""
    leader = min(b._terms, key=order)
    lead = b._terms[leader]
    quotient: Dim = 0
    rest: Dim = a
    kept: Terms = {}
    for _ in range(4 * MAX_TERMS):
        terms = terms_of(rest)
        if not terms:
            break
        top = min(terms, key=order)
        ratio = without(top, leader)
        if ratio is None or terms[top] % lead:
            kept[top] = terms[top]
            rest = make({m: c for m, c in terms.items() if m != top})
            continue
        step = make({ratio: terms[top] // lead})
        quotient = _add(quotient, step)
        rest = _add(rest, _scale(_multiply(step, b), -1))
    else:
        return 0, a
    remainder = make(kept)
    # A sum as divisor: a quotient that leaves a remainder only makes the expression longer.
    return (quotient, remainder) if remainder == 0 or len(b._terms) == 1 else (0, a)


def _mod(a: Dim, b: Dim) -> Dim:
    if isinstance(b, int):
        if isinstance(a, int):
            return a % b
        if b == 0:
            raise ZeroDivisionError(f"{a} modulo 0")
        return _mod_constant(a, b) if b > 0 else _scale(_mod(_scale(a, -1), -b), -1)
    rest = divide(a, b)[1]
    if rest == 0 or (known_nonnegative(rest) and known_positive(b - rest)):
        return rest
    return opaque("mod", (rest, b))


def _mod_constant(a: Expr, k: int) -> Dim:
    terms: Terms = {}
    for monomial, coefficient in a._terms.items():
        inner = _inner_of_mod(monomial, k)
        for m, c in ({monomial: 1} if inner is None else terms_of(inner)).items():
            terms[m] = terms.get(m, 0) + c * coefficient
    _, rest = _split(Expr(terms), k)
    common = reduce(gcd, (coefficient for monomial, coefficient in rest.items() if monomial), k)
    outer, remainder = divmod(rest.pop((), 0), common)
    inner_terms = {monomial: coefficient // common for monomial, coefficient in rest.items()}
    inner = _add(make(inner_terms), outer)
    k //= common
    low, high = bounds(inner)
    if isinstance(inner, int):
        inner %= k
    elif k == 1:
        inner = 0
    elif low is None or high is None or low < 0 or high >= k:
        inner = opaque("mod", (inner, k))
    return _add(_scale(inner, common), remainder)


def _inner_of_mod(monomial: Monomial, k: int) -> Dim | None:
    """``x`` of a monomial ``x % j`` where k divides j: ``(x % j) % k`` is ``x % k``."""
    if len(monomial) == 1 and monomial[0][0].kind == "mod" and monomial[0][1] == 1:
        x, divisor = monomial[0][0].arguments
        if isinstance(divisor, int) and divisor % k == 0:
            return x
    return None


# ---- what is known ------------------------------------------------------------------------------------------------


def bounds(d: Dim) -> tuple[int | None, int | None]:
    """A lower and an upper bound that hold for all sizes; None where none is known."""
    return (d, d) if isinstance(d, int) else _bounds(d, 2)


def known_nonnegative(d: Dim) -> bool:
    """Whether ``d`` is at least 0 for all sizes, as far as can be seen."""
    low = bounds(d)[0]
    return low is not None and low >= 0


def known_positive(d: Dim) -> bool:
    """Whether ``d`` is at least 1 for all sizes, as far as can be seen."""
    low = bounds(d)[0]
    return low is not None and low >= 1


def _bounds(d: Expr, depth: int) -> tuple[int | None, int | None]:
    low: int | None = 0
    high: int | None = 0
    for monomial, coefficient in d._terms.items():
        least, most = _monomial_bounds(monomial)
        if coefficient < 0:
            least, most = most, least
        low = None if low is None or least is None else low + least * coefficient
        high = None if high is None or most is None else high + most * coefficient
    # Only the sign is worth the search: it decides min, max and what a division leaves.
    if depth and (low is None or low < 0):
        low = _relaxed(d, depth, low)
    if depth and high is None:
        negated = _relaxed(_scale(d, -1), depth, None)
        high = None if negated is None else -negated
    return low, high


def _relaxed(d: Dim, depth: int, best: int | None) -> int | None:
    """A lower bound by replacing an opaque atom by one of its arguments that makes ``d`` smaller or leaves it."""
    for monomial, coefficient in terms_of(d).items():
        if len(monomial) != 1 or monomial[0][1] != 1:
            continue
        for replacement in _smaller(monomial[0][0], coefficient):
            smaller = d - make({monomial: coefficient}) + replacement
            low = smaller if isinstance(smaller, int) else _bounds(smaller, depth - 1)[0]
            if low is not None and (best is None or low > best):
                best = low
    return best


def _smaller(atom: Atom, coefficient: int) -> Iterable[Dim]:
    """Dims that are at most ``coefficient * atom``."""
    if (atom.kind == "min" and coefficient < 0) or (atom.kind == "max" and coefficient > 0):
        return [argument * coefficient for argument in atom.arguments]
    if atom.kind == "floordiv" and coefficient < 0:
        numerator, divisor = atom.arguments
        if isinstance(divisor, int) and coefficient % divisor == 0:
            return [numerator * (coefficient // divisor)]
        if _never_negative(numerator) and _never_negative(divisor):
            return [numerator * coefficient]
    if atom.kind == "floordiv" and coefficient > 0 and isinstance(atom.arguments[1], int):
        numerator, divisor = atom.arguments
        if coefficient % divisor == 0:
            return [(numerator - divisor + 1) * (coefficient // divisor)]
    return []


def _never_negative(dim: Dim) -> bool:
    """Shallow; for a divisor, which is never 0, it means positive."""
    low = dim if isinstance(dim, int) else _bounds(dim, 0)[0]
    return low is not None and low >= 0


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    low, high = 1, 1
    known_high = True
    for atom, power in monomial:
        least, most = _atom_bounds(atom)
        if least is None or least < 0:
            if power % 2 == 0 and len(monomial) == 1:
                return 0, None
            return (least, most) if len(monomial) == 1 and power == 1 else (None, None)
        low *= least**power
        known_high = known_high and most is not None
        high *= (most or 0) ** power
    return low, high if known_high else None


def _atom_nonnegative(atom: Atom) -> bool:
    low = _atom_bounds(atom)[0]
    return low is not None and low >= 0


def _atom_bounds(atom: Atom) -> tuple[int | None, int | None]:
    if atom.kind == "symbol":
        return 0, None
    limits = [(a, a) if isinstance(a, int) else _bounds(a, 0) for a in atom.arguments]
    lows = [low for low, _ in limits if low is not None]
    highs = [high for _, high in limits if high is not None]
    every_low, every_high = len(lows) == len(limits), len(highs) == len(limits)
    if atom.kind == "min":
        return min(lows) if every_low else None, min(highs, default=None)
    if atom.kind == "max":
        return max(lows, default=None), max(highs) if every_high else None
    if atom.kind == "broadcast":
        return min(lows) if every_low else None, max(highs) if every_high else None
    (low, high), divisor = limits[0], atom.arguments[1]
    if not _never_negative(divisor):
        return None, None
    if atom.kind == "mod":
        top = limits[1][1]
        return 0, None if top is None else top - 1
    if isinstance(divisor, int):
        return None if low is None else low // divisor, None if high is None else high // divisor
    return (0 if low is not None and low >= 0 else None), (max(high, -1) if high is not None else None)
