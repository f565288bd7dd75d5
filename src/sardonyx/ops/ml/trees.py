"""Tree ensembles of ai.onnx.ml: TreeEnsemble and, of older versions, TreeEnsembleClassifier, TreeEnsembleRegressor.

What the standard leaves open (two classes with one column of scores, sizes of base_values) follows ONNX Runtime.
Numbers are float64 where X or a table is, else float32, and trees are added up in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.class_scores import ClassScores
from sardonyx.kernels.pair_scores import PairScores
from sardonyx.kernels.spec import Operand
from sardonyx.kernels.trees import GROUP, PackRows, TreeWalk
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.ml.scores import check_transform
from sardonyx.ops.ml.tree_layout import Layout, lay_out
from sardonyx.ops.ml.tree_tables import Forest, by_ids, by_positions, numbers
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, ceildiv, minimum, product

__all__ = ["TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"]

AGGREGATES = {"SUM": "add", "AVERAGE": "add", "MIN": "minimum", "MAX": "maximum"}


def _rows(ctx: InferContext) -> Dim | None:
    """The number of rows of X; a vector is one row."""
    data = ctx.input(0)
    if data.dtype is not None and not computable(data.dtype, "fi"):
        ctx.fail(f"X must hold numbers, got {data.dtype}")
    if data.shape is None:
        return None
    if len(data.shape) not in (1, 2):
        ctx.fail(f"X must have shape (n, c) or (c), got {list(data.shape)}")
    return data.shape[0] if len(data.shape) == 2 else 1


def _table(ctx: LowerContext, read: Callable[[], Any]) -> Any:
    """What ``read`` makes of the attributes; its ValueErrors as the model's."""
    try:
        return read()
    except (ValueError, TypeError, OverflowError) as error:
        ctx.infer.fail(str(error))


class _Raw:
    """The raw scores of an ensemble: emits the walk, and holds what the last step needs to know."""

    def __init__(self, ctx: LowerContext, forest: Forest, wide: bool, aggregate: str) -> None:
        data = ctx.contiguous(0)
        self.rows: Dim = data.shape[0] if len(data.shape) == 2 else 1
        double = data.dtype is dtypes.float64
        self.dtype = dtypes.float64 if double else dtypes.float32
        self.sums = dtypes.float64 if double or wide else dtypes.float32
        self.columns = forest.columns
        layout: Layout = _table(ctx, lambda: lay_out(forest, self.dtype.numpy, self.sums.numpy))
        self.layout = layout
        self.count = product((self.rows, self.columns))
        self.scores = ctx.scratch(self.sums, self.count)
        self.present = ctx.scratch(dtypes.uint8, self.count) if layout.present else None
        packed, width = self._pack(ctx, data, forest.last_feature)
        tables = [ctx.constant(layout.nodes), ctx.constant(layout.roots)]
        operands = [packed, *tables, self.scores, ctx.constant(layout.weights)]
        if layout.form == "sparse":
            operands += [ctx.constant(layout.first), ctx.constant(layout.targets)]
        if self.present is not None:
            operands.append(self.present)
        kernel = TreeWalk(self.dtype, self.sums, self.columns, layout.form, aggregate, layout.present, flat=layout.flat)
        work = self.rows * max(1, int(layout.trees * (3 * layout.depth + 4)))
        ctx.call(kernel, operands, [self.rows, width, layout.trees], TreeWalk.tasks(self.rows), work)

    def _pack(self, ctx: LowerContext, data: Operand, last: int) -> tuple[Operand, Dim]:
        columns = data.shape[-1]
        message = f"the trees read column {last} of X, but X has {columns} columns"
        if isinstance(columns, int):
            if columns <= last:
                ctx.infer.fail(message)
        else:
            ctx.infer.require_equal(minimum(columns, last + 1), last + 1, message)
        width = columns * (2 if self.layout.signed else 1)
        packed = ctx.scratch(self.dtype, ceildiv(self.rows, GROUP) * GROUP * width)
        kernel = PackRows(data.dtype, self.dtype, self.layout.signed)
        ctx.call(kernel, [data, packed], [self.rows, columns], PackRows.tasks(self.rows), self.rows * columns * 2)
        return packed, width

    def finish(
        self, ctx: LowerContext, output: Operand, transform: str, base: npt.NDArray[Any], divisor: float
    ) -> None:
        """Scores of a regressor."""
        operands = [self.scores, output]
        if len(base):
            operands.append(ctx.constant(base.astype(self.sums.numpy)))
        if self.present is not None:
            operands.append(self.present)
        kernel = ClassScores(
            self.sums,
            transform,
            single=self.columns == 1,
            divisor=divisor,
            base=bool(len(base)),
            present=self.present is not None,
            result=output.dtype,
        )
        ctx.call(kernel, operands, [self.rows, self.columns], ClassScores.tasks(self.rows), self.count * 20)


def _is_double(*tables: object) -> bool:
    return any(isinstance(table, np.ndarray) and table.dtype == np.float64 for table in tables)


@op("TreeEnsemble", "ai.onnx.ml")
class TreeEnsemble(Anchor):
    """The sums (or minima, maxima, means) of what the leaves of trees weigh for each target (version 5)."""

    tree_roots: tuple[int, ...]
    nodes_modes: object
    nodes_splits: object
    nodes_featureids: tuple[int, ...]
    nodes_truenodeids: tuple[int, ...]
    nodes_trueleafs: tuple[int, ...]
    nodes_falsenodeids: tuple[int, ...]
    nodes_falseleafs: tuple[int, ...]
    leaf_targetids: tuple[int, ...]
    leaf_weights: object
    nodes_missing_value_tracks_true: tuple[int, ...] | None = None
    nodes_hitrates: object = None
    membership_values: object = None
    n_targets: int | None = None
    aggregate_function: int = 1
    post_transform: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        rows = _rows(ctx)
        if not 0 <= self.aggregate_function < 4 or not 0 <= self.post_transform < 5:
            ctx.fail(
                f"aggregate_function {self.aggregate_function} or post_transform {self.post_transform} is undefined"
            )
        return (TensorInfo(ctx.input(0).dtype, None if rows is None else (rows, self.n_targets or 1)),)

    def lower(self, ctx: LowerContext) -> None:
        forest: Forest = _table(ctx, lambda: by_positions(vars(self)))
        aggregate = ("AVERAGE", "SUM", "MIN", "MAX")[self.aggregate_function]
        wide = _is_double(self.nodes_splits, self.leaf_weights)
        raw = _Raw(ctx, forest, wide, AGGREGATES[aggregate])
        transform = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")[self.post_transform]
        divisor = float(max(1, raw.layout.trees)) if aggregate == "AVERAGE" else 1.0
        raw.finish(ctx, ctx.output(), transform, np.zeros(0), divisor)


@op("TreeEnsembleRegressor", "ai.onnx.ml")
class TreeEnsembleRegressor(Anchor):
    """The sums (or minima, maxima, means) of what the leaves of trees weigh for each target (version 3)."""

    nodes_treeids: tuple[int, ...] = ()
    nodes_nodeids: tuple[int, ...] = ()
    nodes_featureids: tuple[int, ...] = ()
    nodes_values: tuple[float, ...] = ()
    nodes_values_as_tensor: object = None
    nodes_hitrates: tuple[float, ...] = ()
    nodes_hitrates_as_tensor: object = None
    nodes_modes: tuple[str, ...] = ()
    nodes_truenodeids: tuple[int, ...] = ()
    nodes_falsenodeids: tuple[int, ...] = ()
    nodes_missing_value_tracks_true: tuple[int, ...] = ()
    target_treeids: tuple[int, ...] = ()
    target_nodeids: tuple[int, ...] = ()
    target_ids: tuple[int, ...] = ()
    target_weights: tuple[float, ...] = ()
    target_weights_as_tensor: object = None
    n_targets: int | None = None
    base_values: tuple[float, ...] = ()
    base_values_as_tensor: object = None
    aggregate_function: str = "SUM"
    post_transform: str = "NONE"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        rows = _rows(ctx)
        check_transform(ctx, self.post_transform)
        if self.aggregate_function not in AGGREGATES:
            ctx.fail(f"aggregate_function is {self.aggregate_function!r}; expected one of {', '.join(AGGREGATES)}")
        return (TensorInfo(dtypes.float32, None if rows is None else (rows, self._targets())),)

    def _targets(self) -> int:
        return 1 if self.n_targets is None else self.n_targets

    def lower(self, ctx: LowerContext) -> None:
        targets = self._targets()
        forest: Forest = _table(ctx, lambda: by_ids(vars(self), "target", targets))
        base = _base(ctx, vars(self), (0, targets))
        wide = _is_double(*vars(self).values())
        raw = _Raw(ctx, forest, wide, AGGREGATES[self.aggregate_function])
        divisor = float(max(1, raw.layout.trees)) if self.aggregate_function == "AVERAGE" else 1.0
        raw.finish(ctx, ctx.output(), self.post_transform, base, divisor)


def _base(ctx: LowerContext, attributes: dict[str, Any], sizes: Sequence[int]) -> npt.NDArray[Any]:
    base: npt.NDArray[Any] = _table(ctx, lambda: numbers(attributes, "base_values"))
    if len(base) not in sizes:
        ctx.infer.fail(f"base_values has {len(base)} numbers; expected {' or '.join(map(str, sizes))}")
    return base


@op("TreeEnsembleClassifier", "ai.onnx.ml")
class TreeEnsembleClassifier(Anchor):
    """The label of the largest sum of what the leaves of trees weigh, and the scores (version 3)."""

    nodes_treeids: tuple[int, ...] = ()
    nodes_nodeids: tuple[int, ...] = ()
    nodes_featureids: tuple[int, ...] = ()
    nodes_values: tuple[float, ...] = ()
    nodes_values_as_tensor: object = None
    nodes_hitrates: tuple[float, ...] = ()
    nodes_hitrates_as_tensor: object = None
    nodes_modes: tuple[str, ...] = ()
    nodes_truenodeids: tuple[int, ...] = ()
    nodes_falsenodeids: tuple[int, ...] = ()
    nodes_missing_value_tracks_true: tuple[int, ...] = ()
    class_treeids: tuple[int, ...] = ()
    class_nodeids: tuple[int, ...] = ()
    class_ids: tuple[int, ...] = ()
    class_weights: tuple[float, ...] = ()
    class_weights_as_tensor: object = None
    classlabels_strings: tuple[str, ...] = ()
    classlabels_int64s: tuple[int, ...] = ()
    base_values: tuple[float, ...] = ()
    base_values_as_tensor: object = None
    post_transform: str = "NONE"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        rows = _rows(ctx)
        check_transform(ctx, self.post_transform)
        classes = len(self.classlabels_int64s)
        if not classes:
            ctx.fail("it has no class labels")
        if rows is None:
            return TensorInfo(dtypes.int64), TensorInfo(dtypes.float32)
        return TensorInfo(dtypes.int64, (rows,)), TensorInfo(dtypes.float32, (rows, classes))

    def lower(self, ctx: LowerContext) -> None:
        attributes, classes = vars(self), len(self.classlabels_int64s)
        forest: Forest = _table(ctx, lambda: by_ids(attributes, "class", classes))
        base = _base(ctx, attributes, (0, classes, 1) if classes == 2 else (0, classes))
        alone = classes == 2 and not any(self.class_ids) and len(base) < 2
        if alone:  # only the first class has weights
            forest.columns = 1
        raw = _Raw(ctx, forest, _is_double(*attributes.values()), "add")
        table = np.array(self.classlabels_int64s, np.int64)
        operands = [raw.scores, ctx.output(1)]
        if classes == 2 and not alone:
            self._finish_pair(ctx, raw, base, operands, table)
            return
        present = raw.present if not len(base) else None
        labels = table if classes > 1 else np.arange(2)  # of one class ONNX Runtime says 0 or 1
        operands += [ctx.constant(labels), ctx.output(0)]
        if len(base):
            operands.append(ctx.constant(base.astype(raw.sums.numpy)))
        if present is not None:
            operands.append(present)
        positive = alone and self._is_positive()
        kernel = ClassScores(
            raw.sums,
            self.post_transform,
            single=raw.columns == 1,
            labels=True,
            opposite="complement" if positive else "negative" if alone else "",
            limit=0.5 if positive else 0.0,
            base=bool(len(base)),
            present=present is not None,
        )
        ctx.call(kernel, operands, [raw.rows, raw.columns], ClassScores.tasks(raw.rows), raw.count * 20)

    def _is_positive(self) -> bool:
        return bool((numbers(vars(self), "class_weights") >= 0).all())

    def _finish_pair(
        self, ctx: LowerContext, raw: _Raw, base: npt.NDArray[Any], operands: list[Operand], table: npt.NDArray[Any]
    ) -> None:
        single = len(set(self.class_ids)) == 1
        positive = single and self._is_positive()
        opposite = "complement" if positive else "negative" if single or not len(base) else ""
        operands += [ctx.constant(table if single else np.arange(2)), ctx.output(0)]
        if len(base):
            operands.append(ctx.constant(base.astype(raw.sums.numpy)))
        if raw.present is not None:
            operands.append(raw.present)
        limit = 0.5 if positive else 0.0
        kernel = PairScores(raw.sums, self.post_transform, opposite, limit, len(base), raw.present is not None)
        ctx.call(kernel, operands, [raw.rows], PairScores.tasks(raw.rows), raw.count * 30)
