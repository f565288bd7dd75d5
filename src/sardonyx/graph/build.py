"""From the protos of a skeleton to an onnx_ir graph: names resolved, nodes checked, functions inlined."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import onnx
import onnx_ir as ir

from sardonyx.errors import InvalidModelError, SardonyxError, UnsupportedOpError
from sardonyx.graph.attributes import attribute_type, constant_array, plain_attribute
from sardonyx.graph.emit import Emitter, Names, checked_text, shorten
from sardonyx.graph.functions import FunctionTable
from sardonyx.graph.order import node_label, topological_order
from sardonyx.graph.schema import (
    EARLY,
    check_node,
    current_opset,
    current_opsets,
    normalize_domain,
    require_schema,
    unknown_operator,
)
from sardonyx.graph.tensors import TensorReader, tensor_of
from sardonyx.graph.upgrade import upgrade_node
from sardonyx.graph.value_types import DECLARED_SHAPE, decode_type, set_type, type_text

__all__ = ["Context", "GraphBuilder", "Scope", "opset_versions", "string_map"]

Claims = Mapping[str, onnx.ValueInfoProto]


class Scope:
    """The values that names stand for in one graph, and in those around it."""

    def __init__(self, parent: Scope | None = None) -> None:
        self._values: dict[str, ir.Value | None] = {}
        self._parent = parent

    def define(self, name: str, value: ir.Value | None) -> None:
        """Give a name its value; raises InvalidModelError when the graph has it already."""
        if checked_text(name) in self._values:
            raise InvalidModelError(f"the value {shorten(name)!r} is defined twice in one graph")
        self._values[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._values or (self._parent is not None and name in self._parent)

    def owns(self, name: str) -> bool:
        """Whether the name is defined in this very graph."""
        return name in self._values

    def get(self, name: str) -> ir.Value | None:
        """The value of a name, or None where there is none."""
        if name in self._values or self._parent is None:
            return self._values.get(name)
        return self._parent.get(name)


@dataclass(frozen=True)
class Bound:
    """An attribute given to a node or a function call, with the surroundings in which it was written."""

    proto: onnx.AttributeProto
    scope: Scope
    context: Context


@dataclass(frozen=True)
class Context:
    """What surrounds a piece of the file.

    ``opsets`` are the imported versions by domain, ``attributes`` those of the call inside of a function. The values of
    the main graph keep their names (``keep_names``); elsewhere a name may be taken and gets a suffix.
    """

    opsets: Mapping[str, int]
    attributes: Mapping[str, Bound] | None = None
    keep_names: bool = False


@contextmanager
def errors_at(where: str) -> Iterator[None]:
    """Say in front of an error where it happened."""
    try:
        yield
    except SardonyxError as error:
        raise type(error)(f"{where}: {error}") from error


def string_map(entries: Sequence[onnx.StringStringEntryProto]) -> dict[str, str]:
    """The entries of a map of strings."""
    return {checked_text(entry.key): checked_text(entry.value) for entry in entries}


def opset_versions(imports: Sequence[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Imported versions by domain; raises for versions that do not exist, or not yet, and for contradictions."""
    versions: dict[str, int] = {}
    for entry in imports:
        domain, version = normalize_domain(checked_text(entry.domain)), entry.version
        label = shorten(domain or "ai.onnx")
        if version < 1:
            raise InvalidModelError(f"opset {version} of {label} does not exist")
        if domain in current_opsets() and version > current_opset(domain):
            raise UnsupportedOpError(
                f"opset {version} of {label} is newer than {current_opset(domain)}, "
                f"the newest of onnx {onnx.__version__}"
            )
        if versions.setdefault(domain, version) != version:
            raise InvalidModelError(f"{label} is imported as opset {versions[domain]} and as opset {version}")
    return versions


@dataclass
class GraphBuilder:
    """Builds the graphs of one model.

    ``custom_ops`` are (domain, op_type) pairs that are let through without a schema. ``legacy_inputs`` says that
    initializers are constants even where they are listed as inputs (IR versions before 4).
    """

    tensors: TensorReader
    functions: FunctionTable
    custom_ops: Collection[tuple[str, str]] = ()
    legacy_inputs: bool = False
    names: Names = field(default_factory=Names)

    def graph(self, proto: onnx.GraphProto, parent: Scope | None, context: Context) -> ir.Graph:
        """An onnx_ir graph; nested graphs see the values of ``parent``."""
        emitter, scope = Emitter(self.names), Scope(parent)
        inputs = self._inputs(proto, scope, context)
        self._initializers(proto, scope, context, emitter)
        claims = {info.name: info for info in (*proto.value_info, *proto.output)}
        self.nodes(proto.node, scope, context, emitter, claims)
        outputs = self._outputs(proto, scope, context, emitter)
        return ir.Graph(
            [value for value in inputs if value.const_value is None or not self.legacy_inputs],
            outputs,
            nodes=emitter.nodes,
            initializers=emitter.initializers,
            opset_imports=dict(current_opsets()),
            name=checked_text(proto.name) or None,
        )

    def nodes(
        self, protos: Sequence[onnx.NodeProto], scope: Scope, context: Context, emitter: Emitter, claims: Claims
    ) -> None:
        """Emit nodes in topological order and define their outputs in ``scope``."""
        for proto in protos:
            for text in (proto.op_type, proto.domain, proto.name, proto.overload, *proto.input, *proto.output):
                checked_text(text)
        for index in topological_order(protos, scope.__contains__):
            with errors_at(node_label(protos[index])):
                self._node(protos[index], scope, context, emitter, claims)

    def call(
        self,
        function: onnx.FunctionProto,
        inputs: Sequence[ir.Value | None],
        given: Mapping[str, Bound],
        context: Context,
        emitter: Emitter,
        parent: Scope | None = None,
    ) -> list[ir.Value | None]:
        """Emit the body of a function in place of a call; returns the values of its outputs (None: not produced).

        ``parent`` has values that the body sees besides its inputs (those captured by graphs among the attributes).
        """
        if len(inputs) > len(function.input):
            raise InvalidModelError(f"the function takes {len(function.input)} inputs, got {len(inputs)}")
        scope = Scope(parent)
        for index, name in enumerate(function.input):
            scope.define(name, inputs[index] if index < len(inputs) else None)
        outside = Context({**context.opsets, **opset_versions(function.opset_import)})
        attributes = {proto.name: Bound(proto, scope, outside) for proto in function.attribute_proto}
        if unknown := given.keys() - attributes.keys() - set(function.attribute):
            raise InvalidModelError(f"the function has no attribute {shorten(min(unknown))!r}")
        attributes.update(given)
        self.nodes(
            function.node,
            scope,
            replace(outside, attributes=attributes),
            emitter,
            {info.name: info for info in function.value_info},
        )
        return [scope.get(name) for name in function.output]

    def _inputs(self, proto: onnx.GraphProto, scope: Scope, context: Context) -> list[ir.Value]:
        values = []
        for info in proto.input:
            with errors_at(f"graph input {shorten(info.name)!r}"):
                if not info.name:
                    raise InvalidModelError("it has no name")
                value = ir.Value(name=self._value_name(info.name, context))
                text, value.shape = decode_type(info.type)
                if text is not None:
                    set_type(value, text)
                elif context.keep_names:
                    raise InvalidModelError("it has no type")
                scope.define(info.name, value)
            values.append(value)
        return values

    def _initializers(self, proto: onnx.GraphProto, scope: Scope, context: Context, emitter: Emitter) -> None:
        tensors = self.tensors
        read = tensors.initializer if context.keep_names else tensors.tensor
        seen: set[str] = set()
        for entry in (*proto.initializer, *proto.sparse_initializer):
            sparse = isinstance(entry, onnx.SparseTensorProto)
            name = entry.values.name if sparse else entry.name
            with errors_at(f"initializer {shorten(name)!r}"):
                if not name or name in seen:
                    raise InvalidModelError("it is defined twice" if name else "it has no name")
                seen.add(name)
                tensor = tensors.sparse_tensor(entry) if sparse else read(entry)
                if scope.owns(name):
                    _set_default(scope.get(name), tensor, emitter)
                else:
                    scope.define(name, emitter.initializer(tensor, self._value_name(name, context)))

    def _outputs(self, proto: onnx.GraphProto, scope: Scope, context: Context, emitter: Emitter) -> list[ir.Value]:
        outputs: dict[str, ir.Value] = {}
        for info in proto.output:
            with errors_at(f"graph output {shorten(info.name)!r}"):
                value = scope.get(info.name)
                if value is None:
                    raise InvalidModelError("no node, input or initializer provides it")
                if info.name in outputs:
                    raise InvalidModelError("it is listed twice")
                if not scope.owns(info.name) or (context.keep_names and value.name != info.name):
                    value = emitter.op("Identity", value)  # a graph returns values of its own, by their own names
                    if context.keep_names:
                        value.name = info.name
                _confirm(value, info)
                outputs[info.name] = value
        return list(outputs.values())

    def _value_name(self, name: str, context: Context) -> str:
        return checked_text(name) if context.keep_names else self.names.unique(checked_text(name))

    def _node(self, proto: onnx.NodeProto, scope: Scope, context: Context, emitter: Emitter, claims: Claims) -> None:
        if not proto.op_type:
            raise InvalidModelError("it has no op_type")
        inputs = [scope.get(name) if name else None for name in proto.input]
        attributes = _bind(proto, scope, context)
        function = self.functions.find(proto)
        if function is None:
            values = self._operator(proto, inputs, attributes, context, emitter, claims)
        else:
            values = self._inlined(function, proto, inputs, attributes, context, emitter)
        for name, value in zip(proto.output, values, strict=False):
            if name:
                if name in claims:
                    _confirm(value, claims[name])
                scope.define(name, value)

    def _inlined(
        self,
        function: onnx.FunctionProto,
        proto: onnx.NodeProto,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Bound],
        context: Context,
        emitter: Emitter,
    ) -> list[ir.Value]:
        results = self.call(function, inputs, attributes, context, emitter)
        if len(proto.output) > len(results):
            raise InvalidModelError(f"the function has {len(results)} outputs, got {len(proto.output)}")
        taken = [value for value in inputs if value is not None]
        values: list[ir.Value] = []
        for name, value in zip(proto.output, results, strict=False):
            if value is None:
                raise InvalidModelError(f"the function does not produce its output for {shorten(name)!r}")
            if any(value is other for other in taken):
                value = emitter.op("Identity", value)  # an input, or an output for the second time
            if name:
                value.name = self._value_name(name, context)
            taken.append(value)
            values.append(value)
        return values

    def _operator(
        self,
        proto: onnx.NodeProto,
        inputs: list[ir.Value | None],
        attributes: Mapping[str, Bound],
        context: Context,
        emitter: Emitter,
        claims: Claims,
    ) -> Sequence[ir.Value]:
        domain = normalize_domain(proto.domain)
        custom = (domain, proto.op_type) in self.custom_ops
        outputs = [_output_value(name, self._value_name(name, context), claims) for name in _trimmed(proto.output)]
        while inputs and inputs[-1] is None:
            inputs.pop()
        node = ir.Node(
            domain,
            proto.op_type,
            inputs,
            [self._attribute(name, bound) for name, bound in attributes.items()],
            outputs=outputs,
            version=1 if custom else _opset(domain, proto.op_type, context),
            name=proto.name or None,
            metadata_props=string_map(proto.metadata_props) or None,
        )
        if custom:
            emitter.nodes.append(node)
            return outputs
        schema = require_schema(domain, node.op_type, node.version or 1)
        if len(node.inputs) < schema.min_inputs <= len(proto.input):
            node.resize_inputs(schema.min_inputs)  # optional ones that count: those of Loop
        check_node(node, schema)
        node.version = schema.version  # for a deprecated operator, the last that had it
        if domain == "" and node.op_type == "Constant":
            return [_constant(node, emitter)]
        names = [value.name for value in outputs]
        replaced = upgrade_node(node, emitter)
        for name, old, new in zip(names, outputs, replaced, strict=False):
            if new is not old:
                old.name, new.name = None, name
        return replaced

    def _attribute(self, name: str, bound: Bound) -> ir.Attr:
        with errors_at(f"attribute {shorten(name)!r}"):
            proto = bound.proto
            kind = attribute_type(proto)
            if kind in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
                context = replace(bound.context, keep_names=False)
                graphs = [proto.g] if kind == ir.AttributeType.GRAPH else proto.graphs
                built = [self.graph(graph, bound.scope, context) for graph in graphs]
                return ir.AttrGraph(name, built[0]) if kind == ir.AttributeType.GRAPH else ir.AttrGraphs(name, built)
            if kind == ir.AttributeType.TENSOR:
                return ir.AttrTensor(name, self.tensors.tensor(proto.t))
            if kind == ir.AttributeType.TENSORS:
                return ir.AttrTensors(name, [self.tensors.tensor(tensor) for tensor in proto.tensors])
            if kind == ir.AttributeType.SPARSE_TENSOR:
                return ir.Attr(name, kind, self.tensors.sparse_tensor(proto.sparse_tensor))
            return plain_attribute(name, kind, proto)


def _bind(proto: onnx.NodeProto, scope: Scope, context: Context) -> dict[str, Bound]:
    """The attributes of a node by name, references to those of the enclosing function resolved."""
    bound: dict[str, Bound] = {}
    for attribute in proto.attribute:
        name, reference = checked_text(attribute.name), checked_text(attribute.ref_attr_name)
        if not name or name in bound:
            raise InvalidModelError(f"attribute {shorten(name)!r} is given twice or has no name")
        if not reference:
            bound[name] = Bound(attribute, scope, context)
        elif context.attributes is None:
            raise InvalidModelError(
                f"attribute {shorten(name)!r} refers to a function's attribute outside of a function"
            )
        elif reference in context.attributes:
            bound[name] = context.attributes[reference]
    return bound


def _opset(domain: str, op_type: str, context: Context) -> int:
    opset = context.opsets.get(domain)
    if opset is None:
        if domain not in current_opsets():
            raise unknown_operator(domain, op_type)
        raise InvalidModelError(f"the model does not import the operator set of domain {domain or 'ai.onnx'!r}")
    return max(opset, EARLY.get((domain, op_type), 1))


def _trimmed(names: Sequence[str]) -> list[str]:
    """The names of outputs without the omitted ones at the end."""
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _output_value(name: str, unique_name: str, claims: Claims) -> ir.Value:
    """The value of a node's output; an omitted one has the empty name."""
    value = ir.Value(name=unique_name if name else "")
    if name in claims:
        _, value.meta[DECLARED_SHAPE] = decode_type(claims[name].type)
    return value


def _set_default(value: ir.Value | None, tensor: ir.TensorProtocol, emitter: Emitter) -> None:
    """Make a tensor the default of the graph input of its name."""
    assert value is not None
    text = f"tensor({ir.DataType(tensor.dtype).name.lower()})"
    if type_text(value) not in (None, text):
        raise InvalidModelError(f"it is {text}, but the input of its name is {type_text(value)}")
    shape = value.shape
    if shape is not None and (
        len(shape) != len(tensor.shape)
        or any(isinstance(d, int) and d != t for d, t in zip(shape, tensor.shape, strict=True))
    ):
        raise InvalidModelError(f"its shape is {list(tensor.shape)}, but the input of its name is {list(shape)}")
    if value.type is None:
        set_type(value, text)
    tensor.name = value.name
    value.const_value = tensor
    emitter.initializers.append(value)


def _confirm(value: ir.Value, info: onnx.ValueInfoProto) -> None:
    """Hold the type that the file declares against the one that was inferred, or take it where none was."""
    declared, _ = decode_type(info.type)
    inferred = type_text(value)
    if inferred is None:
        if declared is not None:
            set_type(value, declared)
    elif declared is not None and declared != inferred:
        raise InvalidModelError(f"{shorten(info.name)!r} is declared as {declared}, but it is {inferred}")


def _constant(node: ir.Node, emitter: Emitter) -> ir.Value:
    """A Constant node as an initializer."""
    if len(node.attributes) != 1:
        raise InvalidModelError(f"it takes one attribute, got {len(node.attributes)}")
    (attribute,) = node.attributes.values()
    tensor = attribute.value
    if attribute.name not in ("value", "sparse_value"):
        tensor = tensor_of(constant_array(attribute))
    name = node.outputs[0].name or emitter.names.unique("constant")
    node.outputs[0].name = None
    return emitter.initializer(tensor, name)
