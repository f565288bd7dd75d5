"""Atoms, their products, and the text of expressions: what symbolic integers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sardonyx.errors import ModelTooLargeError

if TYPE_CHECKING:
    from sardonyx.symbols.expression import Dim, Expr

__all__ = [
    "MAX_DEGREE",
    "MAX_WEIGHT",
    "Atom",
    "Monomial",
    "Terms",
    "atom_text",
    "join",
    "order",
    "sorted_terms",
    "to_text",
    "weight",
    "without",
]

MAX_WEIGHT = 1024
MAX_DEGREE = 24

_FUNCTIONS = ("min", "max", "broadcast")
_INFIX = {"floordiv": "//", "mod": "%"}


class Atom:
    """A symbol (``kind`` is ``symbol``, with a ``name``) or an opaque operation on ``arguments``."""

    __slots__ = ("_hash", "arguments", "kind", "name", "text", "weight")

    def __init__(self, kind: str, name: str, arguments: tuple[Dim, ...]) -> None:
        self.kind, self.name, self.arguments = kind, name, arguments
        self.weight = 1 + sum(weight(argument) for argument in arguments)
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


def weight(dim: Dim) -> int:
    """The number of parts of an expression, which bounds its growth."""
    return dim._weight if not isinstance(dim, int) else 1


def join(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    if sum(powers.values()) > MAX_DEGREE:
        raise ModelTooLargeError(f"a symbolic size multiplies more than {MAX_DEGREE} symbols")
    return tuple(sorted(powers.items(), key=atom_text))


def atom_text(item: tuple[Atom, int]) -> str:
    """The key that the factors of a monomial are sorted by."""
    return item[0].text


def without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
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


def order(monomial: Monomial) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Sorts the leading monomial (graded lexicographic) first."""
    degree = sum(power for _, power in monomial)
    return -degree, tuple((atom.text, -power) for atom, power in monomial)


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def sorted_terms(d: Expr) -> list[tuple[Monomial, int]]:
    """The monomials and coefficients, leading monomial first."""
    return sorted(d._terms.items(), key=lambda term: order(term[0]))


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
