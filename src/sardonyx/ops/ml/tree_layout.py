"""Tree tables in the form that the kernel walks: one kind of test, nodes as records in breadth-first order.

Every test becomes "x <= t, which NaN fails", exactly:

    x < t      x <= the number below t                    x > t, x >= t    the opposite, with children exchanged
    x == t     x <= t, then not x <= the number below t   x != t           likewise
    x in S     a search tree over the ends of S's numbers
    NaN passes -x <= the number below -t, with children exchanged: rows hold each column's negative too (``signed``)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx.dtypes import from_numpy
from sardonyx.kernels.trees import GROUP, words_of
from sardonyx.ops.ml.tree_tables import LEAF, MODES, Forest

__all__ = ["Layout", "lay_out"]

Array = npt.NDArray[Any]
LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(len(MODES) - 1)


@dataclass
class Layout:
    """What ``kernels.trees.TreeWalk`` reads. ``present``: some leaves leave scores without a weight, so that which have
    one must be noted."""

    nodes: Array
    roots: Array
    trees: int
    form: str
    weights: Array
    first: Array
    targets: Array
    signed: bool
    flat: bool
    present: bool
    depth: float
    """The mean depth of leaves."""


def lay_out(forest: Forest, dtype: npt.DTypeLike, sums: npt.DTypeLike) -> Layout:
    """The layout for rows of a float type and sums of another; ValueError for tables too large to address."""
    tests = _Tests(forest, np.dtype(dtype))
    order, levels = _breadth_first(tests.children, forest.roots)
    place = np.full(len(tests.children), -1)
    place[order] = np.arange(len(order))
    inner = tests.inner[order]
    words = words_of(from_numpy(np.dtype(dtype)))
    if len(order) * words >= 1 << 31:
        raise ValueError(f"{len(order)} nodes are more than can be addressed")
    weighing = _Weights(forest, order, inner, dtype, sums)
    nodes = np.zeros((len(order), words), np.int32)
    signed = bool(tests.negated[order].any())
    feature = np.where(inner, tests.feature[order] * (2 if signed else 1) + tests.negated[order], 0) * GROUP
    head = words - 4 if words == 6 else words - 3
    nodes[:, :head].view(dtype)[inner, 0] = tests.threshold[order][inner]
    if weighing.form == "inline":
        nodes[:, :head].view(sums)[~inner, 0] = weighing.inline
    else:
        nodes[~inner, 0] = weighing.numbers
    nodes[:, head] = feature
    nodes[:, head + 1 : head + 3] = place[tests.children[order]] * words
    roots = place[forest.roots] * words
    padded = np.zeros(-(-max(1, len(roots)) // GROUP) * GROUP, np.int32)
    padded[: len(roots)] = roots
    leaf_levels = levels[~inner]
    return Layout(
        nodes=nodes.reshape(-1) if len(nodes) else np.zeros(words, np.int32),
        roots=padded,
        trees=len(roots),
        form=weighing.form,
        weights=weighing.weights,
        first=weighing.first,
        targets=weighing.targets,
        signed=signed,
        flat=not inner.any(),
        present=weighing.present,
        depth=float(leaf_levels.mean()) if len(leaf_levels) else 0.0,
    )


class _Tests:
    """The nodes with their tests brought to one kind; those that one comparison cannot do are followed by others."""

    def __init__(self, forest: Forest, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.inner = forest.mode != LEAF
        mode, limit = forest.mode.copy(), forest.threshold
        none = np.isnan(limit) & self.inner & (mode != MEMBER)  # no number passes such a test (but !=, which all do)
        at_most, exact = _rounded_down(limit, dtype), None
        exact = at_most.astype(limit.dtype) == limit
        self.threshold = at_most.copy()
        below = _below(limit, at_most, exact)
        strict = np.isin(mode, (LT, GTE))
        self.threshold[strict] = below[strict]
        equal = np.isin(mode, (EQ, NEQ))
        opposite = np.isin(mode, (GTE, GT, NEQ)) & ~(none & (mode != NEQ))
        self.threshold[none | (equal & ~exact)] = np.nan
        self.children = np.where((opposite & self.inner)[:, None], forest.children[:, ::-1], forest.children)
        self.feature = forest.feature.copy()
        goes_true = forest.missing | (mode == NEQ)  # where a NaN goes, of the children as they were
        self.passes = self.inner & (goes_true ^ opposite)
        self._below = below
        self._take_apart_equal(np.flatnonzero(equal & self.inner & ~np.isnan(self.threshold)))
        for node, members in zip(np.flatnonzero(mode == MEMBER).tolist(), forest.members, strict=True):
            self._take_apart_set(node, members)
        self._exchange()

    def _append(self, feature: Array, threshold: Array, children: Array, passes: Array) -> Array:
        """Adds nodes; gives their numbers."""
        first = len(self.feature)
        self.feature = np.append(self.feature, feature)
        self.threshold = np.append(self.threshold, threshold.astype(self.dtype))
        self.children = np.append(self.children, children.reshape(-1, 2), axis=0)
        self.passes = np.append(self.passes, passes)
        self.inner = np.append(self.inner, np.ones(len(feature), np.bool_))
        return np.arange(first, len(self.feature))

    def _take_apart_equal(self, nodes: Array) -> None:
        """x == t: x <= t, and then not x <= the number below t."""
        if not len(nodes):
            return
        no = np.zeros(len(nodes), np.bool_)
        second = self._append(self.feature[nodes], self._below[nodes], self.children[nodes][:, ::-1], no)
        self.children[nodes, 1] = second

    def _take_apart_set(self, node: int, members: Array) -> None:
        """x in S: a search tree over the ends of the numbers of S."""
        numbers = np.unique(members)
        at_most = _rounded_down(numbers, self.dtype)
        exact = at_most.astype(numbers.dtype) == numbers
        numbers = at_most[exact]
        ends = np.stack([_below(numbers, numbers, np.ones(len(numbers), np.bool_)), numbers], axis=1).reshape(-1)
        outside, inside = (int(child) for child in self.children[node])
        keeps = np.ones(len(ends), np.bool_)
        keeps[1:-1:2] = ends[1:-1:2] != ends[2::2]  # of neighbouring numbers one interval
        keeps[2::2] = keeps[1:-1:2]
        ends = ends[keeps]
        made: list[tuple[float, list[int]]] = []
        first = len(self.feature)

        def search(low: int, high: int) -> int:
            """A node for the intervals low ... high; number k ends at ends[k], the odd ones are in the set."""
            if low == high:
                return inside if low % 2 else outside
            middle = (low + high) // 2
            number = len(made)
            made.append((ends[middle], [0, 0]))
            made[number][1][:] = search(middle + 1, high), search(low, middle)
            return first + number

        root = search(0, len(ends))
        if made:
            count = len(made)
            children = np.array([pair for _, pair in made])
            limits = np.array([limit for limit, _ in made], self.dtype)
            self._append(np.full(count, self.feature[node]), limits, children, np.zeros(count, np.bool_))
        # a NaN fails "x <= infinity"; all others go to the search tree
        self.threshold[node] = np.inf
        self.children[node] = (inside if self.passes[node] else outside, root)
        self.passes[node] = False

    def _exchange(self) -> None:
        """Where a NaN passes: the opposite test on -x."""
        nodes = self.passes
        self.negated = nodes.astype(np.int64)
        mirrored = -self.threshold[nodes]
        self.threshold[nodes] = np.where(np.isnan(mirrored), np.inf, _below(mirrored, mirrored, mirrored == mirrored))
        self.children[nodes] = self.children[nodes][:, ::-1]


def _rounded_down(numbers: Array, dtype: np.dtype[Any]) -> Array:
    """The largest number of a type that is at most each number."""
    with np.errstate(over="ignore"):
        near = numbers.astype(dtype)
    above = near.astype(np.float64) > numbers
    near[above] = np.nextafter(near[above], dtype.type(-np.inf))
    return near


def _below(numbers: Array, at_most: Array, exact: Array) -> Array:
    """The largest number of a type that is below each number (NaN: there is none), given the largest at most it."""
    with np.errstate(over="ignore"):
        result = np.where(exact, np.nextafter(at_most, at_most.dtype.type(-np.inf)), at_most)
    result[numbers == -np.inf] = np.nan
    return result


def _breadth_first(children: Array, roots: Array) -> tuple[Array, Array]:
    """The nodes below the roots, tree by tree and level by level, and their levels."""
    tree = np.full(len(children), -1)
    level = np.zeros(len(children), np.int64)
    front, owner, depth = np.asarray(roots), np.arange(len(roots)), 0
    while len(front):
        front, first = np.unique(front, return_index=True)
        owner = owner[first]
        new = tree[front] < 0
        front, owner = front[new], owner[new]
        tree[front], level[front] = owner, depth
        front, owner = children[front].reshape(-1), np.repeat(owner, 2)
        depth += 1
    reached = np.flatnonzero(tree >= 0)
    order = reached[np.lexsort((reached, level[reached], tree[reached]))]
    return order, level[order]


class _Weights:
    """The weights of the reached leaves in the most compact form that fits."""

    def __init__(self, forest: Forest, order: Array, inner: Array, dtype: npt.DTypeLike, sums: npt.DTypeLike) -> None:
        columns = forest.columns
        leaves = order[~inner]
        number = np.full(int(max(len(forest.mode), order.max(initial=-1) + 1)), -1)
        number[leaves] = np.arange(len(leaves))
        reached = number[forest.leaves] >= 0
        owner, targets = number[forest.leaves[reached]], forest.targets[reached]
        weights = forest.weights[reached].astype(sums)
        by_leaf = np.lexsort((np.arange(len(owner)), owner))
        owner, targets, weights = owner[by_leaf], targets[by_leaf], weights[by_leaf]
        amount = np.bincount(owner, minlength=len(leaves)) if len(leaves) else np.zeros(0, np.int64)
        pairs = np.unique(owner * columns + targets) if len(owner) else owner
        full = len(pairs) == len(owner) == len(leaves) * columns
        self.weights, self.first, self.targets = weights, np.zeros(1, np.int32), np.zeros(1, np.int32)
        self.present = False
        if full and columns == 1 and np.dtype(dtype) == np.dtype(sums):
            self.form, self.inline = "inline", weights
        elif full:
            self.form = "dense"
            self.weights = weights[np.lexsort((targets, owner))]
            self.numbers = np.arange(len(leaves)) * columns
        else:
            self.form = "sparse"
            self.numbers = np.arange(len(leaves))
            self.first = np.append(0, np.cumsum(amount)).astype(np.int32)
            self.targets = targets.astype(np.int32)
            self.present = not _certain(forest, order, inner, pairs, len(leaves))
        if not len(self.weights):
            self.weights, self.targets = np.zeros(1, sums), np.zeros(1, np.int32)
        if not len(forest.roots):
            self.present = True
            self.form = "sparse"


def _certain(forest: Forest, order: Array, inner: Array, pairs: Array, leaves: int) -> bool:
    """Whether every column gets a weight for sure: some tree has one for it in each leaf."""
    columns = forest.columns
    parents = np.bincount(forest.children[forest.mode != LEAF].reshape(-1), minlength=len(forest.mode))
    if (parents + np.bincount(forest.roots, minlength=len(forest.mode)) > 1).any():
        return False  # trees that share nodes
    place = np.full(int(order.max(initial=-1)) + 1, -1)
    place[order] = np.arange(len(order))
    starts = np.sort(place[forest.roots])
    tree = np.searchsorted(starts, np.flatnonzero(~inner), side="right") - 1  # nodes lie tree by tree
    size = np.bincount(tree, minlength=len(starts))
    codes, counts = np.unique(tree[pairs // columns] * columns + pairs % columns, return_counts=True)
    whole = codes[counts == size[codes // columns]]
    return len(np.unique(whole % columns)) == columns
