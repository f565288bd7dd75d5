"""com.microsoft::Tokenizer: strings into tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.registry import op
from sardonyx.ops.text.automaton import Automaton
from sardonyx.ops.text.patterns import translated

__all__ = ["Tokenizer"]

START, END = "\x02", "\x03"


@op("Tokenizer", "com.microsoft")
class Tokenizer(Op):
    """Splits strings of shape (c) or (n, c) into tokens: (..., longest), filled up with ``pad_value``.

    Tokens are the longest matches of ``tokenexp``, or what lies between the ``separators`` (regular expressions of RE2,
    applied one after the other; one empty separator splits into characters); those shorter than ``mincharnum``
    characters are dropped. ``mark`` puts tokens of U+0002 and U+0003 around each string's. Source: the operator's
    documentation in ONNX Runtime.
    """

    mark: int
    pad_value: str
    mincharnum: int
    separators: tuple[str, ...] = ()
    tokenexp: str | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        text = ctx.input(0)
        if self.tokenexp is None and not self.separators:
            ctx.fail("either tokenexp or separators must be given")
        try:
            self._split  # noqa: B018  # the expressions are compiled once, here
        except ValueError as error:
            ctx.fail(f"not a regular expression: {error}")
        if text.shape is None:
            return (TensorInfo(text.dtype),)
        if len(text.shape) not in (1, 2):
            ctx.fail(f"the input must have shape (c) or (n, c), got {list(text.shape)}")
        return (TensorInfo(text.dtype, (*text.shape, ctx.fresh("tokens"))),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        text: npt.NDArray[Any] = np.asarray(values[0])
        if text.ndim not in (1, 2):
            raise ValueError(f"the input must have shape (c) or (n, c), got {text.shape}")
        rows = [[t for t in self._split(str(item)) if len(t) >= self.mincharnum] for item in text.reshape(-1)]
        if self.mark:
            rows = [[START, *row, END] for row in rows]
        longest = max((len(row) for row in rows), default=0)
        result = np.full((len(rows), longest), self.pad_value, dtype=object)
        for place, row in enumerate(rows):
            result[place, : len(row)] = row
        return [result.reshape(*text.shape, longest)]

    @cached_property
    def _split(self) -> Callable[[str], list[str]]:
        if self.tokenexp is not None:
            tokens = Automaton(translated(self.tokenexp))
            return lambda text: [text[begin:end] for begin, end in tokens.matches(text)]
        if self.separators == ("",):
            return list
        separators = [Automaton(translated(one)) for one in self.separators]

        def split(text: str) -> list[str]:
            parts = [text]
            for separator in separators:  # one after the other, as given
                parts = [piece for part in parts for piece in _between(part, separator.matches(part))]
            return parts

        return split


def _between(text: str, matches: Sequence[tuple[int, int]]) -> list[str]:
    """What lies between the matches, without empty stretches."""
    ends, begins = [0, *(end for _, end in matches)], [*(begin for begin, _ in matches), len(text)]
    return [text[end:begin] for end, begin in zip(ends, begins, strict=True) if begin > end]
