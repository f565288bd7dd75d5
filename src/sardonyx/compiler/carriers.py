"""Strings and complex numbers in native regions: integers stand for them, as no kernel looks into them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sardonyx import dtypes
from sardonyx.compiler.steps import Region
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.inference import GraphInfo
from sardonyx.ops.lowered import carried_info

__all__ = ["carried"]


def carried(region: Region, info: GraphInfo) -> tuple[GraphInfo, tuple[str, ...] | None]:
    """What lowering a region is told of its values: dtypes of carriers, and handles in the place of string constants.

    The second part are the strings that handles 0, 1 ... of constants stand for; None where there are no strings. The
    first one is always the empty string, which is what default values of 0 stand for.
    """
    of_nodes = (value for node in region.nodes for value in (*node.inputs, *node.outputs))
    touched = {value: info.of(value) for value in (*of_nodes, *region.inputs, *region.outputs) if value is not None}
    kinds = {known.dtype.kind for known in touched.values() if known.dtype is not None}
    if not kinds & set("cs"):
        return info, None
    handles = {"": 0}
    values = {value: _with_handles(known, handles) for value, known in touched.items()}
    contexts = {}
    for node in region.nodes:
        given = info.contexts[node].inputs
        inputs = tuple(None if known is None else _with_handles(known, handles) for known in given)
        contexts[node] = replace(info.contexts[node], inputs=inputs)
    mapped = replace(info, values={**info.values, **values}, contexts={**info.contexts, **contexts})
    return mapped, tuple(handles) if "s" in kinds else None


def _with_handles(info: TensorInfo, handles: dict[str, int]) -> TensorInfo:
    if info.dtype is not dtypes.string or info.const is None:
        return carried_info(info)
    numbers = [handles.setdefault(str(text), len(handles)) for text in info.const.reshape(-1).tolist()]
    return replace(carried_info(info), const=np.asarray(numbers, np.int64).reshape(info.const.shape))
