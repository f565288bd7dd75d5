"""StringConcat, StringSplit and RegexFullMatch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op, broadcast_shapes
from sardonyx.ops.registry import op
from sardonyx.ops.text.automaton import Automaton
from sardonyx.ops.text.patterns import translated

__all__ = ["RegexFullMatch", "StringConcat", "StringSplit"]


@op("StringConcat")
class StringConcat(Op):
    """x + y on strings, with broadcasting."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, y = ctx.input(0), ctx.input(1)
        return (TensorInfo(dtypes.string, broadcast_shapes(ctx, [x.shape, y.shape])),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        x, y = (np.asarray(value, object) for value in values)
        result = np.empty(np.broadcast_shapes(x.shape, y.shape), object)
        result[...] = x + y
        return [result]


@op("StringSplit")
class StringSplit(Op):
    """The parts of each string between delimiters (without one: between white space) in a new last dimension, filled up
    with "", and how many there are."""

    delimiter: str | None = None
    maxsplit: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        shape = ctx.input(0).shape
        if self.maxsplit is not None and self.maxsplit < 0:
            ctx.fail(f"maxsplit must not be negative, got {self.maxsplit}")
        if shape is None:
            return TensorInfo(dtypes.string), TensorInfo(dtypes.int64)
        return TensorInfo(dtypes.string, (*shape, ctx.fresh("parts"))), TensorInfo(dtypes.int64, shape)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        text = np.asarray(values[0])
        most = -1 if self.maxsplit is None else self.maxsplit
        items = text.reshape(-1).tolist()
        delimiter = self.delimiter or None
        rows = [(item if delimiter else item.strip()).split(delimiter, most) for item in items]
        longest = max(map(len, rows), default=0)
        parts = np.full((len(rows), longest), "", object)
        for place, row in enumerate(rows):
            parts[place, : len(row)] = row
        counts = np.array([len(row) for row in rows], np.int64)
        return [parts.reshape(*text.shape, longest), counts.reshape(text.shape)]


@op("RegexFullMatch")
class RegexFullMatch(Op):
    """Whether each whole string matches a regular expression in RE2's syntax."""

    pattern: str | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        try:
            self._compiled  # noqa: B018  # a wrong expression is found when the model is loaded
        except ValueError as error:
            ctx.fail(f"pattern {self.pattern!r}: {error}")
        return (TensorInfo(dtypes.bool_, ctx.input(0).shape),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    @cached_property
    def _compiled(self) -> Automaton:
        return Automaton(translated(self.pattern or ""))

    def host(self, *values: Any) -> Sequence[Any]:
        text, match = np.asarray(values[0]), self._compiled.fullmatch
        found = [match(item) for item in text.reshape(-1).tolist()]
        return [np.array(found, np.bool_).reshape(text.shape)]
