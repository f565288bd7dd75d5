"""TfIdfVectorizer: n-grams counted and weighed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.lookup import Lookup
from sardonyx.kernels.ngrams import CountNgrams
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, product

__all__ = ["TfIdfVectorizer"]

Array = npt.NDArray[Any]
MODES = ("TF", "IDF", "TFIDF")


@dataclass
class _Tree:
    """N-grams as a tree in breadth-first order: see ``kernels.ngrams``. ``tokens`` are the numbers of the kernel."""

    tokens: Array
    first: Array
    token: Array
    output: Array


@op("TfIdfVectorizer")
class TfIdfVectorizer(Anchor):
    """The counts of the n-grams of a pool in each row, their weights, or both multiplied.

    The tokens of an n-gram follow one another at a distance of 1 to ``max_skip_count`` + 1. Pools of strings become
    pools of integers when the model is read.
    """

    mode: str
    ngram_counts: tuple[int, ...]
    ngram_indexes: tuple[int, ...]
    min_gram_length: int
    max_gram_length: int
    max_skip_count: int
    pool_int64s: tuple[int, ...] | None = None
    pool_strings: tuple[str, ...] | None = None
    weights: tuple[float, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        if self.mode not in MODES:
            ctx.fail(f"mode is {self.mode!r}; expected one of {', '.join(MODES)}")
        if not 1 <= self.min_gram_length <= self.max_gram_length or self.max_skip_count < 0:
            ctx.fail(f"n-grams of {self.min_gram_length} to {self.max_gram_length}, {self.max_skip_count} skips")
        if not self.ngram_indexes or min(self.ngram_indexes) < 0:
            ctx.fail("ngram_indexes must hold at least one column, none of them negative")
        if self.weights and len(self.weights) != len(self.ngram_indexes):
            ctx.fail(f"{len(self.weights)} weights for {len(self.ngram_indexes)} n-grams")
        shape = ctx.input(0).shape
        if shape is None:
            return (TensorInfo(dtypes.float32),)
        if len(shape) not in (1, 2):
            ctx.fail(f"the input must have shape (c) or (n, c), got {list(shape)}")
        return (TensorInfo(dtypes.float32, (*shape[:-1], self._width)),)

    @property
    def _width(self) -> int:
        return max(self.ngram_indexes) + 1

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype in (dtypes.int32, dtypes.int64)

    def lower(self, ctx: LowerContext) -> None:
        data, target = ctx.contiguous(0), ctx.output()
        try:
            tree = self._tree()
        except ValueError as error:
            ctx.infer.fail(str(error))
        count = product(data.shape)
        numbers = np.append(np.arange(len(tree.tokens)), [-1, -1]).astype(np.int64)
        tokens = ctx.scratch(dtypes.int64, count)
        keys = tree.tokens.astype(data.dtype.numpy) if len(tree.tokens) else np.zeros(1, data.dtype.numpy)
        operands = [data, ctx.constant(keys), ctx.constant(numbers), tokens]
        ctx.call(Lookup(data.dtype, dtypes.int64), operands, [count, len(tree.tokens)], Lookup.tasks(count), 8 * count)
        operands = [tokens, target, *(ctx.constant(table) for table in (tree.first, tree.token, tree.output))]
        mode = self.mode if self.weights else "TF" if self.mode != "IDF" else "IDF"
        if mode != "TF":
            operands.append(ctx.constant(self._weights()))
        distances = self.max_skip_count + 1 if self.max_gram_length > 1 else 1
        sizes: list[Dim] = [data.shape[-1], self._width, self.min_gram_length, distances, self.max_gram_length]
        rows = data.shape[0] if len(data.shape) == 2 else 1
        ctx.call(CountNgrams(mode), operands, sizes, rows, count * 40 * distances + rows * self._width)

    def _weights(self) -> Array:
        """The weight of each column of the result."""
        columns = np.ones(self._width, np.float32)
        if self.weights:
            columns[np.array(self.ngram_indexes)] = self.weights
        return columns

    def _tree(self) -> _Tree:
        """The n-grams of the lengths asked for; ValueError where the attributes do not go together."""
        children: list[dict[int, int]] = [{}]
        outputs = [-1]
        for gram, column in self._grams():
            node = 0
            for token in gram:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                    outputs.append(-1)
                node = children[node][token]
            outputs[node] = column
        tokens = sorted({token for below in children for token in below})
        number = {token: place for place, token in enumerate(tokens)}
        order, first, token_of = [0], [], [0]
        for node in order:  # grows: breadth first, so that the children of a node are adjacent
            first.append(len(order))
            for token in sorted(children[node]):
                order.append(children[node][token])
                token_of.append(number[token])
        first.append(len(order))
        output = [outputs[node] for node in order]
        arrays = [np.array(table, np.int64) for table in (tokens, first, token_of, output)]
        return _Tree(*arrays)

    def _grams(self) -> list[tuple[tuple[int, ...], int]]:
        pool = self.pool_int64s or ()
        starts = [*self.ngram_counts, len(pool)]
        if len(self.ngram_counts) < self.max_gram_length or starts != sorted(starts) or starts[0] < 0:
            raise ValueError(f"ngram_counts {self.ngram_counts} do not divide a pool of {len(pool)} for these lengths")
        grams: list[tuple[tuple[int, ...], int]] = []
        number = 0
        for length, (start, stop) in enumerate(itertools.pairwise(starts), start=1):
            if (stop - start) % length:
                raise ValueError(f"{stop - start} entries of the pool are no n-grams of {length}")
            for place in range(start, stop, length):
                if number >= len(self.ngram_indexes):
                    raise ValueError(f"more n-grams in the pool than the {len(self.ngram_indexes)} ngram_indexes")
                if self.min_gram_length <= length <= self.max_gram_length:
                    grams.append((pool[place : place + length], self.ngram_indexes[number]))
                number += 1
        return grams
