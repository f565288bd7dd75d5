"""Operators outside the standard that the fallback knows how to compute; onnx's reference implementation does not.

Each function takes a node's attributes as Python values and its inputs, and returns its outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONTRIB"]

START, END = "\x02", "\x03"


def _tokenizer(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> list[Any]:
    """Splits strings of shape (c) or (n, c) into tokens: (..., longest), filled up with ``pad_value``.

    Tokens are the matches of ``tokenexp``, or what lies between the ``separators`` (regular expressions; one empty
    separator splits into characters); those shorter than ``mincharnum`` characters are dropped. ``mark`` puts tokens
    of U+0002 and U+0003 around each string's. Source: the operator's documentation in ONNX Runtime.
    """
    text: npt.NDArray[Any] = np.asarray(inputs[0])
    if text.ndim not in (1, 2):
        raise ValueError(f"the input must have shape (c) or (n, c), got {text.shape}")
    split = _splitter(attributes)
    least = int(attributes.get("mincharnum", 1))
    rows = [[token for token in split(str(item)) if len(token) >= least] for item in text.reshape(-1)]
    if attributes.get("mark", 0):
        rows = [[START, *row, END] for row in rows]
    longest = max((len(row) for row in rows), default=0)
    padding = str(attributes.get("pad_value", ""))
    result = np.full((len(rows), longest), padding, dtype=object)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return [result.reshape(*text.shape, longest)]


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


CONTRIB: Mapping[tuple[str, str], Callable[[Mapping[str, Any], Sequence[Any]], list[Any]]] = {
    ("com.microsoft", "Tokenizer"): _tokenizer,
}
"""(domain, operator) -> its function."""
