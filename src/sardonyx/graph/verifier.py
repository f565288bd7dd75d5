"""The invariants of a graph, checked after every pass in tests."""

from __future__ import annotations

import onnx_ir as ir

from sardonyx.errors import InvalidModelError
from sardonyx.graph.emit import describe
from sardonyx.graph.model import Model
from sardonyx.graph.nested import graphs_of

__all__ = ["verify"]


def verify(model: Model | ir.Model | ir.Graph) -> None:
    """Raise InvalidModelError unless the graph, with its nested graphs, is sound.

    Every value that is read is defined before, in the same graph or one around it; values know their producers and
    users; names are unique; graph outputs are defined; initializers have data and no producer.
    """
    graph = model if isinstance(model, ir.Graph) else model.graph
    nodes = set(graph.all_nodes())
    _Verifier(nodes).graph(graph, frozenset())


class _Verifier:
    def __init__(self, nodes: set[ir.Node]) -> None:
        self.nodes = nodes
        self.names: dict[str, ir.Value] = {}

    def graph(self, graph: ir.Graph, outside: frozenset[ir.Value]) -> None:
        defined = set(outside)
        for value in (*graph.inputs, *graph.initializers.values()):
            if value.producer() is not None:
                _fail(f"input or initializer {value.name!r} is produced by {describe_producer(value)}")
            self.define(value, defined)
        for name, value in graph.initializers.items():
            if value.const_value is None or value.name != name:
                _fail(f"initializer {name!r} has no data or another name ({value.name!r})")
        for node in graph:
            self.node(node, graph, defined)
        for value in graph.outputs:
            if value not in defined or value in outside:
                _fail(f"graph output {value.name!r} is not defined in its graph")

    def node(self, node: ir.Node, graph: ir.Graph, defined: set[ir.Value]) -> None:
        if node.graph is not graph:
            _fail(f"{describe(node)} does not know its graph")
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            if value not in defined:
                _fail(f"{describe(node)} reads {value.name!r} before it is defined")
            if (node, index) not in [tuple(use) for use in value.uses()]:
                _fail(f"{value.name!r} does not know its use by {describe(node)}")
        for nested in graphs_of(node):
            self.graph(nested, frozenset(defined))
        for index, value in enumerate(node.outputs):
            if value.producer() is not node or value.index() != index:
                _fail(f"output {index} of {describe(node)} does not know its producer")
            if value.name != "":
                self.define(value, defined)
            elif value.uses():
                _fail(f"output {index} of {describe(node)} is omitted, but used")

    def define(self, value: ir.Value, defined: set[ir.Value]) -> None:
        name = value.name or ""
        if not name:
            _fail(f"a value of {describe_producer(value)} has no name")
        if self.names.setdefault(name, value) is not value:
            _fail(f"two values are called {value.name!r}")
        for use in value.uses():
            if use.node not in self.nodes:
                _fail(f"{value.name!r} is used by {describe(use.node)}, which is in no graph of the model")
            if use.node.inputs[use.idx] is not value:
                _fail(f"{value.name!r} claims a use by {describe(use.node)} that reads something else")
        defined.add(value)


def describe_producer(value: ir.Value) -> str:
    """The node that a value comes from, in words."""
    producer = value.producer()
    return "a graph" if producer is None else describe(producer)


def _fail(message: str) -> None:
    raise InvalidModelError(f"graph invariant broken: {message}")
