"""A forest's votes, added up whole.

skl2onnx divides each leaf's probabilities by the number of trees and adds them up in float32, of two classes only the
second: what ties in the source, 25 trees of 50, does not tie there, and the label flips. Here the probabilities
themselves are added up (exactly, where leaves are pure), divided once, and the first largest is the label, as in the
source.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["votes"]


def votes(node: onnx.NodeProto, values: list[Any]) -> list[onnx.NodeProto]:
    """The nodes that take the place of a TreeEnsembleClassifier. ``values`` are, per tree, the class probabilities of
    each of the source's nodes, shape (nodes, classes)."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    trees = np.asarray(given["nodes_treeids"])
    ids = np.asarray(given["nodes_nodeids"])
    leaf = np.asarray([mode == b"LEAF" for mode in given["nodes_modes"]])
    classes = values[0].shape[1]
    order = {tree: position for position, tree in enumerate(dict.fromkeys(trees.tolist()))}
    leaves = zip(trees[leaf].tolist(), ids[leaf].tolist(), strict=True)
    weights = np.concatenate([values[order[tree]][number] for tree, number in leaves])
    fields: dict[str, Any] = {name: value for name, value in given.items() if name.startswith("nodes_")}
    fields |= {
        "target_treeids": np.repeat(trees[leaf], classes).tolist(),
        "target_nodeids": np.repeat(ids[leaf], classes).tolist(),
        "target_ids": np.tile(np.arange(classes), int(leaf.sum())).tolist(),
        "target_weights": weights.astype(np.float32).tolist(),
        "n_targets": classes,
        "post_transform": "NONE",
    }
    label, scores = node.output
    total, place = f"{scores}_votes", f"{scores}_largest"
    count = numpy_helper.from_array(np.asarray(len(values), np.float32), f"{scores}_trees")
    return [
        helper.make_node("TreeEnsembleRegressor", [node.input[0]], [total], total, domain="ai.onnx.ml", **fields),
        helper.make_node("Constant", [], [count.name], count.name, value=count),
        helper.make_node("Div", [total, count.name], [scores], f"{scores}_mean"),
        helper.make_node("ArgMax", [scores], [place], place, axis=1, keepdims=0),
        *_names(given, place, label),
    ]


def _names(given: dict[str, Any], place: str, label: str) -> list[onnx.NodeProto]:
    if not label:
        return []
    strings = given.get("classlabels_strings")
    known = np.asarray(strings, object) if strings else np.asarray(given["classlabels_int64s"], np.int64)
    names = numpy_helper.from_array(known, f"{label}_names")
    return [
        helper.make_node("Constant", [], [names.name], names.name, value=names),
        helper.make_node("Gather", [names.name, place], [label], f"{label}_of_largest", axis=0),
    ]
