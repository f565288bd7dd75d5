"""AxesApart: what the reductions over computed axes look through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import chosen_axes, sum_of, unknown
from sardonyx.ops.base import InferContext, View
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["AxesApart"]


@op("AxesApart", "sardonyx")
class AxesApart(View):
    """A tensor of rank r as one of rank 2 r: every dimension once among the first r, where it has its size unless it is
    one of the axes of input 1, and once among the last r, where it has its size if it is; otherwise the size is 1."""

    sized_by = (1,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        shape = self._shape(ctx)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        return (unknown(ctx, x, 2 * len(x.shape)) if shape is None else TensorInfo(x.dtype, shape),)

    @staticmethod
    def _shape(ctx: InferContext) -> tuple[Dim, ...] | None:
        sizes = ctx.input(0).shape
        axes = None if sizes is None else chosen_axes(ctx, 1, len(sizes))
        if sizes is None or axes is None:
            return None
        chosen = [sum_of(choice[place] for choice in axes) for place in range(len(sizes))]
        kept = [ctx.define("kept", size - here * (size - 1)) for size, here in zip(sizes, chosen, strict=True)]
        reduced = [ctx.define("reduced", here * (size - 1) + 1) for size, here in zip(sizes, chosen, strict=True)]
        return (*kept, *reduced)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand]:
        shape = outputs[0].shape
        if shape is None:
            raise AssertionError("axes of which nothing is known were lowered")
        return (replace(source, shape=shape, strides=(*source.strides, *source.strides)),)
