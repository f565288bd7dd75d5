"""The normal form of a symbolic integer, its arithmetic, and what can be known of it. The package says the rules."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import lru_cache, reduce
from math import gcd
from typing import TypeAlias, Union

from sardonyx.errors import ModelTooLargeError

MAX_TERMS = 64
MAX_WEIGHT = 1024
MAX_DEGREE = 24
MAX_COEFFICIENT = 1 << 80


class Atom:
    """A symbol (``kind`` is ``symbol``, with a ``name``) or an opaque operation on ``arguments``."""

    __slots__ = ("_hash", "arguments", "kind", "name", "text", "weight")

    def __init__(self, kind: str, name: str, arguments: tuple[Dim, ...]) -> None:
        self.kind, self.name, self.arguments = kind, name, arguments
        self.weight = 1 + sum(_weight(argument) for argument in arguments)
        if self.weight > MAX_WEIGHT:
            raise ModelTooLargeError(f"a symbolic size has more than {MAX_WEIGHT} parts")
        if kind == "symbol":
            self.text = name if name.isidentifier() and name not in _FUNCTIONS else _quote(name)
        elif kind in _INFIX:
            self.text = f"({to_text(arguments[0])}){_INFIX[kind]}({to_text(arguments[1])})"
        else:
            self.text = f"{kind}({', '.join(map(to_text, arguments))})"
        self._hash = hash(self.text)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Atom) and self._hash == other._hash and self.text == other.text)

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Atom], tuple[str, str, tuple[Dim, ...]]]:
        return Atom, (self.kind, self.name, self.arguments)  # a hash of a text holds in one process only


# Powers of atoms, by the text of the atom; the empty monomial is the constant's.
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
Terms: TypeAlias = dict[Monomial, int]

_FUNCTIONS = ("min", "max", "broadcast")
_INFIX = {"floordiv": "//", "mod": "%"}


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


Dim: TypeAlias = Union[int, Expr]  # noqa: UP007 - evaluated, so that isinstance-free readers may import it


# ---- building -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def symbol(name: str) -> Expr:
    """The size called ``name``; equal names are the same size. Raises ValueError for an empty name."""
    if not name:
        raise ValueError("a symbol needs a name")
    return Expr({((Atom("symbol", name, ()), 1),): 1})


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
        low, high = (one, one) if isinstance(one, int) else _bounds(one, 0)
        if (low is not None and low > 1) or high == 0:
            return one
    arguments = {to_text(part): part for dim in (a, b) for part in _flatten("broadcast", dim)}
    return _opaque("broadcast", tuple(arguments[text] for text in sorted(arguments)))


def as_dim(value: Dim) -> Dim:
    return value if isinstance(value, Expr) or type(value) is int else operator.index(value)


def _weight(dim: Dim) -> int:
    return dim._weight if isinstance(dim, Expr) else 1


def _opaque(kind: str, arguments: tuple[Dim, ...]) -> Expr:
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
            monomial = _join(left, right)
            terms[monomial] = terms.get(monomial, 0) + c * d
    return make({m: c for m, c in terms.items() if c})


def _join(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    if sum(powers.values()) > MAX_DEGREE:
        raise ModelTooLargeError(f"a symbolic size multiplies more than {MAX_DEGREE} symbols")
    return tuple(sorted(powers.items(), key=_atom_text))


def _atom_text(item: tuple[Atom, int]) -> str:
    return item[0].text


def _without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """``monomial / divisor``, or None where that is not a monomial."""
    powers = dict(monomial)
    for atom, power in divisor:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        if left:
            powers[atom] = left
        else:
            del powers[atom]
    return tuple(item for item in ((atom, powers.get(atom, 0)) for atom, _ in monomial) if item[1])


def _flatten(kind: str, dim: Dim) -> tuple[Dim, ...]:
    atom = _single_atom(dim)
    return atom.arguments if atom is not None and atom.kind == kind else (dim,)


def _single_atom(dim: Dim) -> Atom | None:
    """The atom that the whole of ``dim`` is, if it is one."""
    if isinstance(dim, Expr) and len(dim._terms) == 1:
        ((monomial, coefficient),) = dim._terms.items()
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


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
    return _opaque(kind, tuple(sorted(kept, key=to_text)))


def _wins(kind: str, a: Dim, b: Dim) -> bool:
    """Whether ``a`` alone is the minimum (maximum) of the two."""
    return known_nonnegative(b - a) if kind == "min" else known_nonnegative(a - b)


# ---- division -----------------------------------------------------------------------------------------------------


def _floordiv(a: Dim, b: Dim) -> Dim:
    if isinstance(b, int):
        if isinstance(a, int):
            return a // b
        return _floordiv_constant(a, b) if b > 0 else _floordiv_negative(a, b)
    if a == 0 or a == b:
        return 0 if a == 0 else 1
    quotient, rest = _divide(a, b)
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
    atom = _single_atom(make(rest))
    if atom is not None and atom.kind == "floordiv" and isinstance(atom.arguments[1], int):
        divisor = atom.arguments[1]
        return _add(quotient, _floordiv(_add(atom.arguments[0], constant * divisor), divisor * k))
    low, high = bounds(inner)
    if low is not None and high is not None and low // k == high // k:
        return _add(quotient, low // k)
    return _add(quotient, _opaque("floordiv", (inner, k)))


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
    return _opaque("floordiv", (rest, b_left))


def _cancel(a: Dim, b: Expr) -> tuple[Dim, Dim]:
    """Both without the monomial and the number that divide every term of both."""
    terms = [*terms_of(a).items(), *b._terms.items()]
    common = dict(terms[0][0])
    for monomial, _ in terms[1:]:
        powers = dict(monomial)
        common = {atom: min(power, powers[atom]) for atom, power in common.items() if atom in powers}
    number = reduce(gcd, (coefficient for _, coefficient in terms))
    factor: Monomial = tuple(sorted(common.items(), key=_atom_text))

    def reduced(dim: Dim) -> Dim:
        return make({_without(m, factor) or (): c // number for m, c in terms_of(dim).items()})

    # A factor may be 0 at run time, never negative, so that the quotient keeps its value wherever it has one.
    if any(not _atom_nonnegative(atom) for atom in common):
        return a, b
    return reduced(a), reduced(b)


def _order(monomial: Monomial) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Sorts the leading monomial (graded lexicographic) first."""
    degree = sum(power for _, power in monomial)
    return -degree, tuple((atom.text, -power) for atom, power in monomial)


def _divide(a: Dim, b: Expr) -> tuple[Dim, Dim]:
    """Polynomials ``q, r`` with ``a = q * b + r``; r is 0 exactly where b divides a."""
    leader = min(b._terms, key=_order)
    lead = b._terms[leader]
    quotient: Dim = 0
    rest: Dim = a
    kept: Terms = {}
    for _ in range(4 * MAX_TERMS):
        terms = terms_of(rest)
        if not terms:
            break
        top = min(terms, key=_order)
        ratio = _without(top, leader)
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


def divide_exact(a: Dim, b: Dim) -> Dim | None:
    """The polynomial ``q`` with ``q * b == a``, or None where there is none (or ``b`` is 0)."""
    a, b = as_dim(a), as_dim(b)
    if isinstance(b, Expr):
        quotient, rest = _divide(a, b)
        return quotient if rest == 0 else None
    if b == 0 or any(coefficient % b for coefficient in terms_of(a).values()):
        return None
    return make({monomial: coefficient // b for monomial, coefficient in terms_of(a).items()})


def _mod(a: Dim, b: Dim) -> Dim:
    if isinstance(b, int):
        if isinstance(a, int):
            return a % b
        if b == 0:
            raise ZeroDivisionError(f"{a} modulo 0")
        return _mod_constant(a, b) if b > 0 else _scale(_mod(_scale(a, -1), -b), -1)
    rest = _divide(a, b)[1]
    if rest == 0 or (known_nonnegative(rest) and known_positive(b - rest)):
        return rest
    return _opaque("mod", (rest, b))


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
        inner = _opaque("mod", (inner, k))
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


def known_equal(a: Dim, b: Dim) -> bool:
    """Whether both are the same number for all sizes, as far as can be seen."""
    return a == b or a - b == 0


def known_factor(d: Dim) -> int:
    """The largest number known to divide ``d`` for all sizes; 0 for 0."""
    if isinstance(d, int):
        return abs(d)
    result = 0
    for monomial, coefficient in d._terms.items():
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


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def sorted_terms(d: Expr) -> list[tuple[Monomial, int]]:
    return sorted(d._terms.items(), key=lambda term: _order(term[0]))


def to_text(d: Dim) -> str:
    """The text that ``parse`` reads back; equal expressions have equal texts."""
    if isinstance(d, int):
        return str(d)
    if d._text is None:
        parts: list[str] = []
        for monomial, coefficient in sorted_terms(d):
            factors = [_factor_text(atom) for atom, power in monomial for _ in range(power)]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            parts.append(f" {sign} " + "*".join(factors) if parts else sign.strip("+") + "*".join(factors))
        d._text = "".join(parts)
    return d._text


def _factor_text(atom: Atom) -> str:
    return f"({atom.text})" if atom.kind in _INFIX else atom.text
