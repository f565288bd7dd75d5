"""Names of a graph's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

__all__ = ["rename"]


def rename(graph: onnx.GraphProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Gives inputs and outputs their names, by position. What is given out twice, or is an input or a constant, is
    copied: each output is a value of its own."""
    kept = {*inputs, *outputs}
    names = {name: f"{name}_inner" for name in _names(graph) if name in kept}
    names |= {value.name: name for value, name in zip(graph.input, inputs, strict=True)}
    computed = {name for node in graph.node for name in node.output}
    copies = []
    for value, name in zip(graph.output, outputs, strict=True):
        if value.name in computed:
            computed.remove(value.name)
            names[value.name] = name
        else:
            copies.append((value.name, name))
    _apply(graph, names)
    for old, name in copies:
        graph.node.append(helper.make_node("Identity", [names.get(old, old)], [name], f"give_{name}"))
    for value, name in zip(graph.output, outputs, strict=True):
        value.name = name


def _names(graph: onnx.GraphProto) -> set[str]:
    found = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        found.update(node.output)
        for inner in _subgraphs(node):
            found |= _names(inner) | {value.name for value in inner.input}
    return found


def _apply(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for holder in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        holder.name = names.get(holder.name, holder.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in _subgraphs(node):
            _apply(inner, names)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
