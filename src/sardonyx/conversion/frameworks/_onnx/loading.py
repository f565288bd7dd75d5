"""Models with all their data, read so that a file cannot reach beyond its folder, and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx

from sardonyx.conversion.source import Source
from sardonyx.errors import ConversionError, SardonyxError
from sardonyx.graph.external import map_file
from sardonyx.graph.reader import read_model
from sardonyx.graph.source import Source as GraphSource
from sardonyx.graph.tensors import TensorReader
from sardonyx.ops.registry import foreign_operators

__all__ = ["checked", "drop_unread", "graphs_in", "load", "nodes_in", "read_names", "without_constant_inputs"]

_LARGEST_MESSAGE = (1 << 31) - 1
_FIRST_WITH_DEFAULTS = 4
"""The IR version since which an initializer that is listed as an input can be fed."""


def load(source: Source, base_dir: str | os.PathLike[str] | None = None) -> onnx.ModelProto:
    """A copy of a model with the external data inside. ``base_dir`` is the folder of that data, by default the file's
    own. Raises ConversionError for what is no model, and for external data that is missing or leads out of the
    folder."""
    model = onnx.ModelProto()
    if source.path is None:
        model.CopyFrom(source.object)
    else:
        _parse(source.path, model)
    folders: tuple[Path, ...] = () if base_dir is None else (Path(base_dir),)
    if source.path is not None and not folders:
        folders = (source.path.parent, Path(os.path.realpath(source.path)).parent)
    try:
        _take_in(model, TensorReader(GraphSource(memoryview(b""), source.path, folders)))
    except SardonyxError as error:
        raise ConversionError(f"{source}: {error}") from error
    return model


def _parse(path: Path, model: onnx.ModelProto) -> None:
    try:
        data, _ = map_file(path)
    except SardonyxError as error:
        raise ConversionError(str(error)) from error
    if len(data) > _LARGEST_MESSAGE:
        raise ConversionError(f"{path} has {len(data)} bytes, but one ONNX file holds 2 GB: it is damaged or no model")
    try:
        model.ParseFromString(bytes(data))
    except Exception as error:  # protobuf's DecodeError, whose module has no type stubs
        raise ConversionError(
            f"{path} was taken for an ONNX model by its name, but it is not one, or it is damaged or cut off: {error}; "
            "export or copy it again"
        ) from error


def _take_in(model: onnx.ModelProto, reader: TensorReader) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            try:
                data = reader.tensor(tensor).tobytes()
            except SardonyxError as error:
                raise ConversionError(f"tensor {tensor.name!r}: {error}") from error
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = data


def checked(model: onnx.ModelProto, source: Source) -> None:
    """Raises ConversionError, with the node's name, for a model that contradicts the specification or itself."""
    try:
        read_model(model, custom_ops=foreign_operators())
    except SardonyxError as error:
        text = str(error).removeprefix("<model>: ")
        raise ConversionError(f"{source} was recognised as an ONNX model, but it cannot be used: {text}") from error


def without_constant_inputs(model: onnx.ModelProto) -> bool:
    """Before IR version 4 every initializer had to be listed as an input; whether that was the case and is so no
    longer."""
    if model.ir_version >= _FIRST_WITH_DEFAULTS:
        return False
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    changed = len(kept) < len(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = _FIRST_WITH_DEFAULTS
    return changed


def drop_unread(model: onnx.ModelProto) -> None:
    """Removes the weights that nobody reads any more."""
    read = read_names(model.graph) | {value.name for value in model.graph.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def read_names(graph: onnx.GraphProto) -> set[str]:
    """The values that nodes of a graph, or of those inside of it, read or that are outputs."""
    found: set[str] = set()
    for inner in graphs_in(graph):
        found |= {name for node in inner.node for name in node.input} | {value.name for value in inner.output}
    return found


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and those in the attributes of its nodes, outer ones first."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from graphs_in(inner)


def nodes_in(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of a model, those of functions and nested graphs included."""
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        yield from _nodes(nodes)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _nodes(inner.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = list(graphs_in(model.graph))
    for node in nodes_in(model):
        for attribute in node.attribute:
            graphs += [*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs]
            yield from (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors)
            for sparse in [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ():
                yield from (sparse.values, sparse.indices)
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
