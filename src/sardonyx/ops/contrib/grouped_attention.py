"""GroupQueryAttention of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.contrib.attention_parts import attend, check_heads, default_scale
from sardonyx.ops.contrib.rotary import positions_from, rotate
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("GroupQueryAttention", MICROSOFT)
class GroupQueryAttention(Composite):
    """Causal attention whose queries share fewer heads of keys and values, with a cache and rotations.

    Inputs: queries (batch, rows, num_heads * elements), keys and values (batch, rows, kv_num_heads * elements), or all
    three packed into the first; past keys and values (batch, kv_num_heads, past rows, elements), which may be longer
    than what is in use; the number of keys of each element of the batch, less one, the new ones included; the largest
    number of keys; cosines, sines and positions of the rotation; what is added to the scores; a score of each head that
    has no value; weights that normalise each head's queries and keys. Outputs 1 and 2 are keys and values with the new
    ones written behind those in use.
    """

    inputs = (1, 17)
    kv_num_heads: int
    num_heads: int
    causal: int = 1
    do_rotary: int = 0
    k_norm_epsilon: float | None = None
    k_quant_type: str = "NONE"
    kv_cache_bit_width: int = 0
    local_window_size: int = -1
    q_norm_epsilon: float | None = None
    qk_norm_epsilon: float = 1e-6
    qk_output: int = 0
    rotary_interleaved: int = 0
    scale: float | None = None
    sliding_window_cache: int = 0
    smooth_softmax: int = 0
    softcap: float = 0.0
    v_quant_type: str = "NONE"

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        self._check(b)
        query, key, value = self._heads(b)
        rows = b.size(query, 1)
        lengths = b.op("Add", b.of_rank(5, 1), b.number(1, dtypes.int32))
        used = b.op("Max", b.op("Sub", b.cast(lengths, dtypes.int64), rows), b.ints(0))
        if self.do_rotary:
            positions = b.optional(9) or positions_from(b, used, rows)
            query, key = (
                rotate(b, x, positions, b.of_rank(7, 2), b.of_rank(8, 2), interleaved=bool(self.rotary_interleaved))
                for x in (query, key)
            )
        query, key, value = (b.transpose(x, 0, 2, 1, 3) for x in (query, key, value))
        total = b.reshape(b.cast(b.input(6), dtypes.int64), 1)
        if b.optional(3) is not None:
            key, value = (
                b.op("WriteCache", b.of_rank(index, 4), new, used, b.input(6), domain="sardonyx")
                for index, new in ((3, key), (4, value))
            )
        return self._attend(b, query, key, value, lengths, total), key, value

    def _check(self, b: Builder) -> None:
        check_heads(b, self.num_heads)
        check_heads(b, self.kv_num_heads, "kv_num_heads")
        if self.num_heads % self.kv_num_heads:
            b.fail(f"{self.num_heads} heads of queries cannot share {self.kv_num_heads} heads of keys")
        quantised = self.kv_cache_bit_width or {self.k_quant_type, self.v_quant_type} != {"NONE"}
        scaled = b.optional(12) is not None or b.optional(13) is not None
        if quantised or scaled or self.sliding_window_cache or b.optional(16) is not None or b.wants(3):
            b.unsupported("quantised and window-sized caches, query_seqlens and the output of scores")
        if (b.optional(3) is None) != (b.optional(4) is None):
            b.fail("past keys and past values must be given together")

    def _heads(self, b: Builder) -> Sequence[ir.Value]:
        """Queries, keys and values as (batch, rows, heads, elements), normalised where weights are given."""
        counts = (self.num_heads, self.kv_num_heads, self.kv_num_heads)
        parts = [b.of_rank(0, 3)]
        if b.optional(1) is None:
            columns = b.known(b.shape(parts[0])[2], "the hidden size")
            if columns % sum(counts):
                b.fail(f"{columns} elements cannot be split into {sum(counts)} heads")
            parts = list(b.split(parts[0], 2, *(count * (columns // sum(counts)) for count in counts)))
        else:
            parts += [b.of_rank(1, 3), b.of_rank(2, 3)]
        heads: list[ir.Value] = []
        for part, count in zip(parts, counts, strict=True):
            hidden = b.known(b.shape(part)[2], "the hidden size")
            if hidden % count:
                b.fail(f"{hidden} elements cannot be split into {count} heads")
            heads.append(b.reshape(part, 0, 0, count, hidden // count))
        for place, epsilon in ((0, self.q_norm_epsilon), (1, self.k_norm_epsilon)):
            if b.optional(14 + place) is not None:
                given = self.qk_norm_epsilon if epsilon is None else epsilon
                heads[place] = b.op("RMSNormalization", heads[place], b.of_rank(14 + place, 1), axis=-1, epsilon=given)
        return heads

    def _attend(
        self, b: Builder, query: ir.Value, key: ir.Value, value: ir.Value, lengths: ir.Value, total: ir.Value
    ) -> ir.Value:
        bias, sink = b.optional(10), b.optional(11)
        if bias is not None:  # it has no columns for rows of the cache that are not in use
            key, value = b.slice(key, 2, 0, total), b.slice(value, 2, 0, total)
        if sink is None and self.smooth_softmax:
            sink = b.constant(np.zeros(self.num_heads, b.dtype(query).numpy))
        return attend(
            b, query, key, value, bias, lengths, sink,
            scale=default_scale(b, query, self.scale),
            causal=self.causal,
            cached=1,
            softcap=self.softcap,
            window=max(self.local_window_size, 0),
            zero_masked=1,
        )  # fmt: skip
