"""TreeEnsembleClassifier and TreeEnsembleRegressor of ai.onnx.ml (version 3) on numpy arrays, for the fallback.

    for rows in blocks of X:
        nodes = the root of every tree, for every row
        while some are branches:                       # all (tree, row) pairs take one level at a time
            nodes = children[nodes, test(X[row, feature[nodes]], threshold[nodes])]
        for tree in trees: scores[rows, targets of leaf] += weights of leaf   (or minimum, maximum)

Numbers are float64 where X or a tensor attribute is, else float32, and trees are added up in their order. What the
standard leaves open (two classes with one column of scores, sizes of base_values) follows ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.compiler.tree_scores import POST_TRANSFORMS, one_score, several_scores

__all__ = ["tree_ensemble_classifier", "tree_ensemble_regressor"]

Array = npt.NDArray[Any]
Run = Callable[[Sequence[Any]], list[Any]]

_BLOCK_ROWS = 256
_BLOCK_PAIRS = 1 << 16
"""(tree, row) pairs walked at once; their few arrays of 8 bytes stay in the L2 cache."""

_TESTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "BRANCH_LEQ": np.less_equal,
    "BRANCH_LT": np.less,
    "BRANCH_GTE": np.greater_equal,
    "BRANCH_GT": np.greater,
    "BRANCH_EQ": np.equal,
    "BRANCH_NEQ": np.not_equal,
}
_AGGREGATES: Mapping[str, tuple[np.ufunc, float]] = {
    "SUM": (np.add, 0.0),
    "AVERAGE": (np.add, 0.0),
    "MIN": (np.minimum, np.inf),
    "MAX": (np.maximum, -np.inf),
}
"""aggregate_function -> how a weight joins the score, and the score before any."""


def tree_ensemble_regressor(attributes: Mapping[str, Any]) -> Run:
    """The function X (n, c) or (c) -> [float32 (n, n_targets)]; ValueError for broken tables."""
    targets = int(attributes.get("n_targets", 1))
    ensemble = _Ensemble(attributes, "target", targets)
    base = _numbers(attributes, "base_values")
    _check_base(base, (0, targets))
    aggregate = _choice(attributes, "aggregate_function", "SUM", _AGGREGATES)
    transform = _choice(attributes, "post_transform", "NONE", POST_TRANSFORMS)

    def run(inputs: Sequence[Any]) -> list[Any]:
        scores, present = ensemble.scores(np.asarray(inputs[0]), aggregate)
        if aggregate == "AVERAGE" and ensemble.trees:
            scores /= scores.dtype.type(ensemble.trees)
        if len(base):
            scores += np.where(present, base.astype(scores.dtype), 0)  # a target without any weight stays 0
        return [several_scores(scores, transform) if targets > 1 else one_score(scores, transform)]

    return run


def tree_ensemble_classifier(attributes: Mapping[str, Any]) -> Run:
    """The function X (n, c) or (c) -> [labels (n), scores float32 (n, classes)]; ValueError for broken tables."""
    labels: Array = np.array(attributes.get("classlabels_strings") or [], dtype=object)
    if not labels.size:
        labels = np.array(attributes.get("classlabels_int64s") or [], dtype=np.int64)
    classes = len(labels)
    ensemble = _Ensemble(attributes, "class", classes)
    base = _numbers(attributes, "base_values")
    _check_base(base, (0, classes, 1) if classes == 2 else (0, classes))
    transform = _choice(attributes, "post_transform", "NONE", POST_TRANSFORMS)
    single_column = classes == 2 and len(set(attributes.get("class_ids", ()))) == 1
    positive = bool((_numbers(attributes, "class_weights") >= 0).all())

    def run(inputs: Sequence[Any]) -> list[Any]:
        scores, present = ensemble.scores(np.asarray(inputs[0]), "SUM")
        offsets = base.astype(scores.dtype)
        if classes == 2:
            chosen, result = _two_classes(scores, present, offsets, transform, single_column, positive)
            return [_binary_labels(labels, chosen, single_column), result]
        if len(base):
            scores += offsets
            present[:] = True
        if classes == 1:
            return [_binary_labels(labels, scores[:, 0] > 0, False), one_score(scores, transform)]
        best = np.where(present, scores, -np.inf).argmax(axis=1)
        return [labels[best], several_scores(scores, transform)]

    return run


def _binary_labels(labels: Array, positive: Array, single_column: bool) -> Array:
    """The label of each row; where both classes have scores, ONNX Runtime answers 0 or 1 whatever the labels are."""
    if single_column or labels.dtype == object:
        return labels[np.minimum(positive.astype(np.intp), len(labels) - 1)]
    return positive.astype(np.int64)


def _two_classes(
    scores: Array, present: Array, base: Array, transform: str, single_column: bool, positive: bool
) -> tuple[Array, Array]:
    """Whether each row is of the second class, and its scores (n, 2), as ONNX Runtime has them.

    A row whose leaves name the first class alone has one score: it is the second class's, and the first class gets its
    complement (``positive``: no weight is negative) or its negative.
    """
    first, second = scores[:, 0], scores[:, 1]
    pair = present[:, 1]
    if len(base) == 2:
        second = np.where(pair, base[1] + first, second + base[1])
        first = np.where(pair, -second, first + base[0])
        both = np.ones_like(pair)
    else:
        first = first + base[0] if len(base) else first
        both = pair
    first = np.where(present[:, 0], first, 0)  # a class without any weight stays 0
    second = np.where(pair, second, 0)
    decisive = np.where(pair, second, first)
    chosen = decisive > (0.5 if single_column and positive else 0.0)
    if both.all():
        return chosen, several_scores(np.stack([first, second], axis=1), transform)
    opposite = "complement" if single_column and positive else "negative" if single_column or not len(base) else ""
    alone = one_score(first[:, None], transform, opposite)
    if alone.shape[1] == 1:  # a second score that nothing defines
        alone = np.concatenate([alone, np.zeros_like(alone)], axis=1)
    result = several_scores(np.stack([first, second], axis=1), transform)
    return chosen, np.where(both[:, None], result, alone)


class _Ensemble:
    """The nodes of all trees as flat arrays; children are indices, a leaf is its own child.

    ``kind`` is the attributes' prefix for what leaves carry ("target" or "class"), ``columns`` how many there are.
    """

    def __init__(self, attributes: Mapping[str, Any], kind: str, columns: int) -> None:
        if columns < 1:
            raise ValueError(f"expected at least one {kind}, got {columns}")
        self.columns = columns
        modes = _modes(attributes)
        count = len(modes)
        self.inner = modes != "LEAF"
        tests = sorted(set(modes[self.inner].tolist()))
        self._tests = [(_TESTS[mode], modes == mode) for mode in tests]
        self.feature = np.where(self.inner, _integers(attributes, "nodes_featureids", count), 0)
        if (self.feature < 0).any():
            raise ValueError(f"nodes_featureids has {self.feature.min()}; expected columns of X, from 0")
        self.last_feature = int(self.feature.max(initial=-1)) if self.inner.any() else -1
        missing = attributes.get("nodes_missing_value_tracks_true") or []
        self.missing = _integers(attributes, "nodes_missing_value_tracks_true", count) == 1 if missing else None
        self.wide = any(isinstance(value, np.ndarray) and value.dtype == np.float64 for value in attributes.values())
        self._threshold = _both_widths(_sized("nodes_values", _numbers(attributes, "nodes_values"), count))
        find = _finder(attributes, count)
        self.children = np.repeat(np.arange(count), 2)
        branches = np.flatnonzero(self.inner)
        for place, name in enumerate(("nodes_falsenodeids", "nodes_truenodeids")):
            ids = _integers(attributes, name, count)
            tree = _integers(attributes, "nodes_treeids", count)
            self.children[2 * branches + place] = find(tree[branches], ids[branches], name)
        _check_acyclic(self.children.reshape(-1, 2), self.inner)
        self.roots = np.sort(np.unique(_integers(attributes, "nodes_treeids", count), return_index=True)[1])
        self.trees = len(self.roots)
        self._read_leaves(attributes, kind, find)

    def _read_leaves(self, attributes: Mapping[str, Any], kind: str, find: Callable[..., Array]) -> None:
        """The weights, sorted by leaf: those of node i are ``first[i]`` to ``first[i] + amount[i]``."""
        targets = _integers(attributes, f"{kind}_ids", None)
        trees = _integers(attributes, f"{kind}_treeids", len(targets))
        ids = _integers(attributes, f"{kind}_nodeids", len(targets))
        weights = _sized(f"{kind}_weights", _numbers(attributes, f"{kind}_weights"), len(targets))
        leaves = find(trees, ids, f"{kind}_nodeids")
        order = np.argsort(leaves, kind="stable")
        order = order[~self.inner[leaves[order]]]  # some converters write weights of branches too; they mean nothing
        if self.columns == 1:  # then ids do not count, and a leaf has one weight
            order = order[np.unique(leaves[order], return_index=True)[1]]
            targets = np.zeros_like(targets)
        if targets.size and not 0 <= targets.min() <= targets.max() < self.columns:
            raise ValueError(f"{kind}_ids must lie in [0, {self.columns}), got {targets.min()} to {targets.max()}")
        self.amount = np.bincount(leaves[order], minlength=len(self.inner))
        self.first = np.cumsum(self.amount) - self.amount
        self.target, self._weight = targets[order], _both_widths(weights[order])

    def scores(self, x: Array, aggregate: str) -> tuple[Array, Array]:
        """The scores (n, columns) of X, and which of them some leaf contributed to. Raises ValueError for a wrong X."""
        if x.ndim not in (1, 2):
            raise ValueError(f"X must have shape (n, c) or (c), got {x.shape}")
        x = x.reshape(1, -1) if x.ndim == 1 else x
        rows, columns = x.shape
        if self.last_feature >= columns:
            raise ValueError(f"the trees read column {self.last_feature} of X, but X has {columns} columns")
        dtype = np.dtype(np.float64 if self.wide or x.dtype == np.float64 else np.float32)
        x = x.astype(dtype, copy=False)
        join, start = _AGGREGATES[aggregate]
        scores = np.full((rows, self.columns), start, dtype)
        present = np.zeros((rows, self.columns), np.bool_)
        per_row = max(1, self.trees * int(self.amount.max(initial=1)))
        size = min(_BLOCK_ROWS, max(1, _BLOCK_PAIRS // per_row))
        for begin in range(0, rows if self.trees else 0, size):
            block = x[begin : begin + size]
            leaves = self._walk(np.ascontiguousarray(block))
            self._add(leaves, len(block), join, scores[begin : begin + size], present[begin : begin + size])
        if start != 0:
            scores[~present] = 0
        return scores, present

    def _walk(self, x: Array) -> Array:
        """The leaf of every tree for every row, tree by tree: (trees * rows)."""
        threshold, values = self._threshold[x.dtype.name], x.reshape(-1)
        nodes = np.repeat(self.roots, len(x))
        row = np.tile(np.arange(len(x)) * x.shape[1], self.trees)
        leaves, place = nodes, np.arange(len(nodes))
        while True:
            live = np.flatnonzero(self.inner.take(nodes))
            if 2 * len(live) <= len(nodes):  # set those at a leaf aside once they are the majority
                leaves[place] = nodes
                nodes, row, place = nodes.take(live), row.take(live), place.take(live)
            if not len(live):
                return leaves
            value = values.take(self.feature.take(nodes) + row)
            nodes = self.children.take(2 * nodes + self._test(value, threshold, nodes))

    def _test(self, value: Array, threshold: Array, nodes: Array) -> Array:
        limit = threshold.take(nodes)
        test, _ = self._tests[0]
        if len(self._tests) == 1:
            result = test(value, limit)
        else:
            result = np.zeros(len(nodes), np.bool_)
            for test, has_mode in self._tests:
                result |= test(value, limit) & has_mode.take(nodes)
        if self.missing is not None:
            result |= np.isnan(value) & self.missing.take(nodes)
        return result

    def _add(self, leaves: Array, rows: int, join: np.ufunc, scores: Array, present: Array) -> None:
        amount = self.amount.take(leaves)
        before = np.cumsum(amount) - amount
        entry = np.repeat(self.first.take(leaves) - before, amount)
        entry += np.arange(len(entry))
        row = np.repeat(np.tile(np.arange(rows) * self.columns, self.trees), amount)
        place = row + self.target.take(entry)
        join.at(scores.reshape(-1), place, self._weight[scores.dtype.name].take(entry))  # one after the other
        present.reshape(-1)[place] = True


def _modes(attributes: Mapping[str, Any]) -> Array:
    modes: Array = np.array(attributes.get("nodes_modes") or [], dtype=np.str_)
    unknown = set(modes.tolist()) - set(_TESTS) - {"LEAF"}
    if unknown:
        raise ValueError(f"nodes_modes has {sorted(unknown)}; expected LEAF or one of {', '.join(_TESTS)}")
    return modes


def _finder(attributes: Mapping[str, Any], count: int) -> Callable[[Array, Array, str], Array]:
    """A function (tree ids, node ids, their attribute) -> the indices of these nodes; ValueError if one is missing."""
    tree_names, trees = np.unique(_integers(attributes, "nodes_treeids", count), return_inverse=True)
    node_names, nodes = np.unique(_integers(attributes, "nodes_nodeids", count), return_inverse=True)
    codes = trees * len(node_names) + nodes
    order = np.argsort(codes, kind="stable")
    known = codes[order]
    if (known[1:] == known[:-1]).any():
        raise ValueError("nodes_treeids and nodes_nodeids name a node twice")

    def find(tree: Array, node: Array, name: str) -> Array:
        if not len(tree):
            return np.zeros(0, np.intp)
        absent = ~np.isin(tree, tree_names) | ~np.isin(node, node_names)
        code = np.searchsorted(tree_names, tree) * len(node_names) + np.searchsorted(node_names, node)
        found = np.minimum(np.searchsorted(known, code), len(known) - 1)
        absent |= known[found] != code if len(known) else True
        if absent.any():
            entry = int(np.flatnonzero(absent)[0])
            raise ValueError(f"{name} names node {node[entry]} of tree {tree[entry]}, which is not among the nodes")
        return order[found]

    return find


def _check_acyclic(children: Array, inner: Array) -> None:
    """Takes away nodes without a parent, again and again; what cannot be taken away lies on or below a cycle."""
    parents = np.bincount(children[inner].reshape(-1), minlength=len(inner))
    free = np.flatnonzero(parents == 0)
    left = len(inner)
    while len(free):
        left -= len(free)
        below = children[free[inner[free]]].reshape(-1)
        np.subtract.at(parents, below, 1)
        free = np.unique(below[parents[below] == 0])
    if left:
        raise ValueError(f"the true and false nodes of {left} nodes form a cycle; expected trees")


def _check_base(base: Array, sizes: Sequence[int]) -> None:
    if len(base) not in sizes:
        raise ValueError(f"base_values has {len(base)} numbers; expected {' or '.join(map(str, sizes))}")


def _choice(attributes: Mapping[str, Any], name: str, default: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    value = str(attributes.get(name, default))
    if value not in known:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")
    return value


def _integers(attributes: Mapping[str, Any], name: str, count: int | None) -> npt.NDArray[np.int64]:
    values = np.array(attributes.get(name) or [], dtype=np.int64)
    return values if count is None else _sized(name, values, count)


def _numbers(attributes: Mapping[str, Any], name: str) -> Array:
    """A list of floats, or its ``_as_tensor`` form in float32 or float64."""
    tensor = attributes.get(f"{name}_as_tensor")
    values = attributes.get(name) or []
    if tensor is None or not tensor.size:
        return np.array(values, dtype=np.float32)
    if len(values):
        raise ValueError(f"{name} and {name}_as_tensor are both given; expected one of them")
    if tensor.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name}_as_tensor has type {tensor.dtype}; expected float32 or float64")
    return np.asarray(tensor).reshape(-1)


def _sized(name: str, values: Array, count: int) -> Array:
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries; expected {count}, like the lists that go with it")
    return values


def _both_widths(values: Array) -> dict[str, Array]:
    return {name: values.astype(name) for name in ("float32", "float64")}
