"""Attention and MultiHeadAttention of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.contrib.attention_parts import (
    attend,
    attention_mask,
    check_heads,
    default_scale,
    merge_heads,
    split_heads,
    unstack,
)
from sardonyx.ops.registry import op

__all__ = ["self_attention"]


@op("Attention", MICROSOFT)
class Attention(Composite):
    """Self-attention of x, whose queries, keys and values are one product x W + b.

    Inputs: x (batch, rows, hidden), W, b, a mask (see ``attention_mask``), the past (2, batch, heads, past rows,
    elements), what is added to the scores, and the past's length where its buffer is longer, which cannot be run.
    Output 1 is the past with the new keys and values behind it. ``unidirectional``: no query sees later keys.
    """

    inputs = (2, 7)
    num_heads: int
    do_rotary: int = 0
    mask_filter_value: float = -10000.0
    past_present_share_buffer: int = 0
    qkv_hidden_sizes: tuple[int, ...] = ()
    rotary_embedding_dim: int = 0
    scale: float | None = None
    unidirectional: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        if self.do_rotary or self.past_present_share_buffer:
            b.unsupported("the attributes do_rotary and past_present_share_buffer")
        check_heads(b, self.num_heads)
        widths = self._widths(b)
        product = b.op("MatMul", b.of_rank(0, 3), b.input(1))
        if b.optional(2) is not None:
            product = b.op("Add", product, b.of_rank(2, 1))
        parts = [split_heads(b, part, self.num_heads) for part in b.split(product, 2, *widths)]
        return self_attention(
            b, parts, past=4, mask=3, added=5, filler=self.mask_filter_value, scale=self.scale,
            causal=int(self.unidirectional != 0),
        )  # fmt: skip

    def _widths(self, b: Builder) -> Sequence[int]:
        """The numbers of elements of queries, keys and values."""
        columns = b.known(b.shape(b.of_rank(1, 2))[1], "the number of columns of the weights")
        widths = self.qkv_hidden_sizes or (columns // 3,) * 3
        if len(widths) != 3 or sum(widths) != columns or widths[0] != widths[1] or min(widths) < 1:
            b.fail(f"weights of {columns} columns do not make queries, keys and values of {list(widths)} elements")
        return widths


def self_attention(
    b: Builder,
    heads: Sequence[ir.Value],
    *,
    past: int,
    mask: int,
    added: int,
    filler: float,
    scale: float | None,
    causal: int,
) -> Sequence[ir.Value | None]:
    """Attention of queries, keys and values (batch, heads, rows, elements), and what output 1 is.

    ``past``, ``mask`` and ``added`` (to the scores) are inputs of the node; ``filler`` is what masked scores become.
    """
    query, key, value = heads
    present: ir.Value | None = None
    if b.optional(past) is not None or b.wants(1):
        if b.shape(key)[-1] != b.shape(value)[-1]:
            b.fail(f"a cache needs keys and values of one size, got {b.shape(key)[-1]} and {b.shape(value)[-1]}")
        present = b.op("Concat", b.unsqueeze(key, 0), b.unsqueeze(value, 0), axis=0)
        if b.optional(past) is not None:
            present = b.op("Concat", b.of_rank(past, 5), present, axis=3)
        key, value = unstack(b, present, 0, 2)
    masked = attention_mask(b, b.optional(mask), b.optional(added), query, key, filler)
    given = default_scale(b, query, scale)
    return attend(b, query, key, value, masked, scale=given, causal=causal, cached=1), present


@dataclass(frozen=True)
class _Heads:
    """Queries, keys and values, each (batch, heads, rows, elements)."""

    query: ir.Value
    key: ir.Value
    value: ir.Value


@op("MultiHeadAttention", MICROSOFT)
class MultiHeadAttention(Composite):
    """Attention of given queries, keys and values.

    Inputs: queries (batch, rows, hidden), keys and values as well, or (batch, heads, rows, elements); queries, keys and
    values packed as (batch, rows, heads, 3, elements), or keys and values as (batch, rows, heads, 2, elements); a bias
    of all three; a mask (see ``attention_mask``); what is added to the scores; past keys and values. Outputs 1 and 2
    are these with the new ones behind them.
    """

    inputs = (1, 10)
    num_heads: int
    mask_filter_value: float = -10000.0
    scale: float | None = None
    unidirectional: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        check_heads(b, self.num_heads)
        if b.optional(8) is not None or b.optional(9) is not None or b.wants(3):
            b.unsupported("shared cache buffers, cache indirection and the output of scores")
        heads = self._heads(b)
        key, value = (
            new if b.optional(index) is None else b.op("Concat", b.of_rank(index, 4), new, axis=2)
            for index, new in ((6, heads.key), (7, heads.value))
        )
        mask = attention_mask(b, b.optional(4), b.optional(5), heads.query, key, self.mask_filter_value)
        scale = default_scale(b, heads.query, self.scale)
        causal = int(self.unidirectional != 0)
        return attend(b, heads.query, key, value, mask, scale=scale, causal=causal, cached=1), key, value

    def _heads(self, b: Builder) -> _Heads:
        query, key, value = b.of_rank(0, 3, 5), b.optional(1), b.optional(2)
        if b.rank(query) == 5:
            packed = b.transpose(query, 3, 0, 2, 1, 4)
            return self._biased(b, [merge_heads(b, part) for part in unstack(b, packed, 0, 3)])
        if key is not None and value is None:
            packed = b.transpose(b.of_rank(1, 5), 3, 0, 2, 1, 4)
            return self._biased(b, [query, *(merge_heads(b, part) for part in unstack(b, packed, 0, 2))])
        key, value = b.of_rank(1, 3, 4), b.of_rank(2, 3, 4)
        if b.rank(key) != b.rank(value):
            b.fail("keys and values must have one rank")
        return self._biased(b, [query, key, value])

    def _biased(self, b: Builder, parts: Sequence[ir.Value]) -> _Heads:
        """The parts with the bias of each; keys and values that are split into heads already have had theirs."""
        own = [part for part in parts if b.rank(part) == 3]
        if b.optional(3) is not None:
            widths = [b.known(b.shape(part)[-1], "the hidden size") for part in parts]
            if len(own) == 1:
                widths[1:] = [width * self.num_heads for width in widths[1:]]
            biases = b.split(b.of_rank(3, 1), 0, *widths)
            parts = [b.op("Add", x, bias) if b.rank(x) == 3 else x for x, bias in zip(parts, biases, strict=True)]
        query, key, value = (split_heads(b, x, self.num_heads) if b.rank(x) == 3 else x for x in parts)
        return _Heads(query, key, value)
