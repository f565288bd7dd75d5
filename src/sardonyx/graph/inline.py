"""Operators that ONNX defines as functions of others, expanded into those.

Functions of the model itself are inlined while its graph is built (``build.GraphBuilder.call``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from sardonyx.errors import SardonyxError
from sardonyx.graph.build import Bound, Context, GraphBuilder, Scope
from sardonyx.graph.emit import Emitter, Names
from sardonyx.graph.functions import FunctionTable
from sardonyx.graph.schema import current_opset
from sardonyx.graph.tensors import TensorReader

__all__ = ["Expansion", "expand_function_op"]


@dataclass(frozen=True)
class Expansion:
    """What an operator's function body turns into: nodes in order, their constants and the values of its outputs."""

    node: ir.Node
    nodes: list[ir.Node]
    initializers: list[ir.Value]
    outputs: list[ir.Value]

    def apply(self) -> None:
        """Put the expansion in the node's place in its graph; values keep the names of the node's outputs."""
        graph = self.node.graph
        assert graph is not None, "the node is in no graph"
        for value in self.initializers:
            graph.register_initializer(value)
        graph.insert_before(self.node, self.nodes)
        for old, new in zip(self.node.outputs, self.outputs, strict=False):
            name, old.name = old.name, None
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            new.name = name
            new.type, new.shape = new.type or old.type, new.shape or old.shape
        graph.remove(self.node, safe=True)


def expand_function_op(node: ir.Node) -> Expansion | None:
    """The function body of a node's operator in the newest opset, or None where ONNX defines none for it.

    The graph is left as it is; see ``Expansion.apply``. Types of the inputs must be known where the body depends on
    them.
    """
    function = _function_body(node)
    if function is None or len(function.output) < len(node.outputs):
        return None
    emitter = Emitter(Names(prefix=f"{node.outputs[0].name}/"))
    builder = GraphBuilder(TensorReader(), FunctionTable(), names=emitter.names)
    scope = Scope()
    for name, value in _captured_values(node).items():
        scope.define(name, value)
    context = Context({node.domain: node.version or current_opset(node.domain)})
    given = {a.name: Bound(ir.to_proto(a), scope, context) for a in node.attributes.values()}
    known = {*function.attribute, *(proto.name for proto in function.attribute_proto)}
    given = {name: bound for name, bound in given.items() if name in known}
    try:
        results = builder.call(function, node.inputs, given, context, emitter, scope)
    except SardonyxError:
        return None  # the body needs something that this node does not tell
    outputs: list[ir.Value] = []
    for result in results[: len(node.outputs)]:
        if result is None:
            return None
        value = result
        own = value.producer() in emitter.nodes and not any(value is other for other in outputs)
        outputs.append(value if own else emitter.op("Identity", value))
    return Expansion(node, emitter.nodes, emitter.initializers, outputs)


def _function_body(node: ir.Node) -> onnx.FunctionProto | None:
    opset = node.version or current_opset(node.domain)
    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)  # the stubs lack what concerns functions
    except defs.SchemaError:
        return None
    function = onnx.FunctionProto()
    if schema.has_function:
        newest = max((v for v in schema.function_opset_versions if v <= opset), default=schema.since_version)
        function.ParseFromString(schema.get_function_with_opset_version(newest))
    elif schema.has_context_dependent_function:
        types = [_type_proto(value).SerializeToString() for value in node.inputs]
        versions = schema.context_dependent_function_opset_versions
        newest = max((v for v in versions if v <= opset), default=schema.since_version)
        content = ir.to_proto(node).SerializeToString()
        function.ParseFromString(schema.get_context_dependent_function_with_opset_version(newest, content, types))
    else:
        return None
    return function if function.node else None


def _type_proto(value: ir.Value | None) -> onnx.TypeProto:
    if value is None or value.type is None:
        return onnx.TypeProto()
    return ir.to_proto(ir.Value(name="type", type=value.type, shape=value.shape)).type


def _captured_values(node: ir.Node) -> dict[str, ir.Value]:
    """The values that graphs among the node's attributes take from around them, by name."""
    captured: dict[str, ir.Value] = {}
    for attribute in node.attributes.values():
        if attribute.type != ir.AttributeType.GRAPH:
            continue
        inside = {attribute.as_graph(), *attribute.as_graph().subgraphs()}
        for inner in attribute.as_graph().all_nodes():
            for value in inner.inputs:
                if value is not None and value.graph not in inside:
                    captured[value.name or ""] = value
    return captured
