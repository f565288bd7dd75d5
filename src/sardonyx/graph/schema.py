"""Operator schemas of onnx.defs, decoded once, and the check of a node against its schema."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from sardonyx.errors import InvalidModelError, UnsupportedOpError

__all__ = ["Schema", "check_node", "current_opset", "current_opsets", "find_schema", "normalize_domain"]

_UNBOUNDED = 2**31 - 1
_LOOKUPS_KEPT = 4096  # names and versions come from files: there is no end to them


EARLY = {("", "LayerNormalization"): 17}
"""Operators that ONNX Runtime writes into models of older opsets too, and the version of ONNX that they are."""


ADVICE = {
    "com.microsoft.nchwc": "ONNX Runtime optimised the model for one kind of processor; save it with its level extended"
}
"""What to do about operators of a domain that is not known."""


@dataclass(frozen=True)
class Parameter:
    """A formal input or output; ``type`` is a type or the name of a type parameter."""

    name: str
    type: str
    required: bool
    variadic: bool
    homogeneous: bool


@dataclass(frozen=True)
class Schema:
    """What a version of an operator takes and gives."""

    domain: str
    name: str
    version: int
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    min_inputs: int
    max_inputs: int
    min_outputs: int
    max_outputs: int
    attributes: dict[str, tuple[ir.AttributeType, bool]]
    constraints: dict[str, frozenset[str]]

    def input(self, index: int) -> Parameter:
        """The formal parameter of the input at ``index``; the last one of a variadic operator repeats."""
        return self.inputs[min(index, len(self.inputs) - 1)]

    def output(self, index: int) -> Parameter:
        """The formal parameter of the output at ``index``."""
        return self.outputs[min(index, len(self.outputs) - 1)]


def normalize_domain(domain: str) -> str:
    """The empty string for ``ai.onnx``, as onnx.defs has it."""
    return "" if domain == "ai.onnx" else domain


@cache
def current_opsets() -> dict[str, int]:
    """The newest version of each operator set of the installed onnx package: what a graph holds once it is read."""
    newest: dict[str, int] = {}
    for schema in defs.get_all_schemas():
        newest[schema.domain] = max(newest.get(schema.domain, 1), schema.since_version)
    newest[""] = defs.onnx_opset_version()
    # The last released row of the table: IR version, ai.onnx, ai.onnx.ml, ai.onnx.training.
    newest["ai.onnx.ml"] = max(newest["ai.onnx.ml"], onnx.helper.VERSION_TABLE[-1][3])
    return newest


def current_opset(domain: str) -> int:
    """The version of ``domain`` that upgraded nodes have; 1 for a domain that onnx does not define."""
    return current_opsets().get(domain, 1)


@lru_cache(maxsize=_LOOKUPS_KEPT)
def find_schema(domain: str, name: str, opset: int) -> Schema | None:
    """The schema of an operator at an opset version, or None where that opset has no such operator.

    An operator that is deprecated at ``opset`` keeps the schema of its last valid version.
    """
    schema = _raw_schema(name, opset, domain)
    while schema is not None and schema.deprecated:
        earlier = _raw_schema(name, schema.since_version - 1, domain)
        if earlier is None:  # GroupNormalization was deprecated by the very version that introduced it
            return _decoded(schema.domain, schema.name, schema.since_version) if schema.inputs else None
        schema = earlier
    return None if schema is None else _decoded(schema.domain, schema.name, schema.since_version)


def _raw_schema(name: str, opset: int, domain: str) -> defs.OpSchema | None:
    try:
        return defs.get_schema(name, min(opset, _UNBOUNDED), domain)
    except defs.SchemaError:
        return None


@cache
def _decoded(domain: str, name: str, since_version: int) -> Schema:
    """A schema that exists; there are as many as onnx has."""
    schema = defs.get_schema(name, since_version, domain)
    return Schema(
        schema.domain,
        schema.name,
        schema.since_version,
        tuple(map(_parameter, schema.inputs)),
        tuple(map(_parameter, schema.outputs)),
        schema.min_input,
        schema.max_input,
        schema.min_output,
        schema.max_output,
        {name: (_attribute_type(a), a.required) for name, a in schema.attributes.items()},
        {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints},
    )


def _parameter(formal: defs.OpSchema.FormalParameter) -> Parameter:
    option = defs.OpSchema.FormalParameterOption
    return Parameter(
        formal.name,
        formal.type_str,
        formal.option == option.Single,
        formal.option == option.Variadic,
        formal.is_homogeneous,
    )


def _attribute_type(attribute: defs.OpSchema.Attribute) -> ir.AttributeType:
    kind: Any = attribute.type  # a pybind11 enumeration, which the stubs do not know as one
    return ir.AttributeType[kind.name]


def require_schema(domain: str, name: str, opset: int) -> Schema:
    """``find_schema``, or an error that says why there is none."""
    schema = find_schema(domain, name, opset)
    if schema is not None:
        return schema
    newest = find_schema(domain, name, _UNBOUNDED)
    if newest is not None:
        raise InvalidModelError(
            f"{name} exists since opset {first_version(domain, name)} of {domain or 'ai.onnx'}, "
            f"but the model declares opset {opset}"
        )
    if domain in current_opsets():
        raise UnsupportedOpError(f"{domain or 'ai.onnx'} has no operator {name} at opset {opset}")
    raise unknown_operator(domain, name)


def unknown_operator(domain: str, name: str) -> UnsupportedOpError:
    """The error for an operator that neither ONNX nor a record defines."""
    hint = ADVICE.get(domain, "it needs a custom operator")
    return UnsupportedOpError(f"the operator {name[:100]} of domain {domain[:100]} is not known: {hint}")


@cache
def first_version(domain: str, name: str) -> int:
    """The first version of an operator."""
    versions = [s.since_version for s in defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name)]
    return min(versions)


def check_node(node: ir.Node, schema: Schema) -> None:
    """Raise InvalidModelError unless the node has the inputs, outputs and attributes that its schema asks for."""
    _check_arity("input", len(node.inputs), schema.min_inputs, schema.max_inputs)
    _check_arity("output", len(node.outputs), schema.min_outputs, schema.max_outputs)
    for index, value in enumerate(node.inputs):
        formal = schema.input(index)
        if value is None and (formal.required or (formal.variadic and formal.homogeneous)):
            raise InvalidModelError(f"input {index} ({formal.name}) is required but empty")
    _check_attributes(node, schema)


def _check_arity(what: str, got: int, least: int, most: int) -> None:
    if least <= got <= most:
        return
    expected = f"{least}" if least == most else f"at least {least}" if most >= _UNBOUNDED else f"{least} to {most}"
    raise InvalidModelError(f"expected {expected} {what}s, got {got}")


def _check_attributes(node: ir.Node, schema: Schema) -> None:
    for name, attribute in node.attributes.items():
        expected = schema.attributes.get(name)
        if expected is None:
            raise InvalidModelError(f"unknown attribute {name!r}; {_known(schema.attributes)}")
        if attribute.type != expected[0]:
            raise InvalidModelError(f"attribute {name!r} is {attribute.type.name}, expected {expected[0].name}")
    for name, (kind, required) in schema.attributes.items():
        if required and name not in node.attributes:
            raise InvalidModelError(f"the required attribute {name!r} ({kind.name}) is missing")


def _known(names: Collection[str]) -> str:
    return f"it takes {', '.join(sorted(names))}" if names else "it takes none"
