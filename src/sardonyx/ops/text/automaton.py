"""Regular expressions as automata: a match takes time in proportion to the text, whatever the expression.

The tree of an expression becomes a nondeterministic automaton (Thompson's construction). Sets of its positions are the
states of a deterministic one, which are made as texts lead to them and kept as long as there are few (Cox, "Regular
Expression Matching Can Be Simple And Fast", 2007; so does RE2). Groups remember nothing, and lazy repetition is
repetition: whole texts are matched, or the longest stretches.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

__all__ = ["Automaton"]

MOST_POSITIONS = 10_000
"""Of an automaton, with repetitions written out."""
_KEPT = 200_000
"""Positions in all states and moves that are kept at a time."""
_EDGE, _NEWLINE, _WORD, _OTHER = range(4)
"""What stands before or behind a place in the text; _EDGE: nothing does."""
_WORDS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")

_Tree: TypeAlias = Iterable[tuple[Any, Any]]
"""As ``re`` parses it: pairs of an operation and its arguments."""


@dataclass(frozen=True)
class _Class:
    """Characters by ranges of their codes; with ``folded`` in any case."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False
    folded: bool = False

    def holds(self, code: int) -> bool:
        codes = _orbits().get(code, (code,)) if self.folded else (code,)
        return any(low <= one <= high for one in codes for low, high in self.ranges) != self.negated


@cache
def _orbits() -> Mapping[int, Sequence[int]]:
    """The characters that differ in nothing but case, of each that has others (simple case folding; the Turkic i
    without a dot, and I with one, stand alone)."""
    found: dict[int, list[int]] = {}
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        for other in (letter.lower(), letter.upper()):
            if len(other) == 1 and other != letter and code not in (0x130, 0x131):
                one, two = found.setdefault(code, [code]), found.setdefault(ord(other), [ord(other)])
                if one is not two:
                    one += two
                    found.update((member, one) for member in two)
    return found


@dataclass(eq=False)
class _State:
    """A set of positions, and what stands before the place in the text."""

    positions: frozenset[int]
    before: int
    moves: dict[str, _State] = field(default_factory=dict)
    accepts: dict[int, bool] = field(default_factory=dict)


class Automaton:
    """An expression in the syntax of ``re`` without what needs memory (references back, looking around).

    Raises ValueError for an expression that is wrong, nested too deep or too large.
    """

    def __init__(self, pattern: str) -> None:
        self._tests: list[_Class | str | None] = []  # a character; a condition on the place; None: a mere fork
        self._edges: list[tuple[int, ...]] = []
        try:
            tree = _parser().parse(pattern)
            self._accept = self._add(None)
            first = self._sequence(tree, self._accept, int(tree.state.flags))
        except re.error as error:
            raise ValueError(str(error)) from error
        except RecursionError:
            raise ValueError("it is nested too deep") from None
        self._starts = [_State(frozenset((first,)), before) for before in (_EDGE, _NEWLINE, _WORD, _OTHER)]
        self._states: dict[tuple[frozenset[int], int], _State] = {}
        self._kept = 0

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches."""
        state = self._starts[_EDGE]
        for letter in text:
            state = state.moves.get(letter) or self._move(state, letter)
            if not state.positions:
                return False
        return self._accept in self._reached(state, _EDGE)

    def matches(self, text: str) -> list[tuple[int, int]]:
        """Beginnings and ends of the matches: the leftmost, of those the longest, then behind it; empty ones are left
        out. Takes time in proportion to the text and to the longest stretch that a match is tried on."""
        found, begin = [], 0
        while begin < len(text):
            end = self._longest(text, begin)
            if end > begin:
                found.append((begin, end))
            begin = max(end, begin + 1)
        return found

    def _longest(self, text: str, begin: int) -> int:
        """The end of the longest match that begins here; ``begin`` where there is none."""
        state = self._starts[_kind(text[begin - 1]) if begin else _EDGE]
        longest = begin
        for place in range(begin, len(text)):
            state = state.moves.get(text[place]) or self._move(state, text[place])
            if not state.positions:
                break
            after = _kind(text[place + 1]) if place + 1 < len(text) else _EDGE
            if self._accepts(state, after):
                longest = place + 1
        return longest

    def _accepts(self, state: _State, after: int) -> bool:
        known = state.accepts.get(after)
        if known is None:
            known = state.accepts[after] = self._accept in self._reached(state, after)
        return known

    def _move(self, state: _State, letter: str) -> _State:
        after, code = _kind(letter), ord(letter)
        reached: set[int] = set()
        for position in self._reached(state, after):
            test = self._tests[position]
            if isinstance(test, _Class) and test.holds(code):
                reached.update(self._edges[position])
        key = frozenset(reached), after
        if self._kept > _KEPT:
            self._states, self._kept = {}, 0
            for start in self._starts:
                start.moves = {}
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = _State(*key)
            self._kept += len(reached)
        state.moves[letter] = found
        self._kept += 1
        return found

    def _reached(self, state: _State, after: int) -> set[int]:
        """The positions that are reached without reading on, given what stands behind the place."""
        seen, todo = set(state.positions), list(state.positions)
        while todo:
            position = todo.pop()
            test = self._tests[position]
            if test is None or (isinstance(test, str) and _holds(test, state.before, after)):
                fresh = [edge for edge in self._edges[position] if edge not in seen]
                seen.update(fresh)
                todo += fresh
        return seen

    def _add(self, test: _Class | str | None, *edges: int) -> int:
        if len(self._tests) >= MOST_POSITIONS:
            raise ValueError(f"it has more than {MOST_POSITIONS} characters and forks with repetitions written out")
        self._tests.append(test)
        self._edges.append(edges)
        return len(self._tests) - 1

    def _sequence(self, tree: _Tree, follow: int, flags: int) -> int:
        """Positions for a part of the expression, which goes on at ``follow``; the first of them."""
        for operation, arguments in reversed(list(tree)):
            follow = self._part(str(operation), arguments, follow, flags)
        return follow

    def _part(self, operation: str, arguments: Any, follow: int, flags: int) -> int:
        folded = bool(flags & re.IGNORECASE)
        match operation:
            case "LITERAL" | "NOT_LITERAL":
                code = int(arguments)
                return self._add(_Class(((code, code),), operation == "NOT_LITERAL", folded), follow)
            case "ANY":
                ranges = () if flags & re.DOTALL else ((10, 10),)
                return self._add(_Class(ranges, negated=True), follow)
            case "IN":
                return self._add(_class(arguments, folded), follow)
            case "AT":
                return self._add(_condition(str(arguments), bool(flags & re.MULTILINE)), follow)
            case "BRANCH":
                return self._add(None, *[self._sequence(branch, follow, flags) for branch in arguments[1]])
            case "SUBPATTERN":
                _, added, removed, tree = arguments
                return self._add(None, self._sequence(tree, follow, (flags | added) & ~removed))
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, tree = arguments
                return self._repeat(int(least), most, tree, follow, flags)
        raise ValueError(f"{operation} is not supported")

    def _repeat(self, least: int, most: Any, tree: _Tree, follow: int, flags: int) -> int:
        first = self._add(None, follow)  # so that repetitions of nothing count
        if most is _parser().MAXREPEAT:
            self._edges[first] = (self._sequence(tree, first, flags), follow)
        else:
            for _ in range(int(most) - least):
                first = self._add(None, self._sequence(tree, first, flags), follow)
        for _ in range(least):
            first = self._add(None, self._sequence(tree, first, flags))
        return first


@cache
def _parser() -> Any:
    """The part of ``re`` that parses; it has no type stubs."""
    return importlib.import_module("re._parser")


def _class(items: _Tree, folded: bool) -> _Class:
    ranges, negated = [], False
    for operation, arguments in items:
        match str(operation):
            case "NEGATE":
                negated = True
            case "LITERAL":
                ranges.append((int(arguments), int(arguments)))
            case "RANGE":
                ranges.append((int(arguments[0]), int(arguments[1])))
            case other:
                raise ValueError(f"{other} is not supported in a class")
    return _Class(tuple(ranges), negated, folded)


def _condition(name: str, multiline: bool) -> str:
    if multiline and name in ("AT_BEGINNING", "AT_END"):
        return f"{name}_LINE"
    return name


def _kind(letter: str) -> int:
    if letter == "\n":
        return _NEWLINE
    return _WORD if letter in _WORDS else _OTHER


def _holds(condition: str, before: int, after: int) -> bool:
    """Whether a condition on a place holds, given what is on its sides."""
    match condition:
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return before == _EDGE
        case "AT_BEGINNING_LINE":
            return before in (_EDGE, _NEWLINE)
        case "AT_END" | "AT_END_STRING":
            return after == _EDGE
        case "AT_END_LINE":
            return after in (_EDGE, _NEWLINE)
        case "AT_BOUNDARY":
            return (before == _WORD) != (after == _WORD)
        case "AT_NON_BOUNDARY":
            return (before == _WORD) == (after == _WORD)
    raise AssertionError(condition)
