"""Nodes and constants of a graph under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.errors import InvalidModelError
from sardonyx.graph.schema import current_opset, require_schema
from sardonyx.graph.tensors import tensor_of
from sardonyx.graph.value_types import infer_output_types, ir_type, set_type, type_text

__all__ = ["Emitter", "Names", "detach"]

AttributeValue = int | float | str | Sequence[int] | Sequence[float] | Sequence[str] | ir.TensorProtocol | ir.Graph


class Names:
    """Unique names of values: no two values of a model, nested graphs included, share one.

    ``taken`` are names already given; every new one begins with ``prefix``.
    """

    def __init__(self, taken: Sequence[str] = (), prefix: str = "") -> None:
        self._taken = set(taken)
        self._prefix = prefix
        self._next: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """``wanted`` if it is free, else ``wanted__2``, ``wanted__3`` ..."""
        name = wanted = self._prefix + wanted
        while not name or name in self._taken:
            number = self._next.get(wanted, 2)
            self._next[wanted] = number + 1
            name = f"{wanted}__{number}"
        self._taken.add(name)
        return name


class Emitter:
    """Collects the nodes and initializers of one graph, in order.

    ``names`` is shared by all graphs of a model.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []

    def initializer(self, tensor: ir.TensorProtocol, name: str) -> ir.Value:
        """A new constant called ``name``, which no other value has; the tensor is renamed too."""
        value = ir.Value(name=name, shape=ir.Shape(tensor.shape.numpy()), const_value=tensor)
        tensor.name = name
        value.type = ir_type(f"tensor({ir.DataType(tensor.dtype).name.lower()})")
        self.initializers.append(value)
        return value

    def constant(self, array: npt.ArrayLike, hint: str = "constant", dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A new constant from an array; integers are int64 unless ``dtype`` says otherwise."""
        data = np.asarray(array, dtype=dtype)
        return self.initializer(tensor_of(data), self.names.unique(hint))

    def ints(self, numbers: Sequence[int], hint: str = "constant") -> ir.Value:
        """A new int64 constant of rank 1."""
        return self.constant(np.array(numbers, np.int64), hint)

    def op(
        self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, domain: str = "", **attributes: AttributeValue
    ) -> ir.Value:
        """Append a node of the newest opset; returns its first output."""
        attrs = [ir.convenience.convert_attribute(name, value) for name, value in attributes.items()]
        node = ir.Node(domain, op_type, inputs, attrs, num_outputs=outputs, version=current_opset(domain), name=op_type)
        self.append(node)
        return node.outputs[0]

    def own(
        self, op_type: str, *inputs: ir.Value | None, types: Sequence[ir.DataType], **attributes: AttributeValue
    ) -> Sequence[ir.Value]:
        """Append a node of an operator of our own (domain ``sardonyx``); returns its outputs, of these types."""
        attrs = [ir.convenience.convert_attribute(name, value) for name, value in attributes.items()]
        node = ir.Node("sardonyx", op_type, inputs, attrs, num_outputs=len(types), version=1, name=op_type)
        for value, element in zip(node.outputs, types, strict=True):
            value.type, value.name = ir.TensorType(element), self.names.unique(f"{op_type}_out")
        self.nodes.append(node)
        return node.outputs

    def append(self, node: ir.Node) -> None:
        """Append a node, infer the types of its outputs and name those that have no name."""
        assign_output_types(node)
        for value in node.outputs:
            if value.name is None:
                value.name = self.names.unique(f"{node.name or node.op_type}_out")
        self.nodes.append(node)


def assign_output_types(node: ir.Node) -> None:
    """Set the types of a node's outputs where its schema tells them."""
    schema = require_schema(node.domain, node.op_type, node.version or current_opset(node.domain))
    try:
        texts = infer_output_types(node, schema)
    except InvalidModelError as error:
        raise InvalidModelError(f"{describe(node)}: {error}") from None
    for value, text in zip(node.outputs, texts, strict=True):
        if text is not None and type_text(value) is None:
            set_type(value, text)


def describe(node: ir.Node) -> str:
    """A node in words, for messages: operator, opset and name."""
    domain = node.domain or "ai.onnx"
    name = f" {shorten(node.name)!r}" if node.name else ""
    return f"node{name} ({domain} {node.op_type}, opset {node.version})"


def shorten(text: str) -> str:
    """At most 100 characters of a name that a file chose."""
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text)} characters)"


def checked_text(text: str) -> str:
    """A string of the file; protobuf hands out bytes where it is not valid UTF-8, which raises InvalidModelError."""
    if not isinstance(text, str):
        raise InvalidModelError(f"the name {text!r} is not valid UTF-8")
    return text


def detach(node: ir.Node) -> None:
    """Make a node, and those of graphs inside of it, let go of the values they read: it is about to be dropped."""
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph().all_nodes():
                for index in range(len(inner.inputs)):
                    inner.replace_input_with(index, None)


def replace_inputs(node: ir.Node, inputs: Sequence[ir.Value | None]) -> None:
    """Give a node another list of inputs."""
    node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        if node.inputs[index] is not value:
            node.replace_input_with(index, value)


def set_attributes(node: ir.Node, values: Mapping[str, Any]) -> None:
    """Set attributes of a node from Python values."""
    for name, value in values.items():
        node.attributes[name] = ir.convenience.convert_attribute(name, value)
