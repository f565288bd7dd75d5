"""DecoderMaskedMultiHeadAttention of ONNX Runtime: one step of decoding."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.contrib.attention_parts import attend, attention_mask, check_heads, default_scale, split_heads
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("DecoderMaskedMultiHeadAttention", MICROSOFT)
class DecoderMaskedMultiHeadAttention(Composite):
    """Attention of one query of each sequence to a cache.

    Inputs: queries (batch, 1, hidden), keys and values as well, or those of another sequence (batch, heads, rows,
    elements), or all three packed into the first; a mask (batch, keys); what is added to the scores; past keys and
    values; how many rows of these are in use with ``past_present_share_buffer``; two inputs of beam search, which
    cannot be run; a bias of all three. Outputs 1 and 2 are past keys and values with the new ones.
    """

    inputs = (1, 11)
    num_heads: int
    mask_filter_value: float = -10000.0
    output_qk: int = 0
    past_present_share_buffer: int = 0
    scale: float | None = None

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        check_heads(b, self.num_heads)
        if b.optional(8) is not None or b.optional(9) is not None or b.wants(3):
            b.unsupported("beam search and the output of scores")
        query, key, value = self._heads(b)
        lengths: ir.Value | None = None
        if b.optional(5) is not None and self.past_present_share_buffer:
            used = b.reshape(b.cast(b.input(7), dtypes.int64), 1)
            first = b.op("Expand", used, b.size(query, 0))
            lengths = b.op("Add", first, b.ints(1))
            key, value = (
                b.op("WriteCache", b.of_rank(index, 4), new, first, b.size(b.input(index), 2), domain="sardonyx")
                for index, new in ((5, key), (6, value))
            )
        elif b.optional(5) is not None:
            key, value = (b.op("Concat", b.of_rank(index, 4), new, axis=2) for index, new in ((5, key), (6, value)))
        present = key, value
        if lengths is not None and (b.optional(3) is not None or b.optional(4) is not None):
            widest = b.optional(3) or b.input(4)  # they have no columns for rows that are not in use
            key, value = (b.slice(one, 2, 0, b.size(widest, -1)) for one in present)
        mask = attention_mask(b, b.optional(3), b.optional(4), query, key, self.mask_filter_value)
        scale = default_scale(b, query, self.scale)
        return attend(b, query, key, value, mask, lengths, scale=scale, cached=1), *present

    def _heads(self, b: Builder) -> Sequence[ir.Value]:
        """Queries, keys and values as (batch, heads, rows, elements), each with its bias; those that are split into
        heads already have had theirs."""
        parts = [b.of_rank(0, 3)]
        if b.optional(1) is None:
            width = b.known(b.shape(parts[0])[2], "the hidden size")
            if width % 3:
                b.fail(f"{width} elements are not queries, keys and values of one size")
            parts = list(b.split(parts[0], 2, *[width // 3] * 3))
        else:
            parts += [b.of_rank(1, 3, 4), b.of_rank(2, 3, 4)]
        if b.optional(10) is not None:
            widths = [
                b.known(b.shape(x)[-1], "a hidden size") * (self.num_heads if b.rank(x) == 4 else 1) for x in parts
            ]
            biases = b.split(b.of_rank(10, 1), 0, *widths)
            parts = [b.op("Add", x, bias) if b.rank(x) == 3 else x for x, bias in zip(parts, biases, strict=True)]
        return [split_heads(b, x, self.num_heads) if b.rank(x) == 3 else x for x in parts]
