"""What passes have in common: the context they work in, and small edits of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.graph.emit import detach
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.tensors import tensor_of
from sardonyx.ops.inference import GraphInfo, infer_graph
from sardonyx.ops.registry import record

__all__ = ["Rewriter", "is_op", "is_random"]


def is_op(node: ir.Node | None, *op_types: str, domain: str = "") -> bool:
    """Whether a node is one of these operators."""
    return node is not None and node.op_type in op_types and node.domain in (domain, domain or "ai.onnx")


def is_random(node: ir.Node) -> bool:
    """Whether a node may give other results every time it is computed."""
    cls = record(node.op_type, "" if node.domain == "ai.onnx" else node.domain)
    return cls is not None and cls.random


@dataclass
class Rewriter:
    """One pass's view of a graph: inference on demand, and edits that keep it consistent.

    ``info`` is computed when first asked for, and anew after ``changed``: call that after edits whose results the pass
    itself looks at. ``changes`` counts edits. ``main`` is the rewriter of the graph around all others, None for that
    graph itself; what was inferred, and the names that are taken, are those of the whole model.
    """

    graph: ir.Graph
    main: Rewriter | None = None
    changes: int = 0
    _info: GraphInfo | None = None
    _names: set[str] | None = None

    def inside(self, graph: ir.Graph) -> Rewriter:
        """The rewriter of a graph inside of a node of this one."""
        return Rewriter(graph, self.main or self)

    @property
    def info(self) -> GraphInfo:
        if self.main is not None:
            return self.main.info
        if self._info is None:
            self._info = infer_graph(self.graph)
        return self._info

    @property
    def is_inferred(self) -> bool:
        """Whether inference went through the graph: not where it is a branch that is never taken."""
        return all(node in self.info.records for node in self.graph)

    def changed(self) -> None:
        """Forgets what was inferred."""
        (self.main or self)._info = None

    def adopt(self, info: GraphInfo) -> None:
        """Takes inference over from a pass that does it itself, node by node."""
        (self.main or self)._info = info

    def of(self, value: ir.Value | None) -> TensorInfo:
        return TensorInfo() if value is None else self.info.of(value)

    def const(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        """The array of an initializer, None for any other value."""
        if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
            return None
        return np.asarray(value.const_value.numpy())

    def scalar(self, value: ir.Value | None) -> float | None:
        """The number of an initializer with one element."""
        array = self.const(value)
        return (
            float(array.reshape(-1)[0]) if array is not None and array.size == 1 and array.dtype.kind in "fiu" else None
        )

    def sole_reader(self, value: ir.Value) -> ir.Node | None:
        """The only node that reads a value; None when there are more, when it is an output of the graph, or when value
        and node are not in this very graph."""
        uses = value.uses()
        if len(uses) != 1 or value.is_graph_output() or value.graph is not self.graph:
            return None
        node = next(iter(uses)).node
        return node if node.graph is self.graph else None

    # -- edits ---------------------------------------------------------------------------------------------------

    def name(self, hint: str) -> str:
        """A value name that is not taken."""
        if self.main is not None:
            return self.main.name(hint)
        if self._names is None:
            self._names = {v.name for n in self.graph.all_nodes() for v in n.outputs if v.name}
            for graph in (self.graph, *self.graph.subgraphs()):
                self._names |= {v.name for v in graph.inputs if v.name} | set(graph.initializers)
        candidate, count = hint, 0
        while candidate in self._names:
            count += 1
            candidate = f"{hint}_{count}"
        self._names.add(candidate)
        return candidate

    def initializer(self, array: npt.NDArray[Any], hint: str) -> ir.Value:
        """A new initializer."""
        name = self.name(hint)
        tensor = tensor_of(np.ascontiguousarray(array).reshape(array.shape), name)
        value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
        self.graph.register_initializer(value)
        if (self.main or self)._info is not None:
            self.info.add_constant(value)
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        before: ir.Node,
        *,
        domain: str = "",
        attributes: Mapping[str, Any] | None = None,
        name: str = "",
        outputs: int = 1,
    ) -> ir.Node:
        """A new node in front of another."""
        attrs = [ir.convenience.convert_attribute(k, v) for k, v in (attributes or {}).items()]
        made = ir.Node(domain, op_type, list(inputs), attrs, num_outputs=outputs, name=name or None)
        for value in made.outputs:
            value.name = self.name(f"{name or op_type}_out")
        self.graph.insert_before(before, made)
        if (self.main or self)._info is not None:
            self.info.add_node(made)
        self.changes += 1
        return made

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Lets every reader of ``old`` read ``new``; an output of the graph keeps its name."""
        self.changes += 1
        if old.is_graph_output():
            self._replace_output(old, new)
        old.replace_all_uses_with(new)
        if new.dtype is None:
            new.type, new.shape = old.type, old.shape

    def _replace_output(self, old: ir.Value, new: ir.Value) -> None:
        places = [place for place, value in enumerate(self.graph.outputs) if value is old]
        if new.is_graph_input() or new.is_graph_output() or new.is_initializer() or new.graph is not self.graph:
            # two names for one value, or a value of another graph: a copy keeps them apart
            producer = old.producer()
            if producer is None:
                raise AssertionError("an output of the graph without a producer is replaced")
            copy = self.node("Identity", [new], producer)
            new = copy.outputs[0]
        name = old.name
        old.name = self.name(f"{name}_replaced")
        new.name = name
        new.type, new.shape = old.type, old.shape
        for place in places:
            self.graph.outputs[place] = new

    def remove(self, node: ir.Node) -> None:
        """Removes a node that nobody reads any more, with the graphs inside of it."""
        self.graph.remove(node, safe=True)
        detach(node)
        self.changes += 1
