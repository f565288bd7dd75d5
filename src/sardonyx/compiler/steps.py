"""Which nodes run natively and how they are cut into steps.

A region is a maximal run of nodes that have a lowering and whose sizes follow from the region's inputs; what is left
becomes Python steps, one node each. A model whose every node is lowered is one region.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from sardonyx.ops.inference import GraphInfo
from sardonyx.ops.lowered import is_lowered
from sardonyx.symbols import Expr, free_symbols, symbol

__all__ = ["Region", "captured_values", "cut"]


@dataclass
class Region:
    """Nodes in order, the values they take from outside and those that are used outside."""

    nodes: list[ir.Node] = field(default_factory=list)
    inputs: list[ir.Value] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)


def captured_values(node: ir.Node) -> list[ir.Value]:
    """Values of the surrounding graphs that a node's subgraphs read."""
    found: dict[ir.Value, None] = {}
    for attribute in node.attributes.values():
        for graph in _subgraphs(attribute):
            found.update(dict.fromkeys(_outer_of(graph)))
    return list(found)


def _outer_of(graph: ir.Graph) -> list[ir.Value]:
    inside = set(graph.inputs) | set(graph.initializers.values())
    found: dict[ir.Value, None] = {}
    for node in graph:
        for value in [*(v for v in node.inputs if v is not None), *captured_values(node)]:
            if value not in inside:
                found[value] = None
        inside.update(node.outputs)
    for value in graph.outputs:
        if value not in inside:
            found[value] = None
    return list(found)


def _subgraphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.is_ref():
        return ()
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    if attribute.type == ir.AttributeType.GRAPHS:
        return attribute.as_graphs()
    return ()


def node_inputs(node: ir.Node) -> list[ir.Value]:
    """Everything that a node reads: its inputs and what its subgraphs capture."""
    return [*(value for value in node.inputs if value is not None), *captured_values(node)]


def cut(graph: ir.Graph, info: GraphInfo) -> list[Region | ir.Node]:
    """The steps of a graph in order: regions, and single nodes for the fallback."""
    bound: dict[str, ir.Value] = {}
    for value in graph.inputs:
        _bind(value, info, bound)
    available = set(graph.inputs) | set(graph.initializers.values())
    remaining = list(graph)
    steps: list[Region | ir.Node] = []
    while remaining:
        region, rest = Region(), []
        for node in remaining:
            ready = all(value in available for value in node_inputs(node))
            if ready and is_lowered(node, info) and _sizes_bound(node, info, bound):
                region.nodes.append(node)
                available.update(node.outputs)
            else:
                rest.append(node)
        if region.nodes:
            steps.append(region)
        remaining, progress = [], bool(region.nodes)
        for node in rest:
            ready = all(value in available for value in node_inputs(node))
            if ready and not (is_lowered(node, info) and _sizes_bound(node, info, bound)):
                steps.append(node)
                available.update(node.outputs)
                for value in node.outputs:
                    _bind(value, info, bound)
                progress = True
            else:
                remaining.append(node)
        if not progress:
            raise AssertionError("nodes are not in topological order")
    _connect(steps, graph, info, bound)
    return steps


def _bind(value: ir.Value, info: GraphInfo, bound: dict[str, ir.Value]) -> None:
    """Notes the symbols that the sizes of an array at hand tell directly."""
    for dim in info.of(value).shape or ():
        if isinstance(dim, Expr) and is_symbol(dim):
            bound.setdefault(next(iter(free_symbols(dim))), value)


def is_symbol(dim: Expr) -> bool:
    """Whether a dim is one symbol and nothing else."""
    names = free_symbols(dim)
    if len(names) != 1:
        return False
    return dim == symbol(next(iter(names)))


def _sizes_bound(node: ir.Node, info: GraphInfo, bound: Collection[str]) -> bool:
    for value in [*node.outputs, *(v for v in node.inputs if v is not None)]:
        for dim in [*(info.of(value).shape or ()), *(info.of(value).values or ())]:
            if not all(name in bound for name in free_symbols(dim)):
                return False
    return True


def _connect(steps: list[Region | ir.Node], graph: ir.Graph, info: GraphInfo, bound: Mapping[str, ir.Value]) -> None:
    """Fills in what each region takes from outside and gives to it.

    A region also takes the arrays whose sizes it needs, where it reads nothing else of them.
    """
    wanted: dict[ir.Value, int] = {}
    for place, step in enumerate(steps):
        for node in step.nodes if isinstance(step, Region) else [step]:
            for value in node_inputs(node):
                wanted[value] = place
    results = set(graph.outputs)
    constants = {value for value in graph.initializers.values() if not value.is_graph_input()}
    for place, step in enumerate(steps):
        if not isinstance(step, Region):
            continue
        inside = {value for node in step.nodes for value in node.outputs}
        used = dict.fromkeys(value for node in step.nodes for value in node_inputs(node))
        step.inputs = [value for value in used if value not in inside and value not in constants]
        values = [*step.inputs, *(value for node in step.nodes for value in node.outputs)]
        sizes = {name for value in values for name in _symbols_of(value, info)}
        told: dict[str, ir.Value] = {}
        for value in step.inputs:
            _bind(value, info, told)
        step.inputs += dict.fromkeys(bound[name] for name in sorted(sizes - told.keys()))
        step.outputs = [
            value for node in step.nodes for value in node.outputs if value in results or wanted.get(value, -1) > place
        ]


def _symbols_of(value: ir.Value, info: GraphInfo) -> set[str]:
    known = info.of(value)
    return {name for dim in [*(known.shape or ()), *(known.values or ())] for name in free_symbols(dim)}
