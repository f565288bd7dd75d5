"""The graph as the passes left it, as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping

import onnx
import onnx_ir as ir

from sardonyx.graph.model import Model

__all__ = ["model_proto", "save_model"]

_MAX_INSIDE = 1 << 30
_OLDEST_IR_VERSION = 10  # what readers of the newest operator sets know; the graph uses nothing newer


def save_model(model: Model, path: str | os.PathLike[str], external: str = "", threshold: int = 1024) -> None:
    """Writes a model; weights of at least ``threshold`` bytes go into the file ``external`` beside it.

    Without a name for that file, all are inside, unless they are so large that protobuf could not hold them.
    """
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    if not external and size <= _MAX_INSIDE:
        onnx.save(model_proto(model), path)
        return
    name = external or f"{os.path.basename(path)}.data"
    ir.save(model.ir, path, external_data=name, size_threshold_bytes=threshold)
    onnx.save(_described(onnx.load(path, load_external_data=False), model), path)


def model_proto(model: Model) -> onnx.ModelProto:
    """A model as a proto, with what its author wrote about it."""
    return _described(ir.to_proto(model.ir), model)


def _described(proto: onnx.ModelProto, model: Model) -> onnx.ModelProto:
    """With the metadata of the original, the declared sizes of its outputs, and imports of what is used alone."""
    about = model.metadata
    proto.ir_version = max(model.ir_version, _OLDEST_IR_VERSION)
    proto.producer_name, proto.producer_version = about.producer_name, about.producer_version
    proto.domain, proto.model_version, proto.doc_string = about.domain, about.version, about.description
    proto.graph.name, proto.graph.doc_string = about.graph_name or "graph", about.graph_description
    onnx.helper.set_model_props(proto, dict(about.custom))
    imports: Mapping[str, int] = {entry.domain: entry.version for entry in proto.opset_import}
    used = {node.domain for node in _nodes(proto.graph)} | {""}
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(name, imports.get(name, 1)) for name in sorted(used))
    declared = {port.name: port for port in model.outputs}
    for output in proto.graph.output:
        port = declared.get(output.name)
        if port is not None and port.shape is not None and not output.type.tensor_type.HasField("shape"):
            shape = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, port.shape).tensor_type.shape
            output.type.tensor_type.shape.CopyFrom(shape)
    return proto


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                found += _nodes(inner)
    return found
