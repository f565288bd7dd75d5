"""Operators that ONNX defines by others, but not for all of their types; for the rest they are turned into themselves
in another type: CenterCropPad, SoftmaxCrossEntropyLoss.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("CenterCropPad")
class CenterCropPad(Reducible):
    """The middle of the input, cropped or padded with zeros along ``axes`` (all of them without) to the sizes of
    input 1; int32 sizes become int64."""

    axes: tuple[int, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo] | None:
        return None

    def expands(self, ctx: InferContext) -> bool:
        return ctx.input(1).dtype is dtypes.int32

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        sizes = b.op("Cast", b.input(1), to=dtypes.int64.onnx)
        attributes = {} if self.axes is None else {"axes": self.axes}
        return b.ops("CenterCropPad", [b.input(0), sizes], attributes=attributes)


@op("SoftmaxCrossEntropyLoss")
class SoftmaxCrossEntropyLoss(Reducible):
    """The negative logarithm of the softmax of scores (input 0) at the labels (input 1), weighted by class (input 2),
    then the logarithms of all; bfloat16 is computed as float32."""

    ignore_index: int | None = None
    reduction: str = "mean"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        scores, labels = ctx.input(0), ctx.input(1)
        loss = labels.shape if self.reduction == "none" else ()
        return (TensorInfo(scores.dtype, loss), TensorInfo(scores.dtype, scores.shape))[: ctx.outputs]

    def expands(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype is dtypes.bfloat16

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        weights = b.optional(2)
        scores, *rest = (
            None if value is None else b.op("Cast", value, to=dtypes.float32.onnx) for value in (b.input(0), weights)
        )
        attributes: dict[str, object] = {"reduction": self.reduction}
        if self.ignore_index is not None:
            attributes["ignore_index"] = self.ignore_index
        count = 2 if b.wants(1) else 1
        results = b.ops("SoftmaxCrossEntropyLoss", [scores, b.input(1), *rest], count, attributes=attributes)
        return [b.op("Cast", value, to=dtypes.bfloat16.onnx) for value in results]
