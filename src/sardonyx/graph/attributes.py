"""Attributes of the file as attributes of onnx_ir, all but those that hold graphs and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from sardonyx.errors import InvalidModelError, UnsupportedOpError
from sardonyx.graph.value_types import decode_type, ir_type

__all__ = ["attribute_type", "constant_array", "plain_attribute"]

_FIELDS = {
    "f": ir.AttributeType.FLOAT,
    "i": ir.AttributeType.INT,
    "s": ir.AttributeType.STRING,
    "t": ir.AttributeType.TENSOR,
    "g": ir.AttributeType.GRAPH,
    "sparse_tensor": ir.AttributeType.SPARSE_TENSOR,
    "tp": ir.AttributeType.TYPE_PROTO,
}
_LISTS = {
    "floats": ir.AttributeType.FLOATS,
    "ints": ir.AttributeType.INTS,
    "strings": ir.AttributeType.STRINGS,
    "tensors": ir.AttributeType.TENSORS,
    "graphs": ir.AttributeType.GRAPHS,
    "sparse_tensors": ir.AttributeType.SPARSE_TENSORS,
    "type_protos": ir.AttributeType.TYPE_PROTOS,
}


def attribute_type(proto: onnx.AttributeProto) -> ir.AttributeType:
    """The type of an attribute; where the file leaves it out (IR version 1), by the field that is set."""
    if proto.type:
        try:
            return ir.AttributeType(proto.type)
        except ValueError:
            raise InvalidModelError(f"attribute {proto.name!r} has the unknown type {proto.type}") from None
    found = [kind for name, kind in _FIELDS.items() if proto.HasField(name)]
    found += [kind for name, kind in _LISTS.items() if len(getattr(proto, name))]
    if len(found) != 1:
        raise InvalidModelError(f"attribute {proto.name!r} does not say its type")
    return found[0]


def plain_attribute(name: str, kind: ir.AttributeType, proto: onnx.AttributeProto) -> ir.Attr:
    """An attribute of numbers, strings or a type."""
    match kind:
        case ir.AttributeType.INT:
            return ir.AttrInt64(name, proto.i)
        case ir.AttributeType.FLOAT:
            return ir.AttrFloat32(name, proto.f)
        case ir.AttributeType.STRING:
            return ir.AttrString(name, _text(name, proto.s))
        case ir.AttributeType.INTS:
            return ir.AttrInt64s(name, proto.ints)
        case ir.AttributeType.FLOATS:
            return ir.AttrFloat32s(name, proto.floats)
        case ir.AttributeType.STRINGS:
            return ir.AttrStrings(name, [_text(name, text) for text in proto.strings])
        case ir.AttributeType.TYPE_PROTO:
            text, shape = decode_type(proto.tp)
            of = None if text is None else ir_type(text)
            if of is None:
                raise UnsupportedOpError(f"attribute {name!r} is the type {text}, which is not supported")
            return ir.AttrTypeProto(name, ir.TypeAndShape(of, shape))
    raise UnsupportedOpError(f"attribute {name!r} of type {kind.name} is not supported")


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"attribute {name!r} is not valid UTF-8: {error}") from error


def constant_array(attribute: ir.Attr) -> npt.NDArray[Any]:
    """The contents of a Constant given as ``value_int``, ``value_floats`` and so on."""
    if attribute.type in (ir.AttributeType.INT, ir.AttributeType.INTS):
        return np.array(attribute.value, np.int64)
    if attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.FLOATS):
        return np.array(attribute.value, np.float32)
    return np.array(attribute.value, object)
