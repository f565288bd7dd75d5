"""Variants of a model: with inner values as outputs, and cut down to a few of its nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import helper

from sardonyx import dtypes

__all__ = ["exposing", "extract", "nodes_between", "reads_of", "value_names"]


def value_names(model: onnx.ModelProto) -> list[str]:
    """The values that the main graph's nodes compute, in the order of the nodes, constants left out."""
    return [name for node in model.graph.node if node.op_type != "Constant" for name in node.output if name]


@contextmanager
def exposing(model: onnx.ModelProto, names: Collection[str]) -> Iterator[onnx.ModelProto]:
    """The model with these values as further outputs, for the time of the block; its weights are not copied."""
    outputs = model.graph.output
    count, known = len(outputs), {value.name for value in outputs}
    outputs.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    try:
        yield model
    finally:
        del outputs[count:]


def reads_of(node: onnx.NodeProto) -> list[str]:
    """The values that a node reads, those that its nested graphs capture included."""
    names = dict.fromkeys(name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            inside = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            inside |= {name for inner in graph.node for name in inner.output}
            wanted = [name for inner in graph.node for name in reads_of(inner)]
            wanted += [value.name for value in graph.output]
            names.update(dict.fromkeys(name for name in wanted if name not in inside))
    return list(names)


def nodes_between(model: onnx.ModelProto, known: Collection[str], wanted: Collection[str], depth: int) -> list[int]:
    """The positions of the nodes that compute ``wanted`` from ``known`` values, at most ``depth`` nodes deep."""
    producer = {name: index for index, node in enumerate(model.graph.node) for name in node.output}
    chosen: set[int] = set()
    front = set(wanted)
    for _ in range(depth):
        level = {producer[name] for name in front if name in producer} - chosen
        if not level:
            break
        chosen |= level
        front = {name for index in level for name in reads_of(model.graph.node[index]) if name not in known}
    return sorted(chosen)


def extract(
    model: onnx.ModelProto, nodes: Sequence[int], outputs: Sequence[str], values: Mapping[str, Any]
) -> tuple[onnx.ModelProto, list[str]]:
    """A model of these nodes alone, and the names of its inputs; ``values`` tell their types and sizes."""
    chosen = [model.graph.node[index] for index in nodes]
    inside = {name for node in chosen for name in node.output}
    wanted = dict.fromkeys(name for node in chosen for name in reads_of(node) if name not in inside)
    weights = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    constants = [
        node
        for node in model.graph.node
        if node.op_type == "Constant" and any(name in wanted and name not in inside for name in node.output)
    ]
    given = {tensor.name for tensor in weights} | {name for node in constants for name in node.output}
    inputs = [name for name in wanted if name not in given]
    declared = {value.name: value for value in (*model.graph.output, *model.graph.input)}
    graph = helper.make_graph(
        [*constants, *chosen],
        "part",
        [_declared(name, values.get(name), declared) for name in inputs],
        [declared.get(name) or onnx.ValueInfoProto(name=name) for name in outputs],
        weights,
    )
    made = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    made.ir_version = model.ir_version
    return made, inputs


def _declared(name: str, value: Any, declared: Mapping[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return helper.make_tensor_value_info(name, dtypes.from_numpy(array.dtype).onnx, array.shape)
    return declared.get(name) or onnx.ValueInfoProto(name=name)
