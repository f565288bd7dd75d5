"""Symbolic integers: sizes, strides, offsets and loop indices that are known only when a model runs.

A ``Dim`` is an ``int`` or an ``Expr``. Whatever folds to a constant is a plain ``int``, so ``isinstance(d, int)`` asks
"is it known?". An ``Expr`` is a polynomial with integer coefficients in normal form; its atoms are symbols and opaque
operations (``//``, ``%``, ``min``, ``max``, ``broadcast``) on normalised arguments. Two equal normal forms are the same
number; the reverse is not promised.

Symbols stand for sizes and are taken to be >= 0. A divisor is taken to be different from 0: ``(a * b) // b`` is ``a``.
``//`` and ``%`` round as Python does. An expression that would grow past ``MAX_TERMS`` monomials, ``MAX_WEIGHT`` nodes,
``MAX_DEGREE`` or ``MAX_COEFFICIENT`` raises ``ModelTooLargeError`` (inference answers with a fresh symbol), so that a
hostile graph cannot make an expression explode.

    >>> batch, seq = symbol("batch"), symbol("seq")
    >>> (batch * seq * 768) // (batch * seq)
    768
"""

from sardonyx.symbols.atoms import to_text
from sardonyx.symbols.expression import Dim, Expr, bounds, known_nonnegative, known_positive, symbol
from sardonyx.symbols.functions import (
    align_up,
    broadcast,
    ceildiv,
    divide_exact,
    known_equal,
    known_factor,
    known_multiple,
    maximum,
    minimum,
    product,
)
from sardonyx.symbols.text import parse
from sardonyx.symbols.visit import DimOperations, evaluate, fold, free_symbols, linear, substitute

__all__ = [
    "Dim",
    "DimOperations",
    "Expr",
    "align_up",
    "bounds",
    "broadcast",
    "ceildiv",
    "divide_exact",
    "evaluate",
    "fold",
    "free_symbols",
    "known_equal",
    "known_factor",
    "known_multiple",
    "known_nonnegative",
    "known_positive",
    "linear",
    "maximum",
    "minimum",
    "parse",
    "product",
    "substitute",
    "symbol",
    "to_text",
]
