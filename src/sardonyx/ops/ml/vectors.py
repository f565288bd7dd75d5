"""Support vector machines (operators of our own that SVMClassifier and SVMRegressor become)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.class_scores import ClassScores
from sardonyx.kernels.vectors import GaussianKernel, PairwiseVotes
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.ml.scores import check_transform
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__ = ["RbfKernel", "VoteClasses"]


@op("RbfKernel", "sardonyx")
class RbfKernel(Anchor):
    """exp(-gamma |x - v|^2) of each row x of input 0 (n, f) and each column v of input 1 (f, s)."""

    gamma: float

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, vectors = ctx.input(0).shape, ctx.input(1).shape
        if x is None or vectors is None:
            return (TensorInfo(dtypes.float32),)
        if len(x) != 2 or len(vectors) != 2:
            ctx.fail(f"X must have rank 2, got shape {list(x)}")
        ctx.require_equal(x[1], vectors[0], f"X has {x[1]} columns, its support vectors have {vectors[0]} elements")
        return (TensorInfo(dtypes.float32, (x[0], vectors[1])),)

    def lower(self, ctx: LowerContext) -> None:
        x, vectors, target = ctx.contiguous(0), ctx.contiguous(1), ctx.output()
        sizes = [*x.shape, vectors.shape[1]]
        operands = [x, vectors, target]
        ctx.call(GaussianKernel(self.gamma), operands, sizes, GaussianKernel.tasks(x.shape[0]), 3 * product(sizes))


@op("VoteClasses", "sardonyx")
class VoteClasses(Anchor):
    """Labels (n) by the votes of one-against-one decisions (n, pairs of classes), and scores: the decisions or, with
    ``prob_a`` and ``prob_b``, the classes' probabilities."""

    labels: tuple[int, ...]
    prob_a: tuple[float, ...] = ()
    prob_b: tuple[float, ...] = ()
    post_transform: str = "NONE"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        check_transform(ctx, self.post_transform)
        shape = ctx.input(0).shape
        if shape is None:
            return TensorInfo(dtypes.int64), TensorInfo(dtypes.float32)
        columns = len(self.labels) if self.prob_a else shape[1]
        return TensorInfo(dtypes.int64, (shape[0],)), TensorInfo(dtypes.float32, (shape[0], columns))

    def lower(self, ctx: LowerContext) -> None:
        decisions, scores = ctx.contiguous(0), ctx.output(1)
        rows, classes = decisions.shape[0], len(self.labels)
        tasks = PairwiseVotes.tasks(rows)
        raw = decisions
        operands = [decisions, ctx.constant(np.array(self.labels, np.int64)), ctx.output(0)]
        operands.append(ctx.scratch(dtypes.float32, tasks * PairwiseVotes.room(classes)))
        if self.prob_a:
            raw = ctx.scratch(dtypes.float32, rows * classes)
            operands += [ctx.constant(np.array(numbers, np.float32)) for numbers in (self.prob_a, self.prob_b)]
            operands.append(raw)
        work = rows * classes * classes * (50 * classes if self.prob_a else 4)
        ctx.call(PairwiseVotes(bool(self.prob_a)), operands, [rows, classes], tasks, work)
        kernel = ClassScores(dtypes.float32, self.post_transform, single=False)
        count = product(scores.shape)
        ctx.call(kernel, [raw, scores], list(scores.shape), ClassScores.tasks(rows), 20 * count)
