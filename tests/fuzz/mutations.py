"""Mutations of models: of the parsed structure, so that what comes out is read to the end, and of bare bytes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

__all__ = ["mutated", "mutated_bytes"]

INTEGERS = (-1, 0, 1, 2, 3, 4, 7, 8, 64, 255, 1000, -2, -3, -8, 2**16, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62,
    2**63 - 1, -(2**63))  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 3.4e38, math.inf, -math.inf, math.nan, 2.0**31, 2.0**63)
TEXTS = (b"", b"NOTSET", b"SAME_UPPER", b"VALID", b"linear", b"constant", b"reflect", b"bij,bjk->bik", b"sum", b"max",
    b"LEFT", b"\xff\xfe", b"a" * 300, b"Relu", b"Tanh", b"(a*)*b", b"../weights.bin", b"weights.bin")  # fmt: skip


def mutated(data: bytes, generator: random.Random, others: Sequence[bytes]) -> bytes:
    """One to four mutations of a model's structure; of its bytes where it cannot be parsed, and now and then."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        return mutated_bytes(data, generator, others)
    if generator.random() < 0.1:
        return mutated_bytes(data, generator, others)
    try:
        mutation = _Mutation(model, generator, others)
        for _ in range(generator.choice((1, 1, 1, 2, 2, 4))):
            mutation.one()
    except UnicodeDecodeError:  # a mutant's name that is no text
        return mutated_bytes(data, generator, others)
    return model.SerializeToString()


def mutated_bytes(data: bytes, generator: random.Random, others: Sequence[bytes]) -> bytes:
    """Bytes flipped, cut out, repeated, or taken from another model."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        place = generator.randrange(len(changed) or 1)
        match generator.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([generator.randrange(256)])
            case 1:
                del changed[place : place + generator.randrange(1, 9)]
            case 2:
                changed[place:place] = changed[place : place + generator.randrange(1, 33)]
            case 3:
                other = generator.choice(others)
                start = generator.randrange(len(other) or 1)
                changed[place : place + 16] = other[start : start + 16]
            case 4:
                changed[place : place + 1] = generator.choice((b"\xff" * 9 + b"\x01", b"\x00", b"\x7f", b"\x80\x80"))
    return bytes(changed)


class _Mutation:
    """Changes a model in place."""

    def __init__(self, model: onnx.ModelProto, generator: random.Random, others: Sequence[bytes]) -> None:
        self.model, self.random, self.others = model, generator, others
        self.graphs: list[Any] = []
        self._collect(model.graph)
        self.graphs += model.functions
        self.nodes = [node for graph in self.graphs for node in graph.node]

    def _collect(self, graph: onnx.GraphProto, depth: int = 0) -> None:
        self.graphs.append(graph)
        for node in graph.node:
            for attribute in node.attribute:
                for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    if depth < 8:
                        self._collect(inner, depth + 1)

    def one(self) -> None:
        kinds: tuple[tuple[int, Callable[[], None]], ...] = (
            (6, self.attribute), (6, self.tensor), (4, self.port), (4, self.wiring), (3, self.node), (2, self.swap),
            (2, self.version), (2, self.exchange), (1, self.external), (1, self.sparse), (2, self.outputs),
            (2, self.splice),
        )  # fmt: skip
        chosen = self.random.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]
        chosen()

    def integer(self) -> int:
        return self.random.choice(INTEGERS) if self.random.random() < 0.7 else self.random.randrange(-16, 64)

    def pick(self, things: Sequence[Any]) -> Any:
        return self.random.choice(things) if len(things) else None

    def names(self) -> list[str]:
        """Of all values anywhere."""
        found = [""]
        for graph in self.graphs:
            found += [value if isinstance(value, str) else value.name for value in graph.input]
            found += [tensor.name for tensor in getattr(graph, "initializer", [])]
        return found + [name for node in self.nodes for name in node.output]

    def attribute(self) -> None:
        node = self.pick([node for node in self.nodes if node.attribute])
        if node is None or self.random.random() < 0.15:
            self._new_attribute()
            return
        attribute = self.pick(node.attribute)
        if self.random.random() < 0.12:
            node.attribute.remove(attribute)
            return
        kinds = onnx.AttributeProto
        match attribute.type:
            case kinds.INT:
                attribute.i = self.integer()
            case kinds.FLOAT:
                attribute.f = self.random.choice(FLOATS)
            case kinds.STRING:
                attribute.s = self._text(attribute.s)
            case kinds.INTS:
                self._list(attribute.ints, self.integer)
            case kinds.FLOATS:
                self._list(attribute.floats, lambda: self.random.choice(FLOATS))
            case kinds.STRINGS:
                self._list(attribute.strings, lambda: self.random.choice(TEXTS))
            case kinds.TENSOR:
                self._tensor(attribute.t)
            case _:
                attribute.type = self.random.randrange(0, 15)

    def _new_attribute(self) -> None:
        node = self.pick(self.nodes)
        try:
            schema = onnx.defs.get_schema(node.op_type, 25, node.domain)
        except Exception:  # no such operator, or no node
            return
        known = self.pick(sorted(schema.attributes))
        if known is None:
            return
        kind = schema.attributes[known].type.value
        made = node.attribute.add(name=known, type=kind)
        made.i, made.f, made.s = self.integer(), self.random.choice(FLOATS), self.random.choice(TEXTS)
        made.ints.extend(self.integer() for _ in range(self.random.randrange(6)))
        made.floats.extend(self.random.choice(FLOATS) for _ in range(self.random.randrange(6)))

    def _list(self, values: Any, one: Callable[[], Any]) -> None:
        place = self.random.randrange(len(values) + 1)
        match self.random.randrange(4):
            case 0 if len(values):
                del values[place % len(values)]
            case 1:
                values.insert(place, one())
            case 2 if len(values) > 1:
                values[place % len(values)] = values[(place + 1) % len(values)]
            case _ if len(values):
                values[place % len(values)] = one()

    def _text(self, text: bytes) -> bytes:
        if not text or self.random.random() < 0.6:
            return self.random.choice(TEXTS)
        place = self.random.randrange(len(text))
        return text[:place] + bytes([self.random.randrange(32, 128)]) + text[place + self.random.randrange(2) :]

    def tensor(self) -> None:
        found = [tensor for graph in self.graphs for tensor in getattr(graph, "initializer", [])]
        found += [a.t for node in self.nodes for a in node.attribute if a.HasField("t")]
        tensor = self.pick(found)
        if tensor is None:
            self.attribute()
        else:
            self._tensor(tensor)

    def _tensor(self, tensor: TensorProto) -> None:
        match self.random.randrange(7):
            case 0:
                self._list(tensor.dims, self.integer)
            case 1:
                tensor.data_type = self.random.randrange(0, 28)
            case 2 if tensor.raw_data:
                place = self.random.randrange(len(tensor.raw_data) + 1)
                tensor.raw_data = tensor.raw_data[:place] + tensor.raw_data[place + self.random.randrange(9) :]
            case 3:  # other numbers, and as many of them as the sizes say
                self._resize(tensor)
            case _:
                self._content(tensor)

    def _content(self, tensor: TensorProto) -> None:
        for values, one in (
            (tensor.int64_data, self.integer),
            (tensor.int32_data, lambda: self.random.randrange(-4, 9)),
            (tensor.float_data, lambda: self.random.choice(FLOATS)),
            (tensor.string_data, lambda: self.random.choice(TEXTS)),
        ):
            if len(values):
                values[self.random.randrange(len(values))] = one()
        if tensor.raw_data:
            width = 8 if tensor.data_type in (TensorProto.INT64, TensorProto.UINT64, TensorProto.DOUBLE) else 4
            raw, number = bytearray(tensor.raw_data), (self.integer() % 2 ** (8 * width)).to_bytes(width, "little")
            place = self.random.randrange(max(len(raw) // width, 1)) * width
            raw[place : place + width] = number[: len(raw) - place]
            tensor.raw_data = bytes(raw)

    def _resize(self, tensor: TensorProto) -> None:
        dims = [self.random.choice((0, 1, 1, 2, 3, 5)) for _ in range(self.random.randrange(5))]
        width = {TensorProto.FLOAT: 4, TensorProto.INT32: 4, TensorProto.INT64: 8, TensorProto.DOUBLE: 8}
        bytes_each = width.get(tensor.data_type, 1)
        if tensor.data_type != TensorProto.STRING:
            name, kind = tensor.name, tensor.data_type
            tensor.Clear()
            tensor.name, tensor.data_type = name, kind
            tensor.dims.extend(dims)
            numbers = [self.random.randrange(-2, 6) % 2 ** (8 * bytes_each) for _ in range(math.prod(dims))]
            tensor.raw_data = b"".join(number.to_bytes(bytes_each, "little") for number in numbers)

    def port(self) -> None:
        """The declared type of an input, an output or a value in between."""
        ports = [v for g in self.graphs if isinstance(g, onnx.GraphProto) for v in (*g.input, *g.output, *g.value_info)]
        value = self.pick(ports)
        if value is None:
            return
        kind = value.type
        while kind.WhichOneof("value") in ("sequence_type", "optional_type") and self.random.random() < 0.9:
            kind = getattr(kind, kind.WhichOneof("value")).elem_type
        shape = kind.tensor_type.shape
        match self.random.randrange(8):
            case 0:
                kind.tensor_type.elem_type = self.random.randrange(0, 28)
            case 1:
                kind.tensor_type.ClearField("shape")
            case 2:
                kind.sequence_type.elem_type.tensor_type.elem_type = self.random.randrange(0, 17)
            case 3 if len(shape.dim):
                del shape.dim[self.random.randrange(len(shape.dim))]
            case 4:
                shape.dim.add(dim_value=self.random.choice((0, 1, 2, 3)))
            case 5 if len(shape.dim):
                self.pick(shape.dim).dim_param = self.random.choice(("n", "m", "", "n+1", "\u0000"))
            case 6 if len(shape.dim):
                self.pick(shape.dim).Clear()
            case _ if len(shape.dim):
                self.pick(shape.dim).dim_value = self.integer()

    def wiring(self) -> None:
        """Which values a node reads and makes."""
        node = self.pick(self.nodes)
        if node is None:
            return
        match self.random.randrange(6):
            case 0 if len(node.input):
                del node.input[self.random.randrange(len(node.input))]
            case 1:
                node.input.append(self.random.choice(self.names()))
            case 2 if len(node.output):
                del node.output[self.random.randrange(len(node.output))]
            case 3:
                node.output.append(self.random.choice((*self.names()[-3:], "fresh", "")))
            case _ if len(node.input):
                node.input[self.random.randrange(len(node.input))] = self.random.choice(self.names())

    def node(self) -> None:
        graph = self.pick([graph for graph in self.graphs if graph.node])
        if graph is None:
            return
        node = self.pick(graph.node)
        match self.random.randrange(4):
            case 0:
                graph.node.remove(node)
            case 1:
                graph.node.add().CopyFrom(node)
            case 2:
                first, last = self.random.randrange(len(graph.node)), self.random.randrange(len(graph.node))
                held = onnx.NodeProto.FromString(graph.node[first].SerializeToString())
                graph.node[first].CopyFrom(graph.node[last])
                graph.node[last].CopyFrom(held)
            case _:
                node.domain = self.random.choice(("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "own", "?"))

    def swap(self) -> None:
        """Another operator in a node's place, with its attributes."""
        other = self._other()
        node, given = self.pick(self.nodes), self.pick(other.graph.node) if other is not None else None
        if node is None or given is None:
            return
        node.op_type, node.domain = given.op_type, given.domain
        if self.random.random() < 0.8:
            del node.attribute[:]
            node.attribute.extend(given.attribute)

    def _other(self) -> onnx.ModelProto | None:
        try:
            return onnx.ModelProto.FromString(self.random.choice(self.others))
        except DecodeError:
            return None

    def splice(self) -> None:
        """Another model's nodes behind, in front of or inside of this one's, reading its values."""
        other, graph = self._other(), self.pick(self.graphs)
        if other is None or not isinstance(graph, onnx.GraphProto) or len(self.nodes) > 40:
            return
        names, inputs = [name for name in self.names() if name], [value.name for value in other.graph.input]
        shift = {name: self.random.choice(names) for name in inputs if names and self.random.random() < 0.7}
        for node in other.graph.node:
            added = graph.node.add()
            added.CopyFrom(node)
            added.input[:] = [shift.get(name, f"{name}_" if name else "") for name in node.input]
            added.output[:] = [f"{name}_" if name else "" for name in node.output]
        for tensor in other.graph.initializer:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name += "_"
        for value in other.graph.input:
            if value.name not in shift:
                graph.input.add().CopyFrom(value)
                graph.input[-1].name += "_"
        for value in other.graph.output:
            graph.output.add().CopyFrom(value)
            graph.output[-1].name += "_"
        if graph is not self.model.graph:
            del graph.output[-len(other.graph.output) :]
        known = {entry.domain for entry in self.model.opset_import}
        self.model.opset_import.extend(entry for entry in other.opset_import if entry.domain not in known)

    def version(self) -> None:
        entry = self.pick(self.model.opset_import)
        match self.random.randrange(4):
            case 0:
                self.model.ir_version = self.random.choice((0, 3, 4, 8, 10, 13, 2**62, -1))
            case 1 if entry is not None:
                self.model.opset_import.remove(entry)
            case _ if entry is not None:
                entry.version = self.random.choice((0, -1, *range(1, 28), 2**40))

    def exchange(self) -> None:
        """An initializer becomes an input, or an input an initializer."""
        graph = self.model.graph
        tensor, value = self.pick(graph.initializer), self.pick(graph.input)
        if tensor is not None and self.random.random() < 0.5:
            dims = [None if self.random.random() < 0.5 else size for size in tensor.dims]
            if all(size is None or -(2**63) <= size < 2**63 for size in dims):
                graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
            if self.random.random() < 0.8:
                graph.initializer.remove(tensor)
        elif value is not None and value.type.HasField("tensor_type"):
            kind = value.type.tensor_type
            added = graph.initializer.add(name=value.name, data_type=kind.elem_type)
            added.dims.extend(d.dim_value or 2 for d in kind.shape.dim)
            if math.prod(added.dims) <= 4096:
                self._resize(added)

    def external(self) -> None:
        tensor = self.pick([tensor for graph in self.graphs for tensor in getattr(graph, "initializer", [])])
        if tensor is None:
            return
        if not tensor.external_data:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.ClearField("raw_data")
            tensor.external_data.add(key="location", value="weights.bin")
            return
        entry = self.pick(tensor.external_data)
        if entry.key == "location":
            entry.value = self.random.choice(("weights.bin", "../weights.bin", "/dev/zero", "", "a\u0000b", "."))
        else:
            entry.value = self.random.choice((str(self.integer()), "", "x", "1e3", "9" * 50))

    def sparse(self) -> None:
        found = [tensor for graph in self.graphs for tensor in getattr(graph, "sparse_initializer", [])]
        found += [a.sparse_tensor for node in self.nodes for a in node.attribute if a.HasField("sparse_tensor")]
        tensor = self.pick(found)
        if tensor is None:
            self.tensor()
            return
        match self.random.randrange(3):
            case 0:
                self._list(tensor.dims, self.integer)
            case 1:
                self._tensor(tensor.indices)
            case _:
                self._tensor(tensor.values)

    def outputs(self) -> None:
        """A value more or less for the user, with a type or without."""
        graph = self.pick(self.graphs)
        if not isinstance(graph, onnx.GraphProto):
            return
        if self.random.random() < 0.5 and len(graph.output):
            value = self.pick(graph.output)
            value.name = self.random.choice(self.names())
            if self.random.random() < 0.5:
                value.ClearField("type")
            return
        graph.output.add(name=self.random.choice(self.names()))
