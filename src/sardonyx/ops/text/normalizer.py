"""StringNormalizer: case changes and stop words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.registry import op

__all__ = ["StringNormalizer"]

TURKIC = ("tr", "az")
"""Languages in which I and i are different letters: the pairs are I, U+0131 and U+0130, i."""


@lru_cache(maxsize=4096)
def _changed(letter: str, upper: bool, turkic: bool) -> str:
    """One character in the other case, as C's towlower and towupper have it: one character stays one."""
    if turkic and letter in "Iİıi":
        return {"I": "Iı", "İ": "İi", "ı": "Iı", "i": "İi"}[letter][0 if upper else 1]
    result = letter.upper() if upper else "i" if letter == "İ" else letter.lower()
    return result if len(result) == 1 else letter


def _change(upper: bool, turkic: bool) -> Callable[[str], str]:
    whole = str.upper if upper else str.lower

    def change(text: str) -> str:
        if text.isascii() and not turkic:
            return whole(text)
        return "".join([_changed(letter, upper, turkic) for letter in text])

    return change


@op("StringNormalizer")
class StringNormalizer(Op):
    """Strings (c) or (1, c) without the stop words and in another case; one empty string if none is left.

    Without ``is_case_sensitive`` stop words are compared in the case that is asked for (else in lower case). ``locale``
    need not be installed: but for the Turkic i, letters change case alike in all of them.
    """

    case_change_action: str = "NONE"
    is_case_sensitive: int = 0
    locale: str | None = None
    stopwords: tuple[str, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if self.case_change_action not in ("NONE", "LOWER", "UPPER"):
            ctx.fail(f"case_change_action is {self.case_change_action!r}; expected NONE, LOWER or UPPER")
        if data.shape is None:
            return (TensorInfo(data.dtype),)
        if len(data.shape) not in (1, 2):
            ctx.fail(f"the input must have shape (c) or (1, c), got {list(data.shape)}")
        return (TensorInfo(data.dtype, (*data.shape[:-1], ctx.fresh("words"))),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    @cached_property
    def _case(self) -> Callable[[str], str] | None:
        if self.case_change_action == "NONE":
            return None
        return _change(self.case_change_action == "UPPER", self._turkic)

    @property
    def _turkic(self) -> bool:
        return (self.locale or "")[:2].lower() in TURKIC

    @cached_property
    def _compared(self) -> Callable[[str], str]:
        """What strings and stop words are compared in."""
        if self.is_case_sensitive:
            return str
        return self._case or _change(False, self._turkic)

    @cached_property
    def _stops(self) -> frozenset[str]:
        return frozenset(map(self._compared, self.stopwords or ()))

    def host(self, *values: Any) -> Sequence[Any]:
        text = np.asarray(values[0])
        if text.ndim not in (1, 2) or (text.ndim == 2 and text.shape[0] != 1):
            raise ValueError(f"the input must have shape (c) or (1, c), got {text.shape}")
        words = text.reshape(-1).tolist()
        if self._stops:
            words = [word for word in words if self._compared(word) not in self._stops]
        if self._case is not None:
            words = list(map(self._case, words))
        result = np.empty(max(1, len(words)), object)
        result[:] = words or [""]
        return [result.reshape(1, -1) if text.ndim == 2 else result]
