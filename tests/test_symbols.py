"""Symbolic integers against plain Python integers."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sardonyx.errors import ModelTooLargeError
from sardonyx.symbols import (
    Dim,
    Expr,
    align_up,
    bounds,
    broadcast,
    ceildiv,
    divide_exact,
    evaluate,
    fold,
    free_symbols,
    known_equal,
    known_factor,
    known_multiple,
    known_nonnegative,
    known_positive,
    linear,
    maximum,
    minimum,
    parse,
    product,
    substitute,
    symbol,
    to_text,
)

n, m, k = symbol("n"), symbol("m"), symbol("k")
NAMES = ("n", "m", "k", "a name")

environments = st.fixed_dictionaries({name: st.integers(0, 40) for name in NAMES})
# A tree of operations, so that it can be computed in Dims and in ints.
leaves = st.one_of(st.sampled_from(NAMES), st.integers(-9, 9))
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(
        st.sampled_from(["+", "-", "*", "//", "%", "min", "max", "ceildiv", "align"]), inner, inner
    ),
    max_leaves=10,
)


def compute(tree, env):
    """The tree in Dims (env maps names to symbols) or in ints."""
    if isinstance(tree, str):
        return env[tree]
    if isinstance(tree, int):
        return tree
    operation, left, right = tree
    a, b = compute(left, env), compute(right, env)
    if operation == "+":
        return a + b
    if operation == "-":
        return a - b
    if operation == "*":
        return a * b
    if operation == "//":
        return a // b
    if operation == "%":
        return a % b
    if operation == "ceildiv":
        return ceildiv(a, b)
    if operation == "align":
        return align_up(a, b)
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b) if operation == "min" else max(a, b)
    return minimum(a, b) if operation == "min" else maximum(a, b)


def both(tree, env) -> tuple[Dim, int]:
    try:
        number = compute(tree, env)
        dim = compute(tree, {name: symbol(name) for name in NAMES})
    except (ZeroDivisionError, ModelTooLargeError):
        assume(False)
        raise
    return dim, number


@settings(max_examples=1500, deadline=None)
@given(trees, environments)
def test_every_expression_evaluates_as_python_does(tree, env):
    dim, number = both(tree, env)
    assert evaluate(dim, env) == number
    assert substitute(dim, env) == number
    low, high = bounds(dim)
    assert low is None or low <= number
    assert high is None or number <= high
    factor = known_factor(dim)
    assert number % factor == 0 if factor else number == 0


@settings(max_examples=500, deadline=None)
@given(trees, trees, environments)
def test_text_pickle_and_equality(left, right, env):
    dim, number = both(left, env)
    assert parse(to_text(dim)) == dim
    assert to_text(parse(to_text(dim))) == to_text(dim)
    assert pickle.loads(pickle.dumps(dim)) == dim
    assert hash(parse(to_text(dim))) == hash(dim)
    other, other_number = both(right, env)
    if known_equal(dim, other):
        assert number == other_number
    try:
        total, product_ = dim + other, dim * other
    except ModelTooLargeError:
        return
    assert known_equal(total, other + dim)
    assert known_equal(total - other, dim)
    assert known_equal(product_, other * dim)
    if other != 0:
        quotient = divide_exact(product_, other)
        assert quotient is not None
        assert known_equal(quotient, dim)


@settings(max_examples=500, deadline=None)
@given(trees, environments, st.sampled_from(NAMES))
def test_linear_takes_the_expression_apart(tree, env, name):
    dim, number = both(tree, env)
    parts = linear(dim, name)
    if parts is not None:
        coefficient, rest = parts
        assert name not in free_symbols(coefficient) | free_symbols(rest)
        assert evaluate(coefficient, env) * env[name] + evaluate(rest, env) == number


@settings(max_examples=300, deadline=None)
@given(trees, st.fixed_dictionaries(dict.fromkeys(NAMES, leaves)), environments)
def test_substitution_is_evaluation_in_two_steps(tree, replacement, env):
    assume(all(not isinstance(value, int) or value >= 0 for value in replacement.values()))
    dims = {name: symbol(value) if isinstance(value, str) else value for name, value in replacement.items()}
    second = {name: evaluate(dim, env) for name, dim in dims.items()}
    dim, number = both(tree, second)
    try:
        replaced = substitute(dim, dims)
    except ZeroDivisionError:
        assume(False)
        raise
    assert evaluate(replaced, env) == number


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (n - n, 0),
        (n * 0, 0),
        ((n + 1) - n, 1),
        ((n * 12) // 12, n),
        ((n * 12 + 5) // 12, n),
        ((n * 12 + m) // 12, n + m // 12),
        ((n * 12) % 12, 0),
        ((n * 12 + m) % 12, m % 12),
        ((n // 2) // 3, n // 6),
        ((n % 12) % 4, n % 4),
        (n // 1, n),
        (n % 1, 0),
        ((6 * n + 4) // 4, (3 * n + 2) // 2),
        ((n * m * 768) // (n * m), 768),
        ((n * m * 768) // m, n * 768),
        ((n * m + n) // (m + 1), n),
        ((n * n - 1) // (n + 1), n - 1),
        ((n * m + m) // (n * m + m), 1),
        ((n // 8) * 8 + n % 8, n),
        (n % 8 + 3 + (n // 8) * 8 + m, n + m + 3),
        ((n % 8) // 8, 0),
        (minimum(n, n), n),
        (minimum(n, n + 1), n),
        (maximum(n, n + 3), n + 3),
        (minimum(n, 0), 0),
        (maximum(n, 0), n),
        (maximum(n - minimum(n, 1), 0), n - minimum(n, 1)),
        (maximum(n - n // 2, 0), n - n // 2),
        (minimum(minimum(n, 7), 5), minimum(n, 5)),
        (maximum(maximum(n, m), n), maximum(n, m)),
        (broadcast(n, 1), n),
        (broadcast(1, n), n),
        (broadcast(n, n), n),
        (broadcast(n, 7), 7),
        (broadcast(n, 0), 0),
        (broadcast(n, m + 2), m + 2),
        (broadcast(broadcast(n, m), n), broadcast(m, n)),
        (product([n, 2, m, 3]), n * m * 6),
        (product([]), 1),
        (align_up(n * 16, 16), n * 16),
        (ceildiv(n * 16 + 1, 16), n + 1),
    ],
)
def test_simplification(dim, expected):
    assert dim == expected
    assert type(dim) is type(expected)


def test_constants_are_plain_ints():
    for dim in (n - n + 3, (n * 4) // n, n % 1 + 2, evaluate(n, {"n": 2})):
        assert type(dim) is int
    assert type(minimum(np.int64(3), 5)) is int
    assert np.int64(2) * n == n * 2
    assert n + np.int32(2) == n + 2


def test_what_is_known():
    assert known_positive(n + 1)
    assert not known_positive(n)
    assert known_nonnegative(n * m + n // 3 + n % 5)
    assert not known_nonnegative(n - 1)
    assert known_nonnegative(n - minimum(n, m))
    assert known_nonnegative(maximum(n, m) - m)
    assert known_nonnegative(7 - n % 8)
    assert known_multiple(n * 64 + 32, 16)
    assert known_multiple(minimum(n * 8, m * 16), 8)
    assert known_multiple(n * m, m)
    assert not known_multiple(n, 2)
    assert not known_multiple(n, 0)
    assert divide_exact(n + 1, n) is None
    assert divide_exact(n, 0) is None
    assert divide_exact(n * m * 3 + m, m) == n * 3 + 1
    assert linear(n * m * 4 + k, "n") == (m * 4, k)
    assert linear(n // 2 + m, "n") is None
    assert linear(n * n, "n") is None
    assert free_symbols(n * (m // k)) == {"n", "m", "k"}


def test_broadcast_of_numbers():
    common = broadcast(n, m)
    assert evaluate(common, {"n": 1, "m": 5}) == evaluate(common, {"n": 5, "m": 1}) == 5
    assert evaluate(common, {"n": 1, "m": 0}) == 0
    with pytest.raises(ValueError, match="do not broadcast"):
        evaluate(common, {"n": 3, "m": 5})
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast(2, 3)


def test_fold_computes_a_shared_atom_once():
    seen: list[str] = []

    class Text:
        def __getattr__(self, name):
            return lambda a, b: f"{name}({a}, {b})"

    def leaf(name: str) -> str:
        seen.append(name)
        return name

    assert fold(n * n - m, leaf, str, Text()) == "subtract(multiply(n, n), m)"
    assert seen == ["n", "m"]


@pytest.mark.parametrize("text", ["", "n +", "n m", "(n", "min(n", "n ** 2", "n.x", "1" * 99, "(" * 999, '""', "n\x00"])
def test_bad_text_is_refused_with_its_place(text):
    with pytest.raises(ValueError, match="at character"):
        parse(text)


def test_division_by_zero():
    with pytest.raises(ZeroDivisionError):
        n // 0
    with pytest.raises(ZeroDivisionError):
        n % 0
    with pytest.raises(ZeroDivisionError):
        evaluate(5 // n, {"n": 0})


def test_growth_is_bounded():
    def square_sum(x: Dim) -> Dim:
        return x * x + x

    def divide_chain(x: Dim) -> Dim:
        return (x + m) // (x + 3) + x % (x + m)

    def repeat(step) -> None:
        x: Dim = n
        for _ in range(500):
            x = step(x)

    for step in (square_sum, divide_chain, lambda x: x * (n + m + k), lambda x: x * 12345678901):
        start = time.perf_counter()
        with pytest.raises(ModelTooLargeError):
            repeat(step)
        assert time.perf_counter() - start < 5


def test_order_does_not_depend_on_how_it_was_built():
    assert to_text(m + n * 2 + 1) == to_text(1 + n + m + n)
    assert isinstance(n, Expr)
    assert to_text(minimum(m, n)) == to_text(minimum(n, m)) == "min(m, n)"


def test_a_minimum_beside_its_own_argument_broadcasts_to_that() -> None:
    seq = symbol("seq")
    assert broadcast(minimum(512, seq), seq) == seq
    assert broadcast(seq, minimum(512, seq)) == seq
    assert broadcast(minimum(symbol("n"), seq), seq) != seq  # n may be 0
