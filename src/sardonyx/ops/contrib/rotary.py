"""RotaryEmbedding of ONNX Runtime, and the rotation that attention operators contain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__ = ["positions_from", "rotate"]


def positions_from(b: Builder, first: ir.Value, rows: ir.Value) -> ir.Value:
    """int64 positions first, first + 1 ... of ``rows`` (of shape [1]) rows: (batch or 1, rows) for firsts of rank 1."""
    count = b.op("Squeeze", rows, b.ints(0))
    scalar = b.op("Squeeze", b.ints(0), b.ints(0))
    steps = b.op("Range", scalar, count, b.op("Squeeze", b.ints(1), b.ints(0)))
    return b.op("Add", b.unsqueeze(first, 1), steps)


def rotate(
    b: Builder, x: ir.Value, positions: ir.Value, cosines: ir.Value, sines: ir.Value, *, interleaved: bool
) -> ir.Value:
    """The first elements of each head of (batch, rows, heads, elements), turned in pairs by the angles of its position.

    ``positions`` are (batch or 1, rows), ``cosines`` and ``sines`` (positions, pairs). Pair i is of elements 2 i and
    2 i + 1 when ``interleaved``, else i and i + pairs.
    """
    pairs = b.known(b.shape(cosines)[1], "the number of columns of the cosines")
    size = b.known(b.shape(x)[3], "the size of a head")
    if not 0 < 2 * pairs <= size:
        b.fail(f"heads of {size} elements do not have {pairs} pairs to rotate")
    if interleaved:
        return _rotate_neighbours(b, x, positions, cosines, sines)
    cosine, sine = (b.unsqueeze(b.op("Gather", table, positions), 2) for table in (cosines, sines))
    parts = b.split(x, 3, 2 * pairs, size - 2 * pairs) if size > 2 * pairs else [x]
    real, imaginary = b.split(parts[0], 3, pairs, pairs)
    turned = [
        b.op("Sub", b.op("Mul", real, cosine), b.op("Mul", imaginary, sine)),
        b.op("Add", b.op("Mul", real, sine), b.op("Mul", imaginary, cosine)),
    ]
    return b.op("Concat", *turned, *parts[1:], axis=3)


def _rotate_neighbours(b: Builder, x: ir.Value, positions: ir.Value, cosines: ir.Value, sines: ir.Value) -> ir.Value:
    """``rotate`` of interleaved pairs, as x * cosine + (its neighbour) * (sine or -sine): no strided halves."""
    pairs = b.known(b.shape(cosines)[1], "the number of columns of the cosines")
    size = b.known(b.shape(x)[3], "the size of a head")
    places = np.arange(2 * pairs)
    turned = b.split(x, 3, 2 * pairs, size - 2 * pairs) if size > 2 * pairs else [x]
    twice = b.constant(places // 2)
    signs = b.constant(np.where(places % 2 == 0, -1, 1).astype(b.dtype(x).numpy))
    cosine, sine = (b.op("Gather", b.op("Gather", table, positions), twice, axis=2) for table in (cosines, sines))
    neighbours = b.op("Gather", turned[0], b.constant(places ^ 1), axis=3)
    other = b.op("Mul", neighbours, b.unsqueeze(b.op("Mul", sine, signs), 2))
    result = b.op("Add", b.op("Mul", turned[0], b.unsqueeze(cosine, 2)), other)
    return result if len(turned) == 1 else b.op("Concat", result, turned[1], axis=3)


@op("RotaryEmbedding", MICROSOFT)
class RotaryEmbedding(Composite):
    """Rotates (batch, rows, heads * elements) or (batch, heads, rows, elements), see ``rotate``.

    Inputs: x, the positions (batch, rows) or the first one (1), cosines, sines. ``scale`` is without effect, as in
    ONNX Runtime.
    """

    inputs = (4, 4)
    interleaved: int = 0
    is_packed_batching: int = 0
    num_heads: int = 0
    rotary_embedding_dim: int = 0
    scale: float = 1.0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, positions, cosines, sines = b.of_rank(0, 3, 4), b.of_rank(1, 1, 2), b.of_rank(2, 2), b.of_rank(3, 2)
        if b.rank(x) == 4:
            rows = b.transpose(x, 0, 2, 1, 3)
        else:
            hidden = b.known(b.shape(x)[2], "the hidden size")
            size = 2 * b.known(b.shape(cosines)[1], "the number of columns of the cosines")
            heads = self.num_heads if self.rotary_embedding_dim > 0 else hidden // max(size, 1)
            if heads < 1 or hidden % heads:
                b.fail(f"{hidden} elements cannot be split into {heads} heads")
            rows = b.reshape(x, 0, 0, heads, hidden // heads)
        if b.rank(positions) == 1:
            positions = positions_from(b, positions, b.size(rows, 1))
        turned = rotate(b, rows, positions, cosines, sines, interleaved=bool(self.interleaved))
        if b.rank(x) == 4:
            return (b.transpose(turned, 0, 2, 1, 3),)
        return (b.reshape(turned, 0, 0, b.known(b.shape(x)[2], "the hidden size")),)
