"""Automata against Python's ``re`` on random expressions, and in bounded time where ``re`` would take for ever."""

from __future__ import annotations

import random
import re
import time

import numpy as np
import pytest

from ops.contrib.oracle import node_model
from sardonyx.compiler import compile_model
from sardonyx.errors import InvalidModelError
from sardonyx.ops.text.automaton import Automaton
from sardonyx.ops.text.patterns import translated

LETTERS = "abA\n é_0-"
ATOMS = ("a", "b", "A", ".", "[ab]", "[^a]", "[a-cé]", "é", "\\n", "_", "0", "-", "[^\\n0-9]")
PLACES = ("^", "(?m:^)", "(?m:$)", "\\A", "\\Z", "(?a:\\b)", "(?a:\\B)")
REPEATS = ("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "{0}")


def expression(generator: random.Random, depth: int = 0) -> str:
    match generator.randrange(9 if depth < 4 else 3):
        case 0 | 1:
            return generator.choice(ATOMS)
        case 2:
            return generator.choice(PLACES) if generator.random() < 0.5 else ""
        case 3 | 4:
            return expression(generator, depth + 1) + expression(generator, depth + 1)
        case 5:
            return f"(?:{expression(generator, depth + 1)}|{expression(generator, depth + 1)})"
        case 6:
            return f"(?{generator.choice('ims')}:{expression(generator, depth + 1)})"
        case 7:
            return f"({expression(generator, depth + 1)}){generator.choice(REPEATS)}"
        case _:
            return f"(?:{generator.choice(ATOMS)}){generator.choice(REPEATS)}"


@pytest.mark.parametrize("seed", range(8))
def test_random_expressions(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(100):
        pattern = expression(generator)
        texts = ["".join(generator.choices(LETTERS, k=generator.randrange(7))) for _ in range(30)]
        ours, theirs = Automaton(pattern), re.compile(pattern)
        for text in filter(None, texts):  # what \B is in an empty text depends on the version of Python
            assert ours.fullmatch(text) is (theirs.fullmatch(text) is not None), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("(?i)straße", "STRAẞE", True),
        ("(?i)k", "\u212a", True),
        ("(?i)\u017f", "S", True),
        ("(?i)i", "\u0131", False),
        ("(?i)[^k]", "\u212a", False),
        ("(?i)[д-я]+", "ЖЯд", True),
        ("a$", "a", True),
        ("a$", "a\n", False),
        ("(?m)a$\n^b", "a\nb", True),
        ("a$\n^b", "a\nb", False),
        ("\\B", "", True),
        ("\\b", "", False),
        ("\\bé\\B", "é", False),
        (".", "\n", False),
        ("(?s).", "\n", True),
        ("", "", True),
        ("(|a)+", "aaa", True),
        ("\U0001f600+", "\U0001f600" * 3, True),
    ],
)
def test_semantics_of_re2(pattern: str, text: str, expected: bool) -> None:
    assert Automaton(translated(pattern)).fullmatch(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a*)*b", "a" * 100_000),
        ("(a|aa)+$", "a" * 100_000 + "b"),
        ("(a?){200}a{200}", "a" * 150),
        ("(x+x+)+y", "x" * 50_000),
        ("(.*)(.*)(.*)(.*)(.*)[^a]", "a" * 50_000),
        ("(a|b)*a(a|b){12}c", "ab" * 5_000),
    ],
)
def test_hostile_expressions_take_bounded_time(pattern: str, text: str) -> None:
    start = time.process_time()
    assert not Automaton(translated(pattern)).fullmatch(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "pattern", ["(a{1000}){1000}", "((){1000}){1000}", "((((a{9}){99}){99}){99}){99}", "(" * 5000 + ")" * 5000]
)
def test_what_is_too_large_is_refused(pattern: str) -> None:
    model = node_model("RegexFullMatch", [np.array(["a"], object)], {"pattern": pattern}, domain="")
    start = time.process_time()
    with pytest.raises(InvalidModelError, match=r"tested.*(repetitions written out|nested too deep)"):
        compile_model(model)
    assert time.process_time() - start < 10
