"""Operators that the fallback computes itself: onnx's reference implementation lacks them or takes rows one by one.

Each entry takes a node's attributes as Python values (tensors as arrays), once, and makes the function of its inputs
that returns its outputs. Both raise ValueError for what they cannot take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.compiler.trees import tree_ensemble_classifier, tree_ensemble_regressor

__all__ = ["CONTRIB", "CUSTOM_OPS"]

START, END = "\x02", "\x03"


def _tokenizer(attributes: Mapping[str, Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """Splits strings of shape (c) or (n, c) into tokens: (..., longest), filled up with ``pad_value``.

    Tokens are the matches of ``tokenexp``, or what lies between the ``separators`` (regular expressions; one empty
    separator splits into characters); those shorter than ``mincharnum`` characters are dropped. ``mark`` puts tokens
    of U+0002 and U+0003 around each string's. Source: the operator's documentation in ONNX Runtime.
    """
    split = _splitter(attributes)
    least = int(attributes.get("mincharnum", 1))
    mark = bool(attributes.get("mark", 0))
    padding = str(attributes.get("pad_value", ""))

    def run(inputs: Sequence[Any]) -> list[Any]:
        text: npt.NDArray[Any] = np.asarray(inputs[0])
        if text.ndim not in (1, 2):
            raise ValueError(f"the input must have shape (c) or (n, c), got {text.shape}")
        rows = [[token for token in split(str(item)) if len(token) >= least] for item in text.reshape(-1)]
        if mark:
            rows = [[START, *row, END] for row in rows]
        longest = max((len(row) for row in rows), default=0)
        result = np.full((len(rows), longest), padding, dtype=object)
        for place, row in enumerate(rows):
            result[place, : len(row)] = row
        return [result.reshape(*text.shape, longest)]

    return run


def _splitter(attributes: Mapping[str, Any]) -> Callable[[str], list[str]]:
    expression = attributes.get("tokenexp")
    if expression is not None:
        pattern = re.compile(expression)
        return lambda text: [match.group(0) for match in pattern.finditer(text)]
    separators = list(attributes.get("separators", ()))
    if not separators:
        raise ValueError("either tokenexp or separators must be given")
    if separators == [""]:
        return list
    pattern = re.compile("|".join(f"(?:{one})" for one in separators))
    return lambda text: [token for token in pattern.split(text) if token]


CUSTOM_OPS = frozenset({("com.microsoft", "Tokenizer")})
"""(domain, operator) of those outside the standard: models may use them, without a schema to check them against."""

CONTRIB: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Callable[[Sequence[Any]], list[Any]]]] = {
    ("ai.onnx.ml", "TreeEnsembleClassifier"): tree_ensemble_classifier,
    ("ai.onnx.ml", "TreeEnsembleRegressor"): tree_ensemble_regressor,
    ("com.microsoft", "Tokenizer"): _tokenizer,
}
"""(domain, operator) -> what makes its function from the attributes."""
