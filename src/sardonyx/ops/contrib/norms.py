"""Normalisations with what stands in front of them: SkipLayerNormalization, EmbedLayerNormalization, GroupNorm ..."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT, silu
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("SimplifiedLayerNormalization")
class SimplifiedLayerNormalization(Composite):
    """RMSNormalization, which ONNX Runtime keeps under this name in the standard domain; output 1 is the inverse root
    of the mean of squares, in float32 (float64 for float64)."""

    inputs = (2, 2)
    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        x = b.input(0)
        result = b.op("RMSNormalization", x, b.input(1), axis=self.axis, epsilon=self.epsilon)
        return result, _inverse_root(b, x, self.axis, self.epsilon) if b.wants(1) else None


def _inverse_root(b: Builder, x: ir.Value, axis: int, epsilon: float) -> ir.Value:
    """1 / sqrt(mean(x * x) + epsilon) over the dimensions from ``axis`` on."""
    rank = b.rank(x)
    if not -rank <= axis < rank:
        b.fail(f"axis {axis} is outside [{-rank}, {rank}) of a tensor of rank {rank}")
    wide = b.cast(x, dtypes.float64 if b.dtype(x) == dtypes.float64 else dtypes.float32)
    squares = b.op("ReduceMean", b.op("Mul", wide, wide), b.ints(*range(axis % rank, rank)))
    return b.op("Reciprocal", b.op("Sqrt", b.op("Add", squares, b.number(epsilon, wide))))


def _sum(b: Builder, bias: ir.Value | None) -> ir.Value:
    """Inputs 0 and 1 and a bias added up; the second may lack the batch."""
    total = b.op("Add", b.of_rank(0, 2, 3), b.of_rank(1, 2, 3))
    return total if bias is None else b.op("Add", total, bias)


@op("SkipLayerNormalization", MICROSOFT)
class SkipLayerNormalization(Composite):
    """LayerNormalization of input + skip (+ bias); output 3 is that sum."""

    inputs = (3, 5)
    epsilon: float = 1e-12

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        total = _sum(b, b.optional(4))
        outputs = 3 if b.wants(1) or b.wants(2) else 1
        given = [total, b.of_rank(2, 1), b.optional(3)]
        attributes = {"axis": -1, "epsilon": self.epsilon}
        made = b.ops("LayerNormalization", given, outputs, attributes=attributes)
        statistics = (made[1], made[2]) if outputs == 3 else (None, None)
        return made[0], *statistics, total


@op("SkipSimplifiedLayerNormalization", MICROSOFT)
class SkipSimplifiedLayerNormalization(Composite):
    """RMSNormalization of input + skip (+ bias); output 3 is that sum."""

    inputs = (3, 4)
    epsilon: float = 1e-12

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        total = _sum(b, b.optional(3))
        result = b.op("RMSNormalization", total, b.of_rank(2, 1), axis=-1, epsilon=self.epsilon)
        return result, None, _inverse_root(b, total, -1, self.epsilon) if b.wants(2) else None, total


@op("EmbedLayerNormalization", MICROSOFT)
class EmbedLayerNormalization(Composite):
    """LayerNormalization of the sum of word, position and segment embeddings.

    Output 1 is the number of ones in each row of the mask (0 without one), output 2 the sum of the embeddings.
    """

    inputs = (1, 9)
    epsilon: float = 1e-12
    mask_index_type: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        ids, positions = b.of_rank(0, 2), b.optional(8)
        total = b.op("Gather", b.of_rank(2, 2), ids)
        table = b.of_rank(3, 2)
        if positions is not None:
            embedded = b.op("Gather", table, positions)
        else:
            embedded = b.slice(table, 0, 0, b.size(ids, 1))
        total = b.op("Add", total, embedded)
        if b.optional(1) is not None:
            total = b.op("Add", total, b.op("Gather", b.of_rank(4, 2), b.input(1)))
        result = b.op("LayerNormalization", total, b.of_rank(5, 1), b.of_rank(6, 1), axis=-1, epsilon=self.epsilon)
        return result, self._mask_index(b, ids) if b.wants(1) else None, total

    @staticmethod
    def _mask_index(b: Builder, ids: ir.Value) -> ir.Value:
        mask = b.optional(7)
        if mask is None:
            return b.op("ReduceSum", b.op("Sub", ids, ids), b.ints(1), keepdims=0)
        return b.op("ReduceSum", mask, b.ints(1), keepdims=0)


class _GroupNorm(Composite):
    """Normalisation of groups of channels, in float32, and SiLU where ``activation`` is 1."""

    def normalise(self, b: Builder, x: ir.Value, groups: int, epsilon: float, last: int, activation: int) -> ir.Value:
        if activation not in (0, 1):
            b.unsupported(f"activation {activation}; there are 0 (none) and 1 (SiLU)")
        rank = b.rank(x)
        first = b.transpose(x, 0, rank - 1, *range(1, rank - 1)) if last else x
        scale, bias = (b.cast(b.of_rank(index, 1), b.dtype(x)) for index in (1, 2))
        result = b.op("GroupNormalization", first, scale, bias, num_groups=groups, epsilon=epsilon)
        result = silu(b, result) if activation else result
        return b.transpose(result, 0, *range(2, rank), 1) if last else result


@op("GroupNorm", MICROSOFT)
class GroupNorm(_GroupNorm):
    """GroupNormalization of channels that are the last dimension (or dimension 1), and an optional SiLU."""

    inputs = (3, 3)
    activation: int
    groups: int
    channels_last: int = 1
    epsilon: float = 1e-5

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x = b.of_rank(0, 4)
        return (self.normalise(b, x, self.groups, self.epsilon, self.channels_last, self.activation),)


@op("SkipGroupNorm", MICROSOFT)
class SkipGroupNorm(_GroupNorm):
    """GroupNorm of x + skip (+ bias); output 1 is that sum."""

    inputs = (4, 5)
    activation: int
    groups: int
    channels_last: int = 1
    epsilon: float = 1e-5

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, skip, bias = b.of_rank(0, 4), b.of_rank(3, 2, 4), b.optional(4)
        if b.rank(skip) == 2:
            skip = b.unsqueeze(skip, *((1, 2) if self.channels_last else (2, 3)))
        total = b.op("Add", x, skip)
        if bias is not None:
            total = b.op("Add", total, bias if self.channels_last else b.unsqueeze(bias, 1, 2))
        return self.normalise(b, total, self.groups, self.epsilon, self.channels_last, self.activation), total


@op("BiasSoftmax", MICROSOFT)
class BiasSoftmax(Composite):
    """Softmax of data + bias over the dimensions from ``axis`` on, as one.

    The bias lacks (or has 1 for) some dimensions of the data before ``axis``: those in front of it, or the last ones of
    them with ``is_inner_broadcast``.
    """

    inputs = (2, 2)
    is_inner_broadcast: int
    axis: int = 1

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, bias = b.input(0), b.input(1)
        rank, own = b.rank(x), b.rank(bias)
        if not -rank <= self.axis < rank:
            b.fail(f"axis {self.axis} is outside [{-rank}, {rank}) of a tensor of rank {rank}")
        axis = self.axis % rank
        if self.is_inner_broadcast and own < rank:
            b.unsupported("a bias of lower rank with is_inner_broadcast")
        total = b.op("Add", x, bias)
        if axis == rank - 1:
            return (b.op("Softmax", total, axis=-1),)
        flat = b.op("Flatten", total, axis=axis)
        return (b.op("Reshape", b.op("Softmax", flat, axis=-1), b.op("Shape", x)),)


@op("GatedRMSNorm", MICROSOFT)
class GatedRMSNorm(Composite):
    """RMSNormalization of groups of adjacent elements, as many as the scale has, times an activation of the gate."""

    inputs = (3, 3)
    activation: str = "silu"
    epsilon: float = 1e-5

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, scale, gate = b.input(0), b.of_rank(1, 1), b.input(2)
        if self.activation not in ("silu", "swish", "sigmoid"):
            b.fail(f"attribute 'activation' must be silu, swish or sigmoid, got {self.activation!r}")
        width = b.known(b.shape(scale)[0], "the size of the scale")
        hidden = b.known(b.shape(x)[-1], "the hidden size")
        if width < 1 or hidden % width:
            b.fail(f"{hidden} elements are not whole groups of {width}")
        groups = b.reshape(x, *[0] * (b.rank(x) - 1), hidden // width, width)
        result = b.reshape(
            b.op("RMSNormalization", groups, scale, axis=-1, epsilon=self.epsilon), *[0] * (b.rank(x) - 1), hidden
        )
        factor = b.op("Sigmoid", gate) if self.activation == "sigmoid" else silu(b, gate)
        return (b.op("Mul", result, factor),)
