"""ONNX types as the strings of the specification, and the types of a node's outputs from those of its inputs.

Only element types are inferred here, from the type parameters of the operator's schema; sizes are the business of the
operators' records. A type is written ``tensor(float)``, ``seq(tensor(int64))``, ``optional(...)``,
``map(string,tensor(float))``, as in ``onnx.defs``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import onnx
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.errors import InvalidModelError
from sardonyx.graph.schema import Schema

__all__ = ["ValueInfo", "decode_type", "infer_output_types", "ir_type", "type_text", "value_info"]

TYPE_TEXT = "sardonyx.type"
"""Key in ``ir.Value.meta`` of the type's text where onnx_ir has no class for it (maps)."""

DECLARED_SHAPE = "sardonyx.declared_shape"
"""Key in ``ir.Value.meta`` of the shape that the file claims for an intermediate value: a hint, not to be trusted."""

_TENSOR_TEXTS = {element: f"tensor({element.name.lower()})" for element in ir.DataType}
_CONTAINERS = {"seq": ir.SequenceType, "optional": ir.OptionalType}

# Operators whose output type is named by an attribute, with the type when the attribute is absent (None: that of the
# first input).
_TYPE_ATTRIBUTES: dict[str, tuple[str, int | None]] = {
    "Cast": ("to", None),
    "BitCast": ("to", None),
    "EyeLike": ("dtype", None),
    "RandomNormal": ("dtype", 1),
    "RandomUniform": ("dtype", 1),
    "RandomNormalLike": ("dtype", None),
    "RandomUniformLike": ("dtype", None),
    "Bernoulli": ("dtype", None),
    "Multinomial": ("dtype", 6),
    "BlackmanWindow": ("output_datatype", 1),
    "HannWindow": ("output_datatype", 1),
    "HammingWindow": ("output_datatype", 1),
    "MelWeightMatrix": ("output_datatype", 1),
}


@dataclass(frozen=True)
class ValueInfo:
    """A declared input or output of a model.

    ``type`` is ONNX's text for the type; ``dtype`` is the element type of a tensor and None for anything else.
    ``shape`` has an int, a symbol's name or None (unnamed) for each dimension; it is None where the rank is unknown.
    """

    name: str
    type: str
    dtype: dtypes.DType | None
    shape: tuple[int | str | None, ...] | None


def tensor_text(data_type: int) -> str:
    """``tensor(float)`` for 1 and so on; raises InvalidModelError for a number that is no element type."""
    try:
        element = ir.DataType(data_type)
    except ValueError:
        element = ir.DataType.UNDEFINED
    if element == ir.DataType.UNDEFINED:
        raise InvalidModelError(f"element type {data_type} is not defined by ONNX")
    return f"tensor({element.name.lower()})"


def decode_type(proto: onnx.TypeProto) -> tuple[str | None, ir.Shape | None]:
    """The text of a type, and the shape of the tensor or of the tensors in it; text is None where the proto says
    nothing."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return None, None
    if kind in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(proto, kind)
        text = tensor_text(tensor.elem_type)
        shape = _decode_shape(tensor.shape) if tensor.HasField("shape") else None
        return (text if kind == "tensor_type" else f"sparse_{text}"), shape
    if kind == "map_type":
        key = tensor_text(proto.map_type.key_type)[len("tensor(") : -1]
        return f"map({key},{_inner(proto.map_type.value_type, 'map')})", None
    if kind in ("sequence_type", "optional_type"):
        name = "seq" if kind == "sequence_type" else "optional"
        inner = getattr(proto, kind).elem_type
        return f"{name}({_inner(inner, name)})", decode_type(inner)[1]
    raise InvalidModelError(f"a value of type {kind} is not supported")


def _inner(proto: onnx.TypeProto, outer: str) -> str:
    text, _ = decode_type(proto)
    if text is None:
        raise InvalidModelError(f"a type {outer}(...) does not say what it holds")
    return text


def _decode_shape(proto: onnx.TensorShapeProto) -> ir.Shape:
    # Exporters write -1 for an unknown size.
    return ir.Shape(
        [
            (dim.dim_value if dim.dim_value >= 0 else None)
            if dim.HasField("dim_value")
            else (_symbol(dim.dim_param) or None)
            for dim in proto.dim
        ],
        denotations=[dim.denotation or None for dim in proto.dim],
    )


def _symbol(name: str) -> str:
    if not isinstance(name, str):
        raise InvalidModelError(f"the size {name!r} is not valid UTF-8")
    return name


@lru_cache(maxsize=512)
def ir_type(text: str) -> ir.TypeProtocol | None:
    """The onnx_ir type of a text, or None for a map, which onnx_ir cannot say."""
    if match := re.fullmatch(r"tensor\((\w+)\)", text):
        return ir.TensorType(ir.DataType[match[1].upper()])
    if match := re.fullmatch(r"sparse_tensor\((\w+)\)", text):
        return ir.SparseTensorType(ir.DataType[match[1].upper()])
    if match := re.fullmatch(r"(seq|optional)\((.*)\)", text):
        inner = ir_type(match[2])
        return None if inner is None else _CONTAINERS[match[1]](inner)
    return None


def set_type(value: ir.Value, text: str) -> None:
    """Give a value the type of a text."""
    value.type = ir_type(text)
    if value.type is None:
        value.meta[TYPE_TEXT] = text


def type_text(value: ir.Value) -> str | None:
    """The text of a value's type, or None where it is unknown."""
    if value.type is None:
        text = value.meta.get(TYPE_TEXT)
        return text if isinstance(text, str) else None
    return _type_text(value.type)


def _type_text(of: ir.TypeProtocol) -> str:
    if type(of) is ir.TensorType:  # isinstance is slow on classes that are protocols
        return _TENSOR_TEXTS[of.dtype]
    if isinstance(of, ir.SparseTensorType):
        return f"sparse_tensor({of.dtype.name.lower()})"
    if isinstance(of, ir.SequenceType):
        return f"seq({_type_text(of.elem_type)})"
    if isinstance(of, ir.OptionalType):
        return f"optional({_type_text(of.elem_type)})"
    raise TypeError(f"{of!r} is no type of ONNX")


def value_info(value: ir.Value, text: str | None, shape: ir.Shape | None) -> ValueInfo:
    """The record of a declared input or output."""
    text = text or type_text(value) or ""
    match = re.fullmatch(r"tensor\(\w+\)", text)
    dtype = dtypes.from_onnx(ir.DataType[text[len("tensor(") : -1].upper()].value) if match else None
    dims = None if shape is None or match is None else tuple(d if isinstance(d, int) else d.value for d in shape)
    return ValueInfo(value.name or "", text, dtype, dims)


def infer_output_types(node: ir.Node, schema: Schema) -> list[str | None]:
    """The type of each output, None where it cannot be told.

    Raises InvalidModelError when an input has a type that the operator does not take or when two inputs that must agree
    do not.
    """
    bound: dict[str, str] = {}
    for index, value in enumerate(node.inputs):
        text = None if value is None else type_text(value)
        if text is None or "map(" in text:
            continue
        formal = schema.input(index)
        allowed = schema.constraints.get(formal.type)
        if text not in (allowed if allowed is not None else (formal.type,)):
            raise InvalidModelError(
                f"input {index} ({formal.name}) is {text}; expected {_any_of(allowed or (formal.type,))}"
            )
        if allowed is not None and formal.homogeneous and bound.setdefault(formal.type, text) != text:
            raise InvalidModelError(
                f"input {index} ({formal.name}) is {text}, but {bound[formal.type]} is needed to agree"
            )
    special = _special_output_types(node)
    if special is not None:
        return special
    return [_output_type(schema, index, bound) for index in range(len(node.outputs))]


def _any_of(types: Iterable[str]) -> str:
    names = sorted(types)
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _output_type(schema: Schema, index: int, bound: dict[str, str]) -> str | None:
    formal = schema.output(index)
    allowed = schema.constraints.get(formal.type)
    if allowed is None:
        return formal.type
    if not formal.homogeneous:
        return None
    return bound.get(formal.type) or (next(iter(allowed)) if len(allowed) == 1 else None)


def _special_output_types(node: ir.Node) -> list[str | None] | None:
    """The output types of operators whose schema leaves them open."""
    if node.domain != "":
        return None
    first = next((type_text(v) for v in node.inputs if v is not None), None)
    if entry := _TYPE_ATTRIBUTES.get(node.op_type):
        name, default = entry
        attribute = node.attributes.get(name)
        if attribute is not None and attribute.type == ir.AttributeType.INT:
            return [tensor_text(attribute.as_int())]
        return None if attribute is not None else [tensor_text(default) if default is not None else first]
    match node.op_type:
        case "ConstantOfShape":
            value = node.attributes.get("value")
            return [tensor_text(value.as_tensor().dtype if value is not None else ir.DataType.FLOAT)]
        case "QuantizeLinear" | "DequantizeLinear":
            return [_quantized_type(node)]
        case "SequenceConstruct" | "SplitToSequence":
            return [first and f"seq({first})"]
        case "SequenceAt" | "ConcatFromSequence":
            return [_held(first, "seq")]
        case "OptionalGetElement":
            return [_held(first, "optional") or first]
        case "If":
            return _subgraph_output_types(node, "then_branch", 0, len(node.outputs))
        case "Loop":
            return _subgraph_output_types(node, "body", 1, len(node.outputs))
        case "Scan":
            return _subgraph_output_types(node, "body", 0, len(node.outputs))
    return None


def _held(text: str | None, outer: str) -> str | None:
    """The type of what a sequence or an optional holds."""
    return text[len(outer) + 1 : -1] if text is not None and text.startswith(f"{outer}(") else None


def _quantized_type(node: ir.Node) -> str | None:
    attribute = node.attributes.get("output_dtype")
    if attribute is not None and attribute.as_int():
        return tensor_text(attribute.as_int())
    if node.op_type == "DequantizeLinear":
        scale = node.inputs[1]
        return None if scale is None else type_text(scale)
    zero_point = node.inputs[2] if len(node.inputs) > 2 else None
    return "tensor(uint8)" if zero_point is None else type_text(zero_point)


def _subgraph_output_types(node: ir.Node, name: str, skip: int, count: int) -> list[str | None]:
    """Types of the outputs of a body, which are those of the node (scan outputs are stacked tensors of the same)."""
    attribute = node.attributes.get(name)
    if attribute is None or attribute.type != ir.AttributeType.GRAPH:
        return [None] * count
    types: list[str | None] = [type_text(value) for value in attribute.as_graph().outputs[skip : skip + count]]
    return types + [None] * (count - len(types))
