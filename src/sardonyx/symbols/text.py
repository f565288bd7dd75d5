"""Reads the text of a symbolic integer. It may come from a model file, so that nothing in it is ever executed."""

from __future__ import annotations

import re

from sardonyx.symbols.expression import Dim, symbol
from sardonyx.symbols.functions import broadcast, maximum, minimum

_TOKEN = re.compile(r'\s*(?:(\d+)|([^\W\d]\w*)|"((?:[^"\\]|\\.)*)"|(//|[-+*%(),]))')
_FUNCTIONS = {"min": minimum, "max": maximum, "broadcast": broadcast}
MAX_TEXT = 1 << 16
MAX_NESTING = 64
MAX_DIGITS = 32


def parse(text: str) -> Dim:
    """The Dim that ``to_text`` wrote, or any such arithmetic: names, quoted names, integers, ``+ - * // %``,
    brackets, ``min``, ``max`` and ``broadcast``. Raises ValueError with the place of the mistake,
    ZeroDivisionError, and ModelTooLargeError as the operations themselves do.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text of a size has {len(text)} characters, more than {MAX_TEXT}")
    reader = _Reader(text)
    result = reader.sum(0)
    if reader.kind != "end":
        raise reader.error("an operator or the end")
    return result


class _Reader:
    """A recursive-descent reader with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.advance()

    def advance(self) -> None:
        self.start = self.position
        match = _TOKEN.match(self.text, self.position)
        self.token = ""
        if match is None:
            self.kind = "unknown" if self.text[self.position :].strip() else "end"
            return
        self.position = match.end()
        number, name, quoted, operator = match.groups()
        if number is not None:
            self.kind, self.token = "number", number
        elif name is not None:
            self.kind, self.token = "name", name
        elif quoted is not None:
            self.kind, self.token = "quoted", re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        else:
            self.kind, self.token = "operator", operator

    def error(self, expected: str) -> ValueError:
        return ValueError(f"expected {expected} at character {self.start} of the size {self.text!r}")

    def at(self, operator: str) -> bool:
        return self.kind == "operator" and self.token == operator

    def take(self, operator: str) -> bool:
        if self.at(operator):
            self.advance()
            return True
        return False

    def require(self, operator: str) -> None:
        if not self.take(operator):
            raise self.error(repr(operator))

    def sum(self, depth: int) -> Dim:
        if depth > MAX_NESTING:
            raise self.error(f"at most {MAX_NESTING} nested brackets")
        result = self.term(depth)
        while self.at("+") or self.at("-"):
            if self.take("+"):
                result = result + self.term(depth)
            else:
                self.advance()
                result = result - self.term(depth)
        return result

    def term(self, depth: int) -> Dim:
        negative = self.take("-")
        result = self.factor(depth)
        if negative:
            result = -result
        while True:
            if self.take("*"):
                result = result * self.factor(depth)
            elif self.take("//"):
                result = result // self.factor(depth)
            elif self.take("%"):
                result = result % self.factor(depth)
            else:
                return result

    def factor(self, depth: int) -> Dim:
        kind, token = self.kind, self.token
        if kind == "number":
            if len(token) > MAX_DIGITS:
                raise self.error(f"a number of at most {MAX_DIGITS} digits")
            self.advance()
            return int(token)
        if kind in ("name", "quoted") and token:
            self.advance()
            if kind == "name" and token in _FUNCTIONS:
                return self.call(token, depth)
            return symbol(token)
        if self.take("("):
            result = self.sum(depth + 1)
            self.require(")")
            return result
        raise self.error("a name, a number or a bracket")

    def call(self, name: str, depth: int) -> Dim:
        self.require("(")
        result = self.sum(depth + 1)
        while self.take(","):
            result = _FUNCTIONS[name](result, self.sum(depth + 1))
        self.require(")")
        return result
