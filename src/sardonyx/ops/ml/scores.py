"""The ends of linear and support vector models: labels and post transforms (operators of our own)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.class_scores import TRANSFORMS, ClassScores
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, product

__all__ = ["Classify", "PostTransform", "check_transform"]


def check_transform(ctx: InferContext, transform: str) -> None:
    """Fails for a post transform that ai.onnx.ml does not define."""
    if transform not in TRANSFORMS:
        ctx.fail(f"post_transform is {transform!r}; expected one of {', '.join(TRANSFORMS)}")


def _matrix(ctx: InferContext) -> tuple[Dim, Dim] | None:
    shape = ctx.input(0).shape
    if shape is None:
        return None
    if len(shape) != 2:
        ctx.fail(f"the scores must have rank 2, got shape {list(shape)}")
    return shape[0], shape[1]


@op("PostTransform", "sardonyx")
class PostTransform(Anchor):
    """A post transform of ai.onnx.ml on scores (n, k); as in ONNX Runtime, of one column only PROBIT changes."""

    post_transform: str

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        check_transform(ctx, self.post_transform)
        return (TensorInfo(dtypes.float32, _matrix(ctx)),)

    def lower(self, ctx: LowerContext) -> None:
        scores = ctx.contiguous(0)
        kernel = ClassScores(scores.dtype, self.post_transform, single=scores.shape[1] == 1)
        operands = [scores, ctx.output()]
        ctx.call(kernel, operands, list(scores.shape), ClassScores.tasks(scores.shape[0]), 20 * product(scores.shape))


@op("Classify", "sardonyx")
class Classify(Anchor):
    """Labels (n) and scores from raw scores (n, k): the label of the largest.

    A single column with two ``labels`` is the second one's score, chosen above 0; there are two columns then, the first
    with the ``opposite`` ("complement" or "negative").
    """

    labels: tuple[int, ...]
    post_transform: str = "NONE"
    opposite: str = "complement"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        check_transform(ctx, self.post_transform)
        shape = _matrix(ctx)
        if shape is None:
            return TensorInfo(dtypes.int64), TensorInfo(dtypes.float32)
        columns = shape[1]
        expected = 2 if columns == 1 else columns
        if len(self.labels) != expected and not (columns == 1 and len(self.labels) == 1):
            ctx.require_equal(columns, len(self.labels), f"{len(self.labels)} labels for {columns} scores")
        return TensorInfo(dtypes.int64, (shape[0],)), TensorInfo(dtypes.float32, (shape[0], len(self.labels)))

    def lower(self, ctx: LowerContext) -> None:
        scores = ctx.contiguous(0)
        single = scores.shape[1] == 1
        table = self.labels if len(self.labels) > 1 else (0, *self.labels)
        opposite = self.opposite if single and len(self.labels) > 1 else ""
        kernel = ClassScores(scores.dtype, self.post_transform, single, labels=True, opposite=opposite)
        operands = [scores, ctx.output(1), ctx.constant(np.array(table, np.int64)), ctx.output(0)]
        ctx.call(kernel, operands, list(scores.shape), ClassScores.tasks(scores.shape[0]), 20 * product(scores.shape))
