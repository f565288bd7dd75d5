"""Nodes without a lowering: host steps, computed by their own record, and Python steps, by onnx's reference
implementation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from sardonyx.compiler.steps import node_inputs
from sardonyx.ops.inference import GraphInfo, node_attributes, node_label
from sardonyx.ops.registry import decode
from sardonyx.runtime.program import HostStep, PythonStep

__all__ = ["host_function", "host_step", "python_step", "reference_function"]


def host_step(node: ir.Node, info: GraphInfo) -> HostStep:
    """A node whose record computes it on Python objects."""
    names = [value.name or "" if value is not None else "" for value in node.inputs]
    outputs = tuple(value.name or "" for value in node.outputs)
    recipe = ir.to_proto(node).SerializeToString()
    return HostStep(node_label(node), node.op_type, tuple(names), outputs, host_function(recipe), recipe)


def host_function(recipe: bytes) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The function of a host step, from its recipe: the node."""
    proto = onnx.NodeProto.FromString(recipe)
    proto.ClearField("input")  # onnx_ir would look for the values in a graph
    node = ir.from_proto(proto)
    record = decode(node.op_type, node.domain, node_attributes(node), node_label(node))
    if record is None:
        raise ValueError(f"no record for {node.domain}::{node.op_type}")
    compute, count = record.host, len(node.outputs)
    return lambda values: compute(*values)[:count]


def python_step(node: ir.Node, info: GraphInfo) -> PythonStep:
    """A node as a step on numpy arrays; what its subgraphs capture become further inputs."""
    given = list(node.inputs)
    captured = [value for value in node_inputs(node)[len([v for v in given if v is not None]) :] if value not in given]
    names = [value.name or "" if value is not None else "" for value in [*given, *captured]]
    outputs = tuple(value.name or "" for value in node.outputs)
    recipe = _model(node, [name for name in dict.fromkeys(names) if name], info).SerializeToString()
    return PythonStep(node_label(node), node.op_type, tuple(names), outputs, reference_function(recipe), recipe)


def reference_function(recipe: bytes) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The function of a step, from its recipe: a model of one node whose inputs are the step's non-empty names."""

    @functools.cache
    def evaluator() -> tuple[Any, tuple[str, ...]]:
        from onnx.reference import ReferenceEvaluator

        model = onnx.ModelProto.FromString(recipe)
        names = [value.name for value in model.graph.input]
        return ReferenceEvaluator(model), tuple(names)

    def run(values: Sequence[Any]) -> Sequence[Any]:
        session, names = evaluator()
        node = session.proto_.graph.node[0]
        order = [*node.input, *(name for name in names if name not in set(node.input))]
        feeds = {name: value for name, value in zip(order, values, strict=True) if name}
        wanted = [name for name in node.output if name]
        results = dict(zip(wanted, session.run(wanted, feeds), strict=True))
        return [results.get(name) for name in node.output]

    return run


def _model(node: ir.Node, inputs: Sequence[str], info: GraphInfo) -> onnx.ModelProto:
    proto = ir.to_proto(node)
    imports = dict(node.graph.opset_imports) if node.graph is not None else {}
    imports[node.domain] = info.opset(node)
    imports.setdefault("", onnx.defs.onnx_opset_version())
    graph = onnx.GraphProto(name="step")
    graph.node.append(proto)
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in inputs)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output if name)
    model = onnx.ModelProto(ir_version=onnx.IR_VERSION, graph=graph)
    for domain, version in imports.items():
        model.opset_import.append(onnx.OperatorSetIdProto(domain=domain, version=version))
    return model
