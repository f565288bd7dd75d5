"""Which nodes run natively and how they are cut into steps.

A region is a maximal run of nodes that have a lowering and whose sizes follow from the region's inputs; control flow
becomes a step with bodies, which are cut likewise; what waits for ranks is compiled when they are known; what is left
becomes Python steps, one node each. A model whose every node is lowered is one region.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import onnx_ir as ir

from sardonyx.graph.nested import graphs_of
from sardonyx.ops.base import Control
from sardonyx.ops.inference import GraphInfo, node_label
from sardonyx.ops.lowered import awaits_run, is_known, is_lowered
from sardonyx.symbols import Expr, free_symbols, symbol

__all__ = [
    "Body",
    "Branching",
    "Late",
    "Region",
    "Step",
    "captured_values",
    "cut",
    "is_constant",
    "walk",
]

MAX_COPIED = 256 << 20
"""Bytes of constants of a node up to which it may be compiled late: they become part of the recipe."""


@dataclass
class Region:
    """Nodes in order, the values they take from outside and those that are used outside.

    ``sizes`` are the symbols whose values the region needs.
    """

    nodes: list[ir.Node] = field(default_factory=list)
    inputs: list[ir.Value] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)
    sizes: set[str] = field(default_factory=set)


@dataclass
class Late:
    """Nodes that wait for the ranks of what they read, and the values they take from outside and give to it."""

    nodes: list[ir.Node] = field(default_factory=list)
    inputs: list[ir.Value] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)


@dataclass
class Body:
    """A graph inside of a node, cut into steps, and the values it takes from the graphs around it.

    ``name`` is that of the node's attribute. A branch that is never taken, and that inference therefore left out, has
    ``dead`` set and no steps.
    """

    name: str
    graph: ir.Graph
    steps: list[Step] = field(default_factory=list)
    captured: list[ir.Value] = field(default_factory=list)
    dead: bool = False


@dataclass
class Branching:
    """A node of control flow and its bodies."""

    node: ir.Node
    bodies: list[Body]

    @property
    def captured(self) -> list[ir.Value]:
        """What the bodies take from around the node."""
        return list(dict.fromkeys(value for body in self.bodies for value in body.captured))

    @property
    def inputs(self) -> list[ir.Value]:
        """All values that the step reads."""
        return list(dict.fromkeys([*(v for v in self.node.inputs if v is not None), *self.captured]))


Step: TypeAlias = "Region | Branching | Late | ir.Node"


def is_constant(value: ir.Value) -> bool:
    """Whether a value is an initializer that nothing can replace."""
    return value.const_value is not None and value.is_initializer() and not value.is_graph_input()


def captured_values(node: ir.Node) -> list[ir.Value]:
    """Values of the surrounding graphs that a node's subgraphs read."""
    found: dict[ir.Value, None] = {}
    for graph in graphs_of(node):
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


def node_inputs(node: ir.Node) -> list[ir.Value]:
    """Everything that a node reads: its inputs and what its subgraphs capture."""
    return [*(value for value in node.inputs if value is not None), *captured_values(node)]


def cut(graph: ir.Graph, info: GraphInfo, around: Mapping[str, ir.Value] | None = None) -> list[Step]:
    """The steps of a graph in order.

    A region ends where sizes are needed that the contents or the true sizes of its own results tell. ``around`` has,
    for the graph of a body, the arrays that tell sizes outside of it.
    """
    own: dict[str, ir.Value] = {}
    bound: ChainMap[str, ir.Value] = ChainMap(own, dict(around or {}))
    for value in graph.inputs:
        _bind(value, info, own)
    waiting = {value for node in graph for value in node.outputs}
    reads = {node: node_inputs(node) for node in graph}
    remaining = list(graph)
    steps: list[Step] = []
    while remaining:
        region, rest = Region(), []
        for node in remaining:
            if waiting.isdisjoint(reads[node]) and is_lowered(node, info) and _sizes_bound(node, info, bound):
                region.nodes.append(node)
                if node not in info.counted:  # what a node counts is known only after the step
                    waiting.difference_update(node.outputs)
            else:
                rest.append(node)
        if region.nodes:
            steps.append(region)
        for node in region.nodes:
            waiting.difference_update(node.outputs)
            for value in node.outputs:
                _bind(value, info, own)
        remaining, progress = [], bool(region.nodes)
        for node in rest:
            if waiting.isdisjoint(reads[node]) and not (is_lowered(node, info) and _sizes_bound(node, info, bound)):
                steps.append(_single(node, info, bound))
                waiting.difference_update(node.outputs)
                for value in node.outputs:
                    _bind(value, info, own)
                progress = True
            else:
                remaining.append(node)
        if not progress:
            raise AssertionError("nodes are not in topological order")
    steps = _gather_late(steps, info)
    _connect(steps, graph, info, bound)
    return steps


def _gather_late(steps: Sequence[Step], info: GraphInfo) -> list[Step]:
    """The steps with single nodes that wait for ranks put together where they follow each other."""
    found: list[Step] = []
    for step in steps:
        if isinstance(step, ir.Node) and awaits_run(step, info) and _is_light(step):
            if not found or not isinstance(found[-1], Late):
                found.append(Late())
            last = found[-1]
            assert isinstance(last, Late)
            last.nodes.append(step)
        else:
            found.append(step)
    return found


def _is_light(node: ir.Node) -> bool:
    """Whether the constants that a node reads can be copied."""
    arrays = [value.const_value for value in node_inputs(node) if is_constant(value)]
    return sum(array.nbytes for array in arrays if array is not None) <= MAX_COPIED


def _single(node: ir.Node, info: GraphInfo, bound: Mapping[str, ir.Value]) -> Step:
    record = info.records[node]
    if not isinstance(record, Control):
        return node
    names = [name for name, attribute in node.attributes.items() if attribute.type == ir.AttributeType.GRAPH]
    graphs = {id(node.attributes[name].value): name for name in names}
    return Branching(node, [_body(graphs[id(graph)], graph, info, bound) for graph in record.bodies()])


def _body(name: str, graph: ir.Graph, info: GraphInfo, bound: Mapping[str, ir.Value]) -> Body:
    if any(node not in info.records for node in graph):
        return Body(name, graph, dead=True)
    body = Body(name, graph, cut(graph, info, bound))
    inside = {*graph.inputs, *(value for node in graph for value in node.outputs)}
    used = [value for step in body.steps for value in _reads(step)] + list(graph.outputs)
    body.captured = [v for v in dict.fromkeys(used) if v not in inside and not is_constant(v)]
    return body


def walk(steps: Sequence[Step], inside: str = "") -> Iterator[tuple[Step, str]]:
    """The steps, each followed by those of its bodies, and the node and attribute that they are inside of."""
    for step in steps:
        yield step, inside
        if isinstance(step, Branching):
            for body in step.bodies:
                yield from walk(body.steps, f"{node_label(step.node)}.{body.name}")


def _reads(step: Step) -> list[ir.Value]:
    """The values that a step takes from outside."""
    return step.inputs if isinstance(step, Region | Branching | Late) else node_inputs(step)


def _bind(value: ir.Value, info: GraphInfo, bound: dict[str, ir.Value]) -> None:
    """Notes the symbols that an array at hand tells: by its sizes directly, or by its elements."""
    for dim in info.of(value).shape or ():
        if isinstance(dim, Expr) and is_symbol(dim):
            bound.setdefault(next(iter(free_symbols(dim))), value)
    for name in info.symbols.elements_of(value):
        bound[name] = value


def is_symbol(dim: Expr) -> bool:
    """Whether a dim is one symbol and nothing else."""
    names = free_symbols(dim)
    if len(names) != 1:
        return False
    return dim == symbol(next(iter(names)))


def _sizes_bound(node: ir.Node, info: GraphInfo, bound: Collection[str]) -> bool:
    return all(name in bound for name in _symbols_of(node, info))


def _symbols_of(node: ir.Node, info: GraphInfo, told: Collection[str] = ()) -> set[str]:
    """The symbols that must be known where a node runs: all but those of sizes that it counts itself.

    Defined ones stand for what they are made of, unless they are ``told``.
    """
    ctx, own = info.contexts[node], info.counted.get(node, set())
    values = (value for value in (*node.inputs, *node.outputs) if value is not None and not is_constant(value))
    known = [*map(info.of, values), *(given for given in ctx.inputs if given is not None and given.const is None)]
    sizes = [dim for one in known for dim in (*(one.shape or ()), *(one.values or ()))]
    return info.symbols.base([*sizes, *(info.symbols.limits[name] for name in own)], told) - own


def _connect(steps: list[Step], graph: ir.Graph, info: GraphInfo, bound: Mapping[str, ir.Value]) -> None:
    """Fills in what each region takes from outside and gives to it."""
    wanted: dict[ir.Value, int] = {}
    for place, step in enumerate(steps):
        if isinstance(step, Region):
            _take_inputs(step, info, bound)
        elif isinstance(step, Late):
            inside = {value for node in step.nodes for value in node.outputs}
            read = dict.fromkeys(value for node in step.nodes for value in node_inputs(node))
            step.inputs = [value for value in read if value not in inside and not is_constant(value)]
        wanted.update(dict.fromkeys(_reads(step), place))
    results = set(graph.outputs)
    for place, step in enumerate(steps):
        if isinstance(step, Region | Late):
            made = [value for node in step.nodes for value in node.outputs]
            step.outputs = [value for value in made if value in results or wanted.get(value, -1) > place]


def _take_inputs(region: Region, info: GraphInfo, bound: Mapping[str, ir.Value]) -> None:
    """What a region reads, and the arrays whose sizes or elements it needs besides.

    Values whose contents are known it makes itself.
    """
    inside = {value for node in region.nodes for value in node.outputs}
    read = dict.fromkeys(value for node in region.nodes for value in node_inputs(node) if value not in inside)
    known = {value for value in read if is_known(info.of(value)) or info.of(value).const is not None}
    region.inputs = [value for value in read if not is_constant(value) and value not in known]
    told: dict[str, ir.Value] = {}
    for value in region.inputs:
        _bind(value, info, told)
    region.sizes = {name for node in region.nodes for name in _symbols_of(node, info, told)}
    region.inputs += dict.fromkeys(bound[name] for name in sorted(region.sizes - told.keys()))
