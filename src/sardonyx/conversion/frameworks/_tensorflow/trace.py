"""Inner values of a frozen graph, under their names in the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from sardonyx.conversion.framework import Trace
from sardonyx.conversion.frameworks._tensorflow.packages import import_tensorflow

__all__ = ["tracer"]

_TO_CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


def tracer(frozen: Any, names: Mapping[str, str], model: onnx.ModelProto) -> Trace:
    """Runs the frozen graph up to every value that the model kept the name of.

    ``names`` are the model's names of the graph's inputs and outputs.
    """

    def trace(feeds: Mapping[str, Any]) -> Mapping[str, npt.NDArray[Any]]:
        tensorflow = import_tensorflow()
        if any(node.op == "HashTableV2" for node in frozen.node):  # its contents are not in the graph
            return {}
        wrapped = tensorflow.compat.v1.wrap_function(lambda: tensorflow.compat.v1.import_graph_def(frozen, name=""), [])
        graph = wrapped.graph
        given = {name: graph.get_tensor_by_name(name) for name in names if names[name] in feeds}
        chosen = _values(model, graph, set(names))
        found = wrapped.prune(list(given.values()), [graph.get_tensor_by_name(name) for name in chosen])(
            *(tensorflow.constant(feeds[names[name]], tensor.dtype) for name, tensor in given.items())
        )
        return {name: _like(tensor.numpy(), shape) for (name, shape), tensor in zip(chosen.items(), found, strict=True)}

    return trace


def _values(model: onnx.ModelProto, graph: Any, edges: set[str]) -> dict[str, Sequence[int | None] | None]:
    """Names that both sides know, in the order of the model's nodes, with the shapes that the model has them in."""
    inferred = onnx.shape_inference.infer_shapes(model)
    shapes = {value.name: value.type.tensor_type.shape for value in inferred.graph.value_info}
    chosen: dict[str, Sequence[int | None] | None] = {}
    for node in model.graph.node:
        for name in node.output:
            if name in edges or ":" not in name:
                continue
            try:
                tensor = graph.get_tensor_by_name(name)
            except (KeyError, ValueError):  # a value of tf2onnx's own
                continue
            if tensor.dtype.is_numpy_compatible and name in shapes:
                chosen[name] = [dim.dim_value if dim.HasField("dim_value") else None for dim in shapes[name].dim]
    return chosen


def _like(value: npt.NDArray[Any], shape: Sequence[int | None] | None) -> npt.NDArray[Any]:
    """A value of TensorFlow in the layout of the model, where the sizes tell it."""
    if shape is None or len(shape) != value.ndim or _fits(value.shape, shape):
        return value
    moved = np.transpose(value, _TO_CHANNELS_FIRST.get(value.ndim, range(value.ndim)))
    return moved if _fits(moved.shape, shape) else value


def _fits(sizes: Sequence[int], shape: Sequence[int | None]) -> bool:
    return all(wanted in (None, size) for size, wanted in zip(sizes, shape, strict=True))
