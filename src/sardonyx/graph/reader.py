"""Reading a model: source -> skeleton -> protos -> checked graph."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy.typing as npt
import onnx
import onnx_ir as ir

from sardonyx.errors import (
    IncompleteModelError,
    InvalidModelError,
    MalformedFileError,
    ModelTooLargeError,
    SardonyxError,
    UnsupportedOpError,
)
from sardonyx.graph.build import Context, GraphBuilder, opset_versions, string_map
from sardonyx.graph.emit import Names, checked_text
from sardonyx.graph.functions import FunctionTable
from sardonyx.graph.model import Metadata, Model
from sardonyx.graph.source import ModelSource, Source, open_source
from sardonyx.graph.tensors import TensorReader
from sardonyx.graph.value_types import decode_type, value_info

__all__ = ["read_model"]


def read_model(
    source: ModelSource | Source,
    *,
    base_dir: str | os.PathLike[str] | None = None,
    custom_ops: Collection[tuple[str, str]] = (),
    supplied: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Model:
    """Read and check a model.

    ``source`` is a path, a bytes-like object, a binary file object, an ``onnx.ModelProto`` or an opened ``Source``;
    ``base_dir`` is the folder of external data where that is not the path's own. ``custom_ops`` are (domain, op_type)
    pairs that are accepted although onnx does not define them; ``supplied`` are arrays that replace initializers.

    Raises InvalidModelError for a broken model, ModelTooLargeError (an InvalidModelError) for one beyond the limits and
    UnsupportedOpError for operators, opsets and types that are not known.
    """
    opened = source if isinstance(source, Source) else open_source(source, base_dir)
    proto = _parse(opened)
    try:
        return _build(proto, opened, custom_ops, supplied or {})
    except SardonyxError as error:
        raise type(error)(f"{opened.name}: {error}") from error
    except RecursionError as error:
        raise ModelTooLargeError(f"{opened.name}: functions and nested graphs are too deep") from error


def _parse(source: Source) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(source.scan.skeleton)
    except Exception as error:  # protobuf's DecodeError, whose module has no type stubs
        raise MalformedFileError(f"{source.name}: not a valid ONNX model: {error}") from error
    return proto


def _build(
    proto: onnx.ModelProto,
    source: Source,
    custom_ops: Collection[tuple[str, str]],
    supplied: Mapping[str, npt.NDArray[Any]],
) -> Model:
    if not proto.HasField("graph"):
        raise IncompleteModelError("there is no graph in it: it is not an ONNX model, or an empty one")
    _check_ir_version(proto.ir_version)
    opsets = _opsets(proto)
    functions = FunctionTable(proto.functions)
    functions.check_size(proto.graph)
    builder = GraphBuilder(
        TensorReader(source, supplied),
        functions,
        frozenset(custom_ops),
        legacy_inputs=proto.ir_version < 4,
        names=Names(_defined_names(proto.graph)),
    )
    graph = builder.graph(proto.graph, None, Context(opsets, keep_names=True))
    declared = {info.name: decode_type(info.type) for info in (*proto.graph.input, *proto.graph.output)}
    ports = {value.name: value_info(value, *declared[value.name or ""]) for value in (*graph.inputs, *graph.outputs)}
    return Model(
        ir.Model(graph, ir_version=onnx.IR_VERSION, producer_name="sardonyx"),
        source,
        _metadata(proto),
        tuple(ports[value.name] for value in graph.inputs if value.const_value is None),
        tuple(ports[value.name] for value in graph.inputs if value.const_value is not None),
        tuple(ports[value.name] for value in graph.outputs),
        opsets,
        proto.ir_version,
    )


def _check_ir_version(version: int) -> None:
    if version < 1:
        raise InvalidModelError(f"IR version {version} does not exist")
    if version > onnx.IR_VERSION:
        raise UnsupportedOpError(
            f"IR version {version} is newer than {onnx.IR_VERSION}, the newest of onnx {onnx.__version__}"
        )


def _opsets(proto: onnx.ModelProto) -> dict[str, int]:
    if not proto.opset_import:
        if proto.ir_version >= 3:
            raise InvalidModelError("it does not say which opset it uses (opset_import)")
        return {"": 1}
    return opset_versions(proto.opset_import)


def _defined_names(graph: onnx.GraphProto) -> list[str]:
    """The names of values of the main graph, which they keep."""
    names = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    names += [tensor.values.name for tensor in graph.sparse_initializer]
    return names + [name for node in graph.node for name in node.output]


def _metadata(proto: onnx.ModelProto) -> Metadata:
    return Metadata(
        checked_text(proto.producer_name),
        checked_text(proto.producer_version),
        checked_text(proto.domain),
        proto.model_version,
        checked_text(proto.doc_string),
        checked_text(proto.graph.name),
        checked_text(proto.graph.doc_string),
        string_map(proto.metadata_props),
    )
