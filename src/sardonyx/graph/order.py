"""Topological order of the nodes of a graph as the file has them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

import onnx

from sardonyx.errors import IncompleteModelError, InvalidModelError
from sardonyx.graph.emit import shorten

__all__ = ["node_label", "subgraphs", "topological_order"]

Nodes = Sequence[onnx.NodeProto]


def topological_order(nodes: Nodes, is_defined: Callable[[str], bool]) -> Sequence[int]:
    """The positions of the nodes in an order that produces every value before its use, the file's own where it can.

    ``is_defined`` tells the names that exist before the first node. Raises InvalidModelError for a value that nothing
    produces and for a cycle.
    """
    needs = [_needed_names(node) for node in nodes]
    produced: set[str] = set()
    for node, names in zip(nodes, needs, strict=True):
        if not all(name in produced or is_defined(name) for name in names):
            return _sorted(nodes, needs, is_defined)
        produced.update(node.output)
    return range(len(nodes))


def _sorted(nodes: Nodes, needs: list[set[str]], is_defined: Callable[[str], bool]) -> list[int]:
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    users: list[list[int]] = [[] for _ in nodes]
    waiting = [0] * len(nodes)
    for index, names in enumerate(needs):
        # A name that the graph itself produces means that value, even where an outer graph has one of the same name.
        for source in {producer[name] for name in names if name in producer}:
            users[source].append(index)
            waiting[index] += 1
        for name in names:
            if name not in producer and not is_defined(name):
                raise IncompleteModelError(
                    f"{node_label(nodes[index])} reads {shorten(name)!r}, which no node, input or initializer provides"
                )
    ready = [index for index, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for user in users[index]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(order) < len(nodes):
        cycle = [node_label(nodes[index]) for index, count in enumerate(waiting) if count][:5]
        raise InvalidModelError(f"the graph has a cycle through {', '.join(cycle)}")
    return order


def node_label(node: onnx.NodeProto) -> str:
    """A node in words, for messages."""
    name = node.name or next(iter(node.output), "")
    return f"node {shorten(name)!r} ({shorten(node.domain or 'ai.onnx')} {shorten(node.op_type)})"


def _needed_names(node: onnx.NodeProto) -> set[str]:
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        names |= _captured_names(graph)
    return names


def _captured_names(graph: onnx.GraphProto) -> set[str]:
    """The names that a graph takes from around it."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    needed = {value.name for value in graph.output}
    for node in graph.node:
        own.update(node.output)
        needed |= _needed_names(node)
    return needed - own


def subgraphs(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    """The graphs among the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
