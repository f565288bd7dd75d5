"""Dropout as inference sees it: the input itself."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import IndexContext, Indexed, InferContext, Read
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["Dropout"]


@op("Dropout")
class Dropout(Indexed):
    """The input; training (input 2 true) and the mask (output 1) are left to the reference."""

    seed: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        return (TensorInfo(data.dtype, data.shape), TensorInfo(dtypes.bool_, data.shape))[: ctx.outputs]

    def lowers(self, ctx: InferContext) -> bool:
        training = ctx.const(2)
        off = ctx.optional(2) is None or (training is not None and not training.any())
        return off and ctx.outputs == 1

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        return Read(0, position)
