"""What the attention operators of ONNX Runtime have in common: heads, masks, caches and the attention itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.attention import fits_kernel
from sardonyx.ops.composite import Builder
from sardonyx.symbols import known_equal

__all__ = ["attend", "attention_mask", "check_heads", "merge_heads", "split_heads", "unstack"]


def check_heads(b: Builder, heads: int, name: str = "num_heads") -> None:
    if heads < 1:
        b.fail(f"attribute {name!r} must be at least 1, got {heads}")


def split_heads(b: Builder, x: ir.Value, heads: int) -> ir.Value:
    """(batch, rows, heads * elements) as (batch, heads, rows, elements)."""
    hidden = b.known(b.shape(x)[2], f"the last size of {x.name!r}")
    if hidden % heads:
        b.fail(f"{hidden} elements cannot be split into {heads} heads")
    return b.transpose(b.reshape(x, 0, 0, heads, hidden // heads), 0, 2, 1, 3)


def merge_heads(b: Builder, x: ir.Value) -> ir.Value:
    """(batch, heads, rows, elements) as (batch, rows, heads * elements)."""
    _, heads, _, each = b.shape(x)
    hidden = b.known(heads, "the number of heads") * b.known(each, "the size of a head")
    return b.reshape(b.transpose(x, 0, 2, 1, 3), 0, 0, hidden)


def unstack(b: Builder, x: ir.Value, axis: int, count: int) -> Sequence[ir.Value]:
    """The slices along an axis of ``count`` elements, which is dropped."""
    size = b.shape(x)[axis]
    if isinstance(size, int) and size != count:
        b.fail(f"dimension {axis} of {x.name!r} must be {count}, got {size}")
    return [b.op("Squeeze", part, b.ints(axis)) for part in b.split(x, axis, *[1] * count)]


def default_scale(b: Builder, query: ir.Value, scale: float | None) -> float:
    """1 / sqrt(elements of a head) where the file gives no scale, or 0."""
    return scale or 1 / math.sqrt(max(b.known(b.shape(query)[3], "the size of a head"), 1))


def attend(
    b: Builder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    *optional: ir.Value | None,
    **attributes: Any,
) -> ir.Value:
    """The attention of (batch, heads, rows, elements) as (batch, rows, heads * elements); see ``FusedAttention``."""
    if not fits_kernel(b.dtype(query), b.shape(value)[3]):
        b.unsupported(f"heads of {b.shape(value)[3]} elements of {b.dtype(query)}")
    inputs = [query, key, value, *optional]
    (result,) = b.ops("Attention", inputs, 1, "sardonyx", {**attributes, "transposed_output": 1})
    return merge_heads(b, result)


def attention_mask(
    b: Builder,
    mask: ir.Value | None,
    bias: ir.Value | None,
    query: ir.Value,
    key: ir.Value,
    filter_value: float,
) -> ir.Value | None:
    """What is added to the scores: a bias, and ``filter_value`` for the keys that the mask hides.

    The mask may hold: the number of keys of each element of the batch (rank 1), and behind those the first key of each;
    ones and zeros of shape (batch, keys), (batch, queries, keys) or (batch, 1, most keys, most keys).
    """
    if mask is None:
        return bias
    visible = _visible(b, mask, query, key)
    dtype = b.dtype(query)
    hidden = b.op("Where", visible, b.number(0, dtype), b.number(max(filter_value, dtypes_lowest(dtype)), dtype))
    return hidden if bias is None else b.op("Add", bias, hidden)


def dtypes_lowest(dtype: dtypes.DType) -> float:
    """The most negative number that is finite in every element type of attention."""
    return -65504.0 if dtype == dtypes.float16 else -3.0e38


def _visible(b: Builder, mask: ir.Value, query: ir.Value, key: ir.Value) -> ir.Value:
    """A mask as bools of four dimensions that broadcast to the scores."""
    rank = b.rank(mask)
    if rank == 1:
        return _in_range(b, mask, query, key)
    if rank == 4:  # the rows and columns of a square for the longest sequence
        keys, queries = b.size(key, 2), b.size(query, 2)
        rows = b.slice(mask, 2, b.op("Sub", keys, queries), keys)
        return b.op("Greater", b.slice(rows, 3, 0, keys), b.number(0, mask))
    if rank not in (2, 3):
        b.fail(f"the mask must have 1 to 4 dimensions, got shape {[*map(str, b.shape(mask))]}")
    ones = b.op("Greater", mask, b.number(0, mask))
    return b.unsqueeze(ones, 1, 2) if rank == 2 else b.unsqueeze(ones, 1)


def _in_range(b: Builder, mask: ir.Value, query: ir.Value, key: ir.Value) -> ir.Value:
    """Which keys lie before the end of their sequence, and not before its start where the mask tells that too."""
    batch, size = b.shape(query)[0], b.shape(mask)[0]
    length = b.op("Squeeze", b.size(key, 2), b.ints(0))
    dtype = b.dtype(mask)
    positions = b.op("Range", b.number(0, dtype), b.cast(length, dtype), b.number(1, dtype))

    def bounds(value: ir.Value) -> ir.Value:
        return b.unsqueeze(value, 1, 2, 3)

    if known_equal(size, batch * 3 + 2) and not known_equal(size, batch):
        b.unsupported("a mask of cumulated lengths, of shape (3 * batch + 2)")
    if known_equal(size, batch * 2) and not known_equal(size, batch):
        middle = b.size(query, 0)
        ends, starts = b.slice(mask, 0, 0, middle), b.slice(mask, 0, middle, b.size(mask, 0))
        inside = b.op("Less", positions, bounds(ends)), b.op("GreaterOrEqual", positions, bounds(starts))
        return b.op("And", *inside)
    return b.op("Less", positions, bounds(mask))
