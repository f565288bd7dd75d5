"""The tables of ai.onnx.ml's tree ensembles, read and checked: version 3 (nodes by id) and version 5 (by position).

Everything raises ValueError for tables that are no trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEAF", "MODES", "Forest", "by_ids", "by_positions", "numbers"]

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF")
"""By code, as version 5 has them; LEAF is a code of our own."""
LEAF = MODES.index("LEAF")
MEMBER = MODES.index("BRANCH_MEMBER")
MAX_NODES = (1 << 31) // 12
"""More could not be addressed by 32-bit offsets, with the nodes that some tests are taken apart into."""
MAX_DEPTH = 1 << 16


@dataclass
class Forest:
    """Nodes of all trees. ``children`` (n, 2) are the false and the true child; a leaf is its own child.

    Weights are sorted by leaf: ``leaves`` is the node of each, ``targets`` its column. ``members`` are the sets of
    BRANCH_MEMBER nodes, in their order. ``missing``: NaN goes to the true child.
    """

    columns: int
    feature: Array
    threshold: Array
    mode: Array
    missing: Array
    children: Array
    roots: Array
    leaves: Array
    targets: Array
    weights: Array
    members: list[Array] = field(default_factory=list)

    @property
    def last_feature(self) -> int:
        """The largest column of X that a node reads; -1 for none."""
        return int(self.feature[self.mode != LEAF].max(initial=-1))

    def check(self) -> None:
        """Limits that all versions share."""
        if len(self.mode) > MAX_NODES:
            raise ValueError(f"{len(self.mode)} nodes are more than {MAX_NODES}")
        inner = self.feature[self.mode != LEAF]
        if (inner < 0).any() or (inner > 1 << 24).any():
            raise ValueError(f"nodes_featureids has {inner.min()} to {inner.max()}; expected columns of X, from 0")
        _check_acyclic(self.children, self.mode != LEAF)


def by_ids(attributes: Attributes, kind: str, columns: int) -> Forest:
    """The tables of version 3; ``kind`` is the prefix of what leaves carry ("target" or "class")."""
    if columns < 1:
        raise ValueError(f"expected at least one {kind}, got {columns}")
    mode = _named_modes(attributes)
    count = len(mode)
    trees = _integers(attributes, "nodes_treeids", count)
    find = _finder(trees, _integers(attributes, "nodes_nodeids", count))
    branches = np.flatnonzero(mode != LEAF)
    children = np.repeat(np.arange(count), 2).reshape(-1, 2)
    for place, name in enumerate(("nodes_falsenodeids", "nodes_truenodeids")):
        ids = _integers(attributes, name, count)
        children[branches, place] = find(trees[branches], ids[branches], name)
    missing = attributes.get("nodes_missing_value_tracks_true") or ()
    targets = _integers(attributes, f"{kind}_ids", None)
    nodes = _integers(attributes, f"{kind}_nodeids", len(targets))
    leaves = find(_integers(attributes, f"{kind}_treeids", len(targets)), nodes, f"{kind}_nodeids")
    weights = _sized(f"{kind}_weights", numbers(attributes, f"{kind}_weights"), len(targets))
    order = np.argsort(leaves, kind="stable")
    order = order[mode[leaves[order]] == LEAF]  # some converters write weights of branches too; they mean nothing
    if columns == 1:  # then ids do not count, and a leaf has one weight
        order = order[np.unique(leaves[order], return_index=True)[1]]
        targets = np.zeros_like(targets)
    if targets.size and not 0 <= targets.min() <= targets.max() < columns:
        raise ValueError(f"{kind}_ids must lie in [0, {columns}), got {targets.min()} to {targets.max()}")
    forest = Forest(
        columns=columns,
        feature=np.where(mode == LEAF, 0, _integers(attributes, "nodes_featureids", count)),
        threshold=_sized("nodes_values", numbers(attributes, "nodes_values"), count),
        mode=mode,
        missing=(_integers(attributes, "nodes_missing_value_tracks_true", count) if missing else np.zeros(count)) == 1,
        children=children,
        roots=np.sort(np.unique(trees, return_index=True)[1]),
        leaves=leaves[order],
        targets=targets[order],
        weights=weights[order],
    )
    forest.check()
    return forest


def by_positions(attributes: Attributes) -> Forest:
    """The tables of version 5: interior nodes, leaves after them."""
    columns = attributes.get("n_targets") or 1
    mode = np.asarray(attributes["nodes_modes"]).reshape(-1).astype(np.int64)
    count = len(mode)
    if ((mode < 0) | (mode > MEMBER)).any():
        raise ValueError(f"nodes_modes has {mode.min()} to {mode.max()}; expected 0 to {MEMBER}")
    targets = _integers(attributes, "leaf_targetids", None)
    leaves = len(targets)
    weights = _sized("leaf_weights", np.asarray(attributes["leaf_weights"]).reshape(-1), leaves)
    if columns < 1 or (leaves and not 0 <= targets.min() <= targets.max() < columns):
        raise ValueError(f"leaf_targetids must lie in [0, {columns}), got {targets.min()} to {targets.max()}")
    children = np.repeat(np.arange(count + leaves), 2).reshape(-1, 2)
    for place, side in enumerate(("false", "true")):
        ids = _integers(attributes, f"nodes_{side}nodeids", count)
        is_leaf = _integers(attributes, f"nodes_{side}leafs", count) != 0
        wrong = (ids < 0) | (ids >= np.where(is_leaf, leaves, count))
        if wrong.any():
            place_, what = int(np.flatnonzero(wrong)[0]), "leaf" if is_leaf[wrong][0] else "node"
            raise ValueError(f"nodes_{side}nodeids names {what} {ids[place_]}, which is not among the {what}s")
        children[:count, place] = np.where(is_leaf, ids + count, ids)
    roots = _integers(attributes, "tree_roots", None)
    if ((roots < 0) | (roots >= count)).any():
        raise ValueError(f"tree_roots must lie in [0, {count}), got {roots.min()} to {roots.max()}")
    missing = attributes.get("nodes_missing_value_tracks_true") or ()
    tracks = (_integers(attributes, "nodes_missing_value_tracks_true", count) if missing else np.zeros(count)) == 1
    splits = _sized("nodes_splits", np.asarray(attributes["nodes_splits"]).reshape(-1), count)
    forest = Forest(
        columns=columns,
        feature=_with_leaves(_integers(attributes, "nodes_featureids", count), leaves),
        threshold=_with_leaves(splits, leaves),
        mode=np.append(mode, np.full(leaves, LEAF)),
        missing=_with_leaves(tracks, leaves),
        children=children,
        roots=roots,
        leaves=np.arange(count, count + leaves),
        targets=targets,
        weights=weights,
        members=_members(attributes, int((mode == MEMBER).sum())),
    )
    forest.check()
    return forest


def _with_leaves(values: Array, leaves: int) -> Array:
    return np.append(values, np.zeros(leaves, values.dtype))


def _members(attributes: Attributes, count: int) -> list[Array]:
    """The sets of membership_values, which NaNs end."""
    values = attributes.get("membership_values")
    flat = np.zeros(0) if values is None else np.asarray(values).reshape(-1)
    if flat.dtype.kind != "f":
        flat = flat.astype(np.float64)
    sets = np.split(flat, np.flatnonzero(np.isnan(flat)) + 1)
    if len(sets) == count + 1 and not len(sets[-1]):
        sets.pop()
    if len(sets) != count and (count or len(flat)):
        raise ValueError(f"membership_values holds {len(sets)} sets for {count} BRANCH_MEMBER nodes")
    return [one[~np.isnan(one)] for one in sets[:count]]


def _named_modes(attributes: Attributes) -> Array:
    names, places = np.unique(np.array(attributes.get("nodes_modes") or [], np.str_), return_inverse=True)
    known = [mode for mode in MODES if mode != "BRANCH_MEMBER"]
    unknown = sorted(set(names.tolist()) - set(known))
    if unknown:
        raise ValueError(f"nodes_modes has {unknown}; expected one of {', '.join(known)}")
    codes = np.array([MODES.index(name) for name in names.tolist()], np.int64)
    return codes[places] if len(codes) else np.zeros(0, np.int64)


def _finder(trees: Array, nodes: Array) -> Callable[[Array, Array, str], Array]:
    """A function (tree ids, node ids, their attribute) -> where these nodes are; ValueError if one is missing."""
    tree_names, tree_places = np.unique(trees, return_inverse=True)
    node_names, node_places = np.unique(nodes, return_inverse=True)
    codes = tree_places * len(node_names) + node_places
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
    left, depth = len(inner), 0
    while len(free):
        left -= len(free)
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"a tree is deeper than {MAX_DEPTH} nodes")
        below = children[free[inner[free]]].reshape(-1)
        np.subtract.at(parents, below, 1)
        free = np.unique(below[parents[below] == 0])
    if left:
        raise ValueError(f"the true and false nodes of {left} nodes form a cycle; expected trees")


def _integers(attributes: Attributes, name: str, count: int | None) -> npt.NDArray[np.int64]:
    values = np.array(attributes.get(name) or [], dtype=np.int64)
    return values if count is None else _sized(name, values, count)


def numbers(attributes: Attributes, name: str) -> Array:
    """A list of floats, or its ``_as_tensor`` form in float32 or float64."""
    tensor = attributes.get(f"{name}_as_tensor")
    values: Sequence[float] = attributes.get(name) or ()
    if tensor is None or not np.asarray(tensor).size:
        return np.array(values, dtype=np.float32)
    if len(values):
        raise ValueError(f"{name} and {name}_as_tensor are both given; expected one of them")
    array = np.asarray(tensor)
    if array.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name}_as_tensor has type {array.dtype}; expected float32 or float64")
    return array.reshape(-1)


def _sized(name: str, values: Array, count: int) -> Array:
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries; expected {count}, like the lists that go with it")
    return values
