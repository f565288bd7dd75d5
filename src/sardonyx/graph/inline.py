"""Operators that ONNX defines as functions of others, expanded into those.

Functions of the model itself are inlined while its graph is built (``build.GraphBuilder.call``).
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from sardonyx.errors import SardonyxError
from sardonyx.graph.build import Bound, Context, GraphBuilder, Scope
from sardonyx.graph.emit import Emitter, Names, detach
from sardonyx.graph.functions import FunctionTable
from sardonyx.graph.schema import current_opset, current_opsets
from sardonyx.graph.tensors import TensorReader

__all__ = ["expand_function_op"]


def expand_function_op(node: ir.Node) -> list[ir.Node] | None:
    """Replace a node by the function body of its operator, in the newest opset; returns the new nodes.

    Returns None and leaves the graph as it is where ONNX defines no body, or one that depends on types or attributes
    which are not known. Values that take the place of the node's outputs keep their names.
    """
    graph = node.graph
    function = _function_body(node)
    if graph is None or function is None or len(function.output) < len(node.outputs):
        return None
    emitter = Emitter(Names(prefix=f"{node.outputs[0].name}/"))
    outputs = _emit_body(node, function, emitter)
    if outputs is None:
        for added in emitter.nodes:
            detach(added)
        return None
    for value in emitter.initializers:
        graph.register_initializer(value)
    graph.insert_before(node, emitter.nodes)
    for old, new in zip(node.outputs, outputs, strict=True):
        if new is None:
            continue
        name, old.name = old.name, None
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        new.name = name
        new.type, new.shape = new.type or old.type, new.shape or old.shape
    graph.remove(node, safe=True)
    detach(node)
    return emitter.nodes


def _emit_body(node: ir.Node, function: onnx.FunctionProto, emitter: Emitter) -> list[ir.Value | None] | None:
    """Emit the body; returns a value of its own for each output that the node names, or None where that cannot be."""
    builder = GraphBuilder(TensorReader(), FunctionTable(), names=emitter.names)
    scope = Scope()
    for name, captured in _captured_values(node).items():
        scope.define(name, captured)
    # the bodies of preview operators do not say which standard operators they are made of: the newest
    context = Context({**current_opsets(), node.domain: node.version or current_opset(node.domain)})
    given = {a.name: Bound(a, scope, context) for a in _attributes(node, function)}
    try:
        results = builder.call(function, node.inputs, given, context, emitter, scope)
    except SardonyxError:
        return None
    outputs: list[ir.Value | None] = []
    for value, old in zip(results, node.outputs, strict=False):
        if value is None and old.name:
            return None
        if value is not None and (value.producer() not in emitter.nodes or value in outputs):
            value = emitter.op("Identity", value)
        outputs.append(value if old.name else None)
    return outputs


def _attributes(node: ir.Node, function: onnx.FunctionProto) -> list[onnx.AttributeProto]:
    """The attributes of the node that the function asks for, and the defaults of the operator for the others."""
    schema: Any = defs.get_schema(node.op_type, node.version or current_opset(node.domain), node.domain)
    found = [ir.to_proto(a) for a in node.attributes.values() if a.name in function.attribute]
    for name in function.attribute:
        default = schema.attributes[name].default_value
        if name not in node.attributes and default.name:
            found.append(default)
    return found


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
