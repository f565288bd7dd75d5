"""Views that reorder or repeat dimensions: Transpose and Expand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import unknown
from sardonyx.ops.base import InferContext, View, broadcast_shapes
from sardonyx.ops.registry import op
from sardonyx.ops.values import carried, sizes_input
from sardonyx.symbols import Dim, known_equal, minimum

__all__ = ["Expand", "Transpose"]


@op("Transpose")
class Transpose(View):
    """Dimension i of the output is dimension ``perm[i]`` of the input; all reversed without ``perm``."""

    perm: tuple[int, ...] | None = None

    def order(self, rank: int) -> tuple[int, ...]:
        """The input dimension of each output dimension."""
        return tuple(reversed(range(rank))) if self.perm is None else self.perm

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is None:
            return (unknown(ctx, data, None if self.perm is None else len(self.perm)),)
        order = self.order(len(data.shape))
        if sorted(order) != list(range(len(data.shape))):
            ctx.fail(f"perm {list(order)} is no order of the {len(data.shape)} dimensions of the input")
        return (carried(data.dtype, [data.shape[axis] for axis in order], data.values),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        order = self.order(source.rank)
        shape = tuple(source.shape[axis] for axis in order)
        return (replace(source, shape=shape, strides=tuple(source.strides[axis] for axis in order)),)


@op("Expand")
class Expand(View):
    """The input broadcast with the shape of input 1."""

    sized_by = (1,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, target = ctx.input(0), ctx.input(1)
        sizes = sizes_input(ctx, 1, "shape")
        if sizes is None or data.shape is None:
            count = target.shape[0] if target.shape else None
            known = isinstance(count, int) and data.shape is not None
            rank = max(count, len(data.shape)) if isinstance(count, int) and known and data.shape is not None else None
            return (unknown(ctx, data, rank),)
        shape = broadcast_shapes(ctx, [data.shape, tuple(sizes)])
        repeated = None
        if data.values is not None and shape is not None and len(shape) == 1 and isinstance(shape[0], int):
            repeated = data.values * shape[0] if len(data.values) == 1 else data.values
        return (carried(data.dtype, shape, repeated),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        shape = outputs[0].shape
        if shape is None:
            return None
        first = len(shape) - source.rank
        strides: list[Dim] = [0] * first
        for size, have, stride in zip(shape[first:], source.shape, source.strides, strict=True):
            strides.append(_broadcast_stride(have, size, stride))
        return (replace(source, shape=shape, strides=tuple(strides)),)


def _broadcast_stride(have: Dim, size: Dim, stride: Dim) -> Dim:
    """The stride over a dimension of ``have`` elements seen as one of ``size``: 0 where one element is repeated."""
    if known_equal(have, size):
        return stride
    return 0 if have == 1 else stride * minimum(have - 1, 1)
