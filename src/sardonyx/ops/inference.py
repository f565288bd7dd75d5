"""Inference over a graph: each node's record, and what is known of each value."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.errors import InvalidModelError, ModelTooLargeError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.model import Model
from sardonyx.graph.shape_inference import onnx_output_shapes
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.registry import decode
from sardonyx.symbols import Dim, Expr, symbol

__all__ = ["GraphInfo", "declared_info", "fix_dimensions", "infer_graph", "node_attributes", "node_label"]

_RESERVED = re.compile(r"^[disv]\d+$")  # the symbols that kernels use for positions, sizes and loaded indices


@dataclass
class GraphInfo:
    """What inference found: per value, its TensorInfo; per node, its record (None: no record) and infer context.

    ``checks`` has, by node, pairs of sizes that must be equal when the model runs, with the message of the error if
    they are not.
    """

    values: dict[ir.Value, TensorInfo] = field(default_factory=dict)
    records: dict[ir.Node, Op | None] = field(default_factory=dict)
    contexts: dict[ir.Node, InferContext] = field(default_factory=dict)
    checks: dict[ir.Node, list[tuple[Dim, Dim, str]]] = field(default_factory=dict)
    _counter: Any = field(default_factory=itertools.count)

    def fresh(self, hint: str) -> Expr:
        """A new symbol for a size that nothing is known of."""
        return symbol(f"{hint}#{next(self._counter)}")

    def of(self, value: ir.Value) -> TensorInfo:
        """The info of a value; an empty one for a value that was never inferred."""
        return self.values.get(value) or TensorInfo()

    # -- building ------------------------------------------------------------------------------------------------

    def add_declared(self, value: ir.Value) -> None:
        """A graph input: its declared type, unnamed sizes as fresh symbols."""
        dtype = _declared_dtype(value)
        shape: tuple[Dim, ...] | None = None
        if dtype is not None and value.shape is not None:
            shape = tuple(
                self._declared_size(size, value.name or "input", axis) for axis, size in enumerate(value.shape)
            )
        self.values[value] = TensorInfo(dtype, shape)

    def _declared_size(self, size: Any, name: str, axis: int) -> Dim:
        if isinstance(size, int):
            return size if size >= 0 else self.fresh(f"{name}_{axis}")
        text = getattr(size, "value", None)
        if not isinstance(text, str) or not text:
            return self.fresh(f"{name}_{axis}")
        return symbol(f"_{text}" if _RESERVED.match(text) else text)

    def add_constant(self, value: ir.Value) -> None:
        """An initializer: its type, sizes and array."""
        tensor = value.const_value
        if tensor is None:
            raise InvalidModelError(f"initializer {value.name!r} has no data")
        dtype = dtypes.from_onnx(int(tensor.dtype))
        array = np.asarray(tensor.numpy())
        self.values[value] = TensorInfo.of_array(array, dtype)

    def add_node(self, node: ir.Node) -> None:
        """Decodes a node and infers its outputs."""
        record = None
        if not any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            record = decode(node.op_type, _domain(node), node_attributes(node), node_label(node))
        inputs = tuple(None if value is None else self.of(value) for value in node.inputs)
        ctx = InferContext(
            node_label(node), node.op_type, inputs, len(node.outputs), self.fresh, partial(self._require, node)
        )
        self.records[node], self.contexts[node] = record, ctx
        for value, info in zip(node.outputs, self._infer(node, record, ctx), strict=False):
            self.values[value] = info

    def _require(self, node: ir.Node, a: Dim, b: Dim, message: str) -> None:
        self.checks.setdefault(node, []).append((a, b, message))

    def _infer(self, node: ir.Node, record: Op | None, ctx: InferContext) -> Sequence[TensorInfo]:
        if record is not None and all(info is None or info.shape is not None for info in ctx.inputs):
            try:
                return record.infer(ctx)
            except ModelTooLargeError:
                pass  # a symbolic size grew too large to follow: it becomes a symbol of its own
        shapes = onnx_output_shapes(node, ctx.inputs, self.opset(node))
        return [self._unknown(_declared_dtype(value), shape) for value, shape in zip(node.outputs, shapes, strict=True)]

    def _unknown(self, dtype: DType | None, shape: tuple[int | None, ...] | None) -> TensorInfo:
        if shape is None or dtype is None:
            return TensorInfo(dtype)
        return TensorInfo(dtype, tuple(self.fresh("size") if size is None else size for size in shape))

    @staticmethod
    def opset(node: ir.Node) -> int:
        """The operator set version that a node is written in."""
        if node.version is not None:
            return node.version
        imports = {} if node.graph is None else node.graph.opset_imports
        return imports.get(node.domain, imports.get("", 1))


def infer_graph(graph: ir.Graph) -> GraphInfo:
    """Infers every value of a graph (subgraphs of control flow are left to their own sessions).

    Raises InvalidModelError, naming the node, where inputs cannot go together.
    """
    info = declared_info(graph)
    for node in graph:
        info.add_node(node)
    return info


def declared_info(graph: ir.Graph) -> GraphInfo:
    """What is known before any node is looked at: constants and declared inputs."""
    info = GraphInfo()
    for value in graph.initializers.values():
        if not value.is_graph_input():  # an initializer that is an input too is only its default
            info.add_constant(value)
    for value in graph.inputs:
        info.add_declared(value)
    return info


def node_attributes(node: ir.Node) -> dict[str, Any]:
    """A node's attributes as Python values: int, float, str, tuples of those, arrays for tensors."""
    return {name: _plain(attribute) for name, attribute in node.attributes.items() if not attribute.is_ref()}


def _plain(attribute: ir.Attr) -> Any:
    value = attribute.value
    if isinstance(value, (list, tuple)):
        return tuple(value)
    if attribute.type == ir.AttributeType.STRING:
        return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    if attribute.type == ir.AttributeType.TENSOR:
        return np.asarray(attribute.as_tensor().numpy())
    return value


def node_label(node: ir.Node) -> str:
    """A name for messages: the node's own, or its first output's."""
    return node.name or next((value.name or "" for value in node.outputs if value.name), "") or node.op_type


def _domain(node: ir.Node) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _declared_dtype(value: ir.Value) -> DType | None:
    if value.dtype is None or not isinstance(value.type, ir.TensorType):
        return None
    return dtypes.from_onnx(int(value.dtype))


def fix_dimensions(model: Model, sizes: Mapping[str, int], denoted: Mapping[str, int]) -> None:
    """Replaces sizes of the model's inputs and outputs, by their name or their denotation, by numbers."""
    fixed, places = dict(sizes), {}
    for value in model.graph.inputs:
        for axis, size in enumerate(value.shape or ()):
            number = denoted.get((value.shape.get_denotation(axis) if value.shape is not None else None) or "")
            if number is not None and not isinstance(size, int):
                places[value.name, axis] = number
                fixed.setdefault(getattr(size, "value", None) or "", number)
    fixed.pop("", None)
    if not fixed and not places:
        return

    def sized(name: str | None, axis: int, size: Any) -> Any:
        named = size if isinstance(size, str) else getattr(size, "value", None) or ""
        return size if isinstance(size, int) else places.get((name, axis), fixed.get(named, size))

    for value in model.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([sized(value.name, axis, size) for axis, size in enumerate(value.shape)])
    model.inputs, model.optional_inputs, model.outputs = (
        tuple(
            port
            if port.shape is None
            else replace(port, shape=tuple(sized(port.name, axis, size) for axis, size in enumerate(port.shape)))
            for port in ports
        )
        for ports in (model.inputs, model.optional_inputs, model.outputs)
    )
