"""Counts of n-grams: TfIdfVectorizer."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.lang import I64, KernelBuilder, Type, Value

__all__ = ["CountNgrams"]


@dataclass(frozen=True)
class CountNgrams:
    """How often each n-gram of a pool occurs in the rows of token numbers (-1: in no n-gram).

        for task in [begin, end):                              # a row
            for distance in 1 ... s3:                          # of tokens that follow one another in an n-gram
                for start in row:
                    node = root
                    for token at start, start + distance ...:  # up to ``longest`` of them
                        node = child[node, token]; none: break
                        if length >= shortest: counts[output[node]] += 1
                shortest = 2 where it was 1                    # single tokens are counted once

    The n-grams are a tree of nodes, children of a node adjacent and sorted by token. ``mode`` is TF (the counts), IDF
    (the weight of what occurs) or TFIDF (counts times weights). Buffers: int64 tokens (rows of s0), y (rows of s1), the
    nodes' first children (one more than nodes), their tokens and their outputs (-1: none), weights; all int64 or
    float32. Sizes: s0, s1, shortest and longest s2 and s4, s3.
    """

    mode: str

    @property
    def name(self) -> str:
        return "count_ngrams"

    def emit(self, b: KernelBuilder) -> None:
        length, width = b.size(0), b.size(1)
        with b.tasks() as row:
            y = b.buffer(1, dtypes.float32).at(row * width)
            lanes = b.target.lanes(4)
            zero = b.zero(Type(dtypes.float32, lanes))
            b.vector_loop(width, lanes, lambda i, mask: y.store(zero, i, mask))
            shortest = b.var(b.size(2))
            with b.loop(b.size(3) + 1, 1) as distance:
                least = shortest.get()
                starts = b.maximum(length - distance * (least - 1), 0)
                with b.loop(starts) as start:
                    self._walk(b, row * length, start, distance, least, row * width)
                shortest.set(b.maximum(least, 2))
            if self.mode != "TF":
                self._weigh(b, row * width, width)

    def _walk(self, b: KernelBuilder, line: Value, start: Value, distance: Value, least: Value, target: Value) -> None:
        """Counts the n-grams that begin at one token."""
        tokens, y = b.buffer(0, dtypes.int64).at(line), b.buffer(1, dtypes.float32).at(target)
        outputs = b.buffer(4, dtypes.int64)
        node, place, size = b.var(b.i64(0)), b.var(start), b.var(b.i64(1))
        going = b.var((size.get() <= b.size(4)) & (size.get() > 0))
        with b.while_(going.get):
            found = self._child(b, node.get(), tokens.load(place.get()))
            node.set(found)
            with b.if_(found > 0):
                output = outputs.load(found)
                with b.if_((output >= 0) & (size.get() >= least)):
                    y.store(y.load(output) + 1.0, output)
            place.set(place.get() + distance)
            size.set(size.get() + 1)
            going.set((found > 0) & (place.get() < b.size(0)) & (size.get() <= b.size(4)))

    def _child(self, b: KernelBuilder, node: Value, token: Value) -> Value:
        """The child of a node by its token, 0 for none: a binary search."""
        first, tokens = b.buffer(2, dtypes.int64), b.buffer(3, dtypes.int64)
        low, end = b.var(first.load(node)), first.load(node + 1)
        size = b.var(end - low.get())
        result = b.var(b.zero(I64))
        with b.if_(size.get() > 0):
            with b.while_(lambda: size.get() > 1):
                half = size.get() // 2
                above = tokens.load(low.get() + half) <= token
                low.set(b.select(above, low.get() + half, low.get()))
                size.set(size.get() - half)
            result.set(b.select(tokens.load(low.get()) == token, low.get(), 0))
        return result.get()

    def _weigh(self, b: KernelBuilder, target: Value, width: Value) -> None:
        y, weights, lanes = b.buffer(1, dtypes.float32).at(target), b.buffer(5, dtypes.float32), b.target.lanes(4)

        def body(i: Value, mask: Value | None) -> None:
            count, weight = y.load(i, lanes, mask), weights.load(i, lanes, mask)
            y.store(count * weight if self.mode == "TFIDF" else b.select(count > 0.0, weight, 0.0), i, mask)

        b.vector_loop(width, lanes, body)
