"""Every operator record against the newest schema that onnx knows."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import onnx.defs
import pytest
from onnx.defs import OpSchema

import sardonyx.ops  # noqa: F401  # registers the records
from sardonyx import dtypes
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import records

KINDS: dict[OpSchema.AttrType, Any] = {
    OpSchema.AttrType.INT: int,
    OpSchema.AttrType.FLOAT: float,
    OpSchema.AttrType.STRING: str,
    OpSchema.AttrType.INTS: tuple[int, ...],
    OpSchema.AttrType.FLOATS: tuple[float, ...],
    OpSchema.AttrType.STRINGS: tuple[str, ...],
}
STANDARD = {
    key: record
    for key, record in records().items()
    if key[0] in ("", "ai.onnx.ml") and onnx.defs.has(key[1], domain=key[0])
}


def schema_of(domain: str, op_type: str) -> OpSchema:
    return onnx.defs.get_schema(op_type, domain=domain)


@pytest.mark.parametrize(("domain", "op_type"), STANDARD, ids=lambda part: part or "ai.onnx")
def test_attributes(domain: str, op_type: str) -> None:
    schema = schema_of(domain, op_type)
    cls = STANDARD[domain, op_type]
    fields = {field.name.rstrip("_"): field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    declared = {name: a for name, a in schema.attributes.items() if a.type in KINDS}
    if op_type == "Constant":  # text has no record: such a node stays on the reference implementation
        declared = {name: a for name, a in declared.items() if not name.startswith("value_string")}
    assert set(fields) >= set(declared), f"{op_type} lacks attributes of the schema"
    hints = typing.get_type_hints(cls)
    for name, attribute in declared.items():
        field = fields[name]
        options = typing.get_args(hints[field.name]) or (hints[field.name],)
        if typing.get_origin(hints[field.name]) is tuple:
            options = (hints[field.name],)
        assert KINDS[attribute.type] in options, f"{op_type}.{name} is {attribute.type}"
        given = onnx.helper.get_attribute_value(attribute.default_value) if attribute.default_value.name else None
        if given is not None:
            expected = given.decode() if isinstance(given, bytes) else given
            if isinstance(expected, list):
                expected = tuple(item.decode() if isinstance(item, bytes) else item for item in expected)
            assert (
                field.default == pytest.approx(expected) if isinstance(expected, float) else field.default == expected
            )
        elif attribute.required:
            assert field.default is dataclasses.MISSING, f"{op_type}.{name} is required"
        else:
            assert field.default is not dataclasses.MISSING, f"{op_type}.{name} may be left out"


ELEMENTWISE = [key for key, cls in STANDARD.items() if issubclass(cls, Elementwise)]


def kinds_of(schema: OpSchema, type_name: str) -> set[str]:
    """The kinds of element type that a type parameter allows, of those that kernels compute on."""
    allowed = [t.allowed_type_strs for t in schema.type_constraints if t.type_param_str == type_name]
    names = {dtypes.from_name(_python_name(n[7:-1])).kind for n in (allowed[0] if allowed else [type_name])}
    return names & set("fiub")


def _python_name(name: str) -> str:
    known = {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn"}
    if name in known:
        return known[name]
    return name if name in {d.name for d in dtypes.ALL} else "string"


@pytest.mark.parametrize(("domain", "op_type"), ELEMENTWISE, ids=lambda part: part or "ai.onnx")
def test_inputs_of_elementwise(domain: str, op_type: str) -> None:
    schema, cls = schema_of(domain, op_type), STANDARD[domain, op_type]
    assert issubclass(cls, Elementwise)
    assert cls.required == schema.min_input
    data = schema.inputs[1 if op_type == "Where" else 0]
    assert set(cls.kinds) == kinds_of(schema, data.type_str), f"{op_type} takes {data.type_str}"


def test_no_record_is_unknown_to_onnx() -> None:
    own = {"", "ai.onnx.ml"}
    unknown = [key for key in records() if key[0] in own and not onnx.defs.has(key[1], domain=key[0])]
    assert unknown == [("", "SimplifiedLayerNormalization")]  # ONNX Runtime keeps it in that domain


def test_records_are_described() -> None:
    generated = [key for key, cls in records().items() if not cls.__doc__ or cls.__doc__.startswith(f"{cls.__name__}(")]
    assert generated == []
