"""Parts of a graph that wait for ranks: models of their own, compiled when a run shows the ranks of their inputs.

The rank of a value can depend on data: the branches of an If may differ in it, or a shape has as many elements as a run
finds. Kernels know the ranks of what they work on, so what follows from such a value is compiled once for each
combination that comes (``runtime.late``): of ranks, and of the last sizes of those inputs that are *counted* because
they give sizes, axes or index tuples.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from sardonyx.compiler.steps import Late, is_constant, node_inputs
from sardonyx.graph.schema import current_opsets
from sardonyx.ops.inference import GraphInfo, node_label
from sardonyx.ops.lowered import counted_inputs
from sardonyx.runtime.late import Form, LateStep

__all__ = ["late_step", "with_forms"]


def late_step(part: Late, info: GraphInfo) -> LateStep:
    """The step of a part; its recipe is a model whose inputs lack shapes where the rank is not known."""
    graph = onnx.GraphProto(name="part")
    graph.node.extend(ir.to_proto(node) for node in part.nodes)
    read = dict.fromkeys(value for node in part.nodes for value in node_inputs(node))
    for value in read:
        if is_constant(value) and value.const_value is not None:
            proto = ir.to_proto(value.const_value)
            proto.name = value.name or ""
            graph.initializer.append(proto)
    graph.input.extend(_port(value, info) for value in part.inputs)
    graph.output.extend(onnx.ValueInfoProto(name=value.name or "") for value in part.outputs)
    counted = {value for node in part.nodes for value in counted_inputs(node, info)}
    model = onnx.ModelProto(ir_version=onnx.IR_VERSION, graph=graph)
    domains = {"", *(node.domain for node in part.nodes)}
    for domain in sorted(domains):
        version = current_opsets().get(domain, 1)
        model.opset_import.append(onnx.OperatorSetIdProto(domain=domain, version=version))
    name = ", ".join(f"{node_label(node)} ({node.op_type})" for node in part.nodes[:3])
    return LateStep(
        name + (" ..." if len(part.nodes) > 3 else ""),
        tuple(value.name or "" for value in part.inputs),
        tuple(value.name or "" for value in part.outputs),
        model.SerializeToString(),
        with_forms,
        tuple(value.name or "" for value in part.inputs if value in counted),
    )


def _port(value: ir.Value, info: GraphInfo) -> onnx.ValueInfoProto:
    known = info.of(value)
    sizes: Any = None if known.shape is None else [d if isinstance(d, int) else None for d in known.shape]
    return onnx.helper.make_tensor_value_info(value.name or "", info.dtype(value).onnx, sizes)


def with_forms(recipe: bytes, forms: tuple[Form, ...]) -> bytes:
    """The model of a part whose inputs have these ranks and, where they are counted, last sizes."""
    model = onnx.ModelProto.FromString(recipe)
    for port, (rank, last) in zip(model.graph.input, forms, strict=True):
        kind = port.type.tensor_type
        if not kind.HasField("shape"):
            kind.shape.SetInParent()
            for _ in range(rank):
                kind.shape.dim.add()
        if last is not None:
            kind.shape.dim[-1].dim_value = last
    return bytes(model.SerializeToString())
