"""Regular expressions of RE2 in the syntax of Python's ``re``, as ``Automaton`` takes them.

    \\d \\w \\s \\b              of ASCII only, as RE2 has them
    [[:alpha:]]  \\pL  \\p{Lu}  classes as ranges
    \\z  \\Q...\\E  \\x{10FFFF}   written in another way
    (?i)                       wherever it stands, for the rest of its group
    (?<name>...)               (?P<name>...)

What RE2 has not (references back, looking around, possessive and atomic groups) is a ValueError here too, and so is
what ``re`` cannot do: scripts such as \\p{Greek}, \\C, the flag U.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

__all__ = ["translated"]

_RANGES = {
    "d": "0-9",
    "D": "\\x00-/:-\\U0010ffff",
    "w": "0-9A-Za-z_",
    "W": "\\x00-/:-@\\[-\\^`{-\\U0010ffff",
    "s": "\\t\\n\\f\\r ",
    "S": "\\x00-\\x08\\x0b\\x0e-\\x1f!-\\U0010ffff",
}
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-\\~",
    "lower": "a-z",
    "print": " -\\~",
    "punct": "!-/:-@\\[-`{-\\~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_MOST_REPEATS = 1000


def translated(pattern: str) -> str:
    """The expression for ``Automaton``; ValueError for what one of the two has not."""
    return _Translator(pattern).run()


@lru_cache(maxsize=64)
def _category(name: str, inverted: bool) -> str:
    """The ranges of a general category of Unicode, or of all others."""
    inside = [unicodedata.category(chr(code)).startswith(name) != inverted for code in range(sys.maxunicode + 1)]
    if not any(inside) or all(inside):
        raise ValueError(f"\\p{{{name}}} is not supported: only general categories of Unicode are")
    ranges: list[str] = []
    start = -1
    for code, hit in enumerate([*inside, False]):
        if hit and start < 0:
            start = code
        elif not hit and start >= 0:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = -1
    return "".join(ranges)


class _Translator:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.place = 0
        self.out: list[str] = []
        self.open: list[int] = [0]  # groups that flags opened, in each group around this place

    def run(self) -> str:
        while self.place < len(self.text):
            self._next()
        self.out.append(")" * self.open[0])
        return "".join(self.out)

    def _next(self) -> None:
        letter = self.text[self.place]
        if letter == "\\":
            self.out.append(self._escape(inside=False))
        elif letter == "[":
            self.out.append(self._class())
        elif letter == "(":
            self._group()
        elif letter == ")":
            if len(self.open) == 1:
                raise ValueError("an unexpected )")
            self.place += 1
            self.out.append(")" * (self.open.pop() + 1))
        elif letter in "*+?{":
            self._repeat()
        elif letter == "|" and self.open[-1]:  # flags hold beyond it
            self.place += 1
            self.out.append("|")
        else:
            self.place += 1
            self.out.append(letter)

    def _repeat(self) -> None:
        match = re.compile(r"[*+?]|\{(\d+)(,(\d*))?\}").match(self.text, self.place)
        if match is None:  # a brace that is no repetition
            self.place += 1
            self.out.append("\\{")
            return
        if any(number and int(number) > _MOST_REPEATS for number in (match[1], match[3])):
            raise ValueError(f"{match[0]} repeats more than {_MOST_REPEATS} times")
        self.place = match.end()
        lazy = self.text[self.place : self.place + 1] == "?"
        self.place += lazy
        if re.compile(r"[*+?]|\{\d+(,\d*)?\}").match(self.text, self.place):
            raise ValueError(f"{self.text[match.start() : self.place + 1]} is a repetition of a repetition")
        self.out.append(match[0] + "?" * lazy)

    def _group(self) -> None:
        rest = self.text[self.place :]
        named = re.match(r"\(\?P?<([A-Za-z_]\w*)>", rest)
        flags = re.match(r"\(\?([a-zA-Z]*(?:-[a-zA-Z]+)?)([:)])", rest)
        if named:
            self.place += named.end()
            self.out.append(f"(?P<{named[1]}>")
            self.open.append(0)
        elif flags:
            self.place += flags.end()
            if set(flags[1]) - set("ims-"):
                raise ValueError(f"the flags {flags[1]!r} are not supported: i, m and s are")
            if flags[2] == ":":
                self.open.append(0)
            elif not flags[1]:
                raise ValueError("(?) without flags")
            else:
                self.open[-1] += 1
            self.out.append(f"(?{flags[1]}:")
        elif rest.startswith("(?"):
            raise ValueError(f"{rest[:4]!r} is no group of RE2 (it has no looking around, conditions or atomic groups)")
        else:
            self.place += 1
            self.out.append("(")
            self.open.append(0)

    def _escape(self, *, inside: bool) -> str:
        """The escape at this place; in a class its ranges."""
        rest = self.text[self.place + 1 :]
        if not rest:
            raise ValueError("a backslash at the end")
        quoted = re.match(r"Q(.*?)(?:\\E|\Z)", rest, re.DOTALL)
        number = re.match(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{2})", rest)
        category = re.match(r"([pP])(?:\{(\^?)(\w+)\}|(\w))", rest)
        if quoted and not inside:
            self.place += 1 + quoted.end()
            return re.escape(quoted[1])
        if number:
            self.place += 1 + number.end()
            code = int(number[1] or number[2] or "0", 16) if rest[0] == "x" else int(number[3], 8)
            if code > sys.maxunicode:
                raise ValueError(f"\\{number[0]} is no character")
            return f"\\U{code:08x}"
        if category:
            self.place += 1 + category.end()
            ranges = _category(category[3] or category[4], (category[1] == "P") != (category[2] == "^"))
            return ranges if inside else f"[{ranges}]"
        self.place += 2
        return self._letter(rest[0], inside=inside)

    def _letter(self, letter: str, *, inside: bool) -> str:
        if letter in _RANGES:
            return _RANGES[letter] if inside else f"[{_RANGES[letter]}]"
        if letter in "afnrtv":
            return f"\\{letter}"
        if not inside and letter in "bB":
            return f"(?a:\\{letter})"
        if not inside and letter in "Az":
            return "\\A" if letter == "A" else "\\Z"
        if letter.isalnum() and letter.isascii():
            raise ValueError(
                f"\\{letter} is not supported" + (": RE2 has no references back" if letter.isdigit() else "")
            )
        return re.escape(letter)

    def _class(self) -> str:
        start = self.place
        self.place += 1
        parts = ["["]
        if self.text.startswith("^", self.place):
            self.place += 1
            parts.append("^")
        first = True
        while first or not self.text.startswith("]", self.place):
            if self.place >= len(self.text):
                raise ValueError(f"a [ without ]: {self.text[start:]!r}")
            parts.append(self._member())
            if re.compile(r"-[^\]]").match(self.text, self.place):
                self.place += 1
                parts.append("-" + self._member())
            first = False
        self.place += 1
        return "".join(parts) + "]"

    def _member(self) -> str:
        """A character, or a class, inside of a class."""
        named = re.compile(r"\[:(\^?)(\w+):\]").match(self.text, self.place)
        letter = self.text[self.place]
        if named:
            if named[2] not in _POSIX or named[1]:
                raise ValueError(f"{named[0]} is not supported")
            self.place = named.end()
            return _POSIX[named[2]]
        if letter == "\\":
            return self._escape(inside=True)
        self.place += 1
        return re.escape(letter)
