"""Inference over a graph: each node's record, and what is known of each value."""

from __future__ import annotations

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
from sardonyx.graph.value_types import DECLARED_SHAPE
from sardonyx.ops.base import Control, Elementwise, InferContext, Op
from sardonyx.ops.registry import decode
from sardonyx.ops.size_symbols import SizeSymbols
from sardonyx.ops.types import type_info
from sardonyx.symbols import Dim, Expr, free_symbols, symbol

__all__ = [
    "GraphInfo",
    "declared_info",
    "declared_type",
    "fix_dimensions",
    "infer_graph",
    "node_attributes",
    "node_label",
]

MAX_ELEMENTS = 32
"""Tensors with more elements than this get no symbols for them."""
MAX_DEPTH = 8
"""How far contents are followed back through operators that move them."""
_RESERVED = re.compile(r"^[disv]\d+$")  # the symbols that kernels use for positions, sizes and loaded indices

ROUNDS = 4
MAX_NESTING = 4
MAX_DEEP_BODIES = 1000


@dataclass
class GraphInfo:
    """What inference found: per value, its TensorInfo; per node, its record (None: no record) and infer context.

    ``checks`` has, by node, pairs of sizes that must be equal when the model runs, with the message of the error if
    they are not; ``counted`` has, by node, the symbols of sizes that its kernels count.
    """

    values: dict[ir.Value, TensorInfo] = field(default_factory=dict)
    records: dict[ir.Node, Op | None] = field(default_factory=dict)
    contexts: dict[ir.Node, InferContext] = field(default_factory=dict)
    checks: dict[ir.Node, list[tuple[Dim, Dim, str]]] = field(default_factory=dict)
    counted: dict[ir.Node, set[str]] = field(default_factory=dict)
    symbols: SizeSymbols = field(default_factory=SizeSymbols)
    _contents: dict[ir.Value, dict[int, tuple[Dim, ...]]] = field(default_factory=dict)
    _depth: int = 0
    _deep_bodies: int = 0

    def fresh(self, hint: str) -> Expr:
        """A new symbol for a size that nothing is known of."""
        return self.symbols.fresh(hint)

    def of(self, value: ir.Value) -> TensorInfo:
        """The info of a value; an empty one for a value that was never inferred."""
        return self.values.get(value) or TensorInfo()

    def dtype(self, value: ir.Value) -> DType:
        """The dtype of a value that is known to have one."""
        dtype = self.of(value).dtype
        if dtype is None:
            raise AssertionError(f"{value.name!r} has no known dtype")
        return dtype

    # -- building ------------------------------------------------------------------------------------------------

    def add_ports(self, graph: ir.Graph) -> None:
        """Constants and inputs of a graph, as they are declared."""
        for value in graph.initializers.values():
            if not value.is_graph_input():  # an initializer that is an input too is only its default
                self.add_constant(value)
        for value in graph.inputs:
            self.add_declared(value)

    def add_declared(self, value: ir.Value) -> None:
        """A graph input: its declared type, unnamed sizes as fresh symbols."""
        info = declared_type(value)
        if info.dtype is not None and value.shape is not None:
            shape = tuple(
                self._declared_size(size, value.name or "input", axis) for axis, size in enumerate(value.shape)
            )
            info = replace(info, shape=shape)
        self.values[value] = info

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
        """Decodes a node and infers its outputs, and the values of graphs among its attributes."""
        record = decode(node.op_type, _domain(node), node_attributes(node), node_label(node))
        begun = self.symbols.made
        self._forget(node)
        inputs = [None if value is None else self.of(value) for value in node.inputs]
        for index, value in enumerate(node.inputs):
            if record is not None and value is not None and index in record.sized_by:
                inputs[index] = self._with_contents(
                    value, self._length(node, value) if index == record.rank_by else None
                )
        ctx = InferContext(
            node_label(node),
            node.op_type,
            tuple(inputs),
            len(node.outputs),
            self.fresh,
            partial(self._require, node),
            self._add_body,
            lambda size: self.symbols.newer(size, begun),
            self._patience(),
            self.symbols.natural,
            self.symbols.define,
            self.symbols.from_data,
            partial(self._count, node),
        )
        self.records[node], self.contexts[node] = record, ctx
        for value, info in zip(node.outputs, self._infer(node, record, ctx), strict=False):
            self.values[value] = info

    def _add_body(self, graph: ir.Graph, inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
        """Infers a graph inside of a node from what is known of its inputs; gives what is known of its outputs."""
        for value in graph.initializers.values():
            self.add_constant(value)
        for value, info in zip(graph.inputs, inputs, strict=True):
            self.values[value] = info
            self._contents.pop(value, None)  # symbols of an earlier round would seem to come from outside
        self._depth += 1
        self._deep_bodies += self._depth > MAX_NESTING
        for node in graph:
            self.add_node(node)
        self._depth -= 1
        return [self.of(value) for value in graph.outputs]

    def _patience(self) -> int:
        """The rounds of loops inside of loops multiply: a hostile graph must not make inference endless."""
        if self._depth < MAX_NESTING:
            return ROUNDS
        return int(self._deep_bodies < MAX_DEEP_BODIES)

    def _forget(self, node: ir.Node) -> None:
        """What an earlier round found about a node of a loop's body."""
        self.checks.pop(node, None)
        self.counted.pop(node, None)
        for value in node.outputs:
            self._contents.pop(value, None)

    def _require(self, node: ir.Node, a: Dim, b: Dim, message: str) -> None:
        self.checks.setdefault(node, []).append((a, b, message))

    def _count(self, node: ir.Node, hint: str, limit: Dim) -> Expr:
        made = self.symbols.count(hint, limit)
        self.counted.setdefault(node, set()).update(free_symbols(made))
        return made

    def _length(self, node: ir.Node, value: ir.Value) -> int | None:
        """How many elements a shape must have for the rank that the model declares of the result."""
        declared, shape = node.outputs[0].meta.get(DECLARED_SHAPE), self.of(value).shape
        if declared is None or shape is None or len(shape) != 1 or isinstance(shape[0], int):
            return None
        label, rank = node_label(node), len(declared)
        self._require(
            node, shape[0], rank, f"node {label!r}: the shape must have {rank} elements, as the model declares"
        )
        return rank

    def _with_contents(self, value: ir.Value, length: int | None = None, depth: int = MAX_DEPTH) -> TensorInfo:
        """What is known of a value, with symbols for its elements where it is a small tensor of integers.

        ``length`` is what is expected of a tensor of unknown length.
        """
        info = self.of(value)
        small = info.shape is not None and len(info.shape) <= 1 and info.dtype is not None and info.dtype.is_integer
        if info.const is not None or info.values is not None or info.shape is None or not small:
            return info
        count = info.shape[0] if info.shape else 1
        if not isinstance(count, int):
            if length is None:
                return info
            count = length
        if count > MAX_ELEMENTS:
            return info
        known = self._contents.setdefault(value, {})
        if count not in known:
            moved = self._moved_contents(value, depth) if depth and length is None else None
            known[count] = moved or tuple(self.symbols.element(value, k) for k in range(count))
        return replace(info, shape=(count,) if info.shape else (), values=known[count])

    def _moved_contents(self, value: ir.Value, depth: int) -> tuple[Dim, ...] | None:
        """Contents that are put together from others (Concat): of these, some may be known."""
        node = value.producer()
        record = None if node is None else self.records.get(node)
        if node is None or record is None or isinstance(record, Elementwise | Control):
            return None
        ctx = self.contexts[node]
        if any(info is not None and info.shape is None for info in ctx.inputs):
            return None
        given = [None if source is None else self._with_contents(source, depth=depth - 1) for source in node.inputs]
        if all(new is None or new is old for new, old in zip(given, ctx.inputs, strict=True)):
            return None
        quiet = InferContext(ctx.node, ctx.op_type, tuple(given), ctx.outputs, self.fresh, define=ctx.define)
        infos = record.infer(quiet)
        return None if infos is None else infos[value.index() or 0].values

    def _infer(self, node: ir.Node, record: Op | None, ctx: InferContext) -> Sequence[TensorInfo]:
        if record is not None and (
            record.any_rank or all(info is None or info.shape is not None for info in ctx.inputs)
        ):
            try:
                infos = record.infer(ctx)
                if infos is not None:
                    return [self._typed(value, info) for value, info in zip(node.outputs, infos, strict=False)]
            except ModelTooLargeError:
                pass  # a symbolic size grew too large to follow: it becomes a symbol of its own
        shapes = onnx_output_shapes(node, ctx.inputs, self.opset(node))
        return [self._unknown(declared_type(value), shape) for value, shape in zip(node.outputs, shapes, strict=True)]

    @staticmethod
    def _typed(value: ir.Value, info: TensorInfo) -> TensorInfo:
        """The info with the type that the reader found, where the record could not tell any."""
        return info if info.dtype is not None or info.is_container else declared_type(value)

    def _unknown(self, info: TensorInfo, shape: tuple[int | None, ...] | None) -> TensorInfo:
        if shape is None or info.dtype is None:
            return info
        return replace(info, shape=tuple(self.fresh("size") if size is None else size for size in shape))

    @staticmethod
    def opset(node: ir.Node) -> int:
        """The operator set version that a node is written in."""
        if node.version is not None:
            return node.version
        imports = {} if node.graph is None else node.graph.opset_imports
        return imports.get(node.domain, imports.get("", 1))


def infer_graph(graph: ir.Graph) -> GraphInfo:
    """Infers every value of a graph and of the graphs inside of it.

    Raises InvalidModelError, naming the node, where inputs cannot go together.
    """
    info = declared_info(graph)
    for node in graph:
        info.add_node(node)
    return info


def declared_info(graph: ir.Graph) -> GraphInfo:
    """What is known before any node is looked at: constants and declared inputs."""
    info = GraphInfo()
    info.add_ports(graph)
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


def declared_type(value: ir.Value) -> TensorInfo:
    """The type of a value as the reader found it; sizes only of what a sequence or an optional holds."""
    return type_info(value.type, value.shape)


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
