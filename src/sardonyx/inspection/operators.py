"""Which element types of an operator run natively: models of one node, read and put through the passes that always run.

The examples are those of onnx's backend suite, which has some for nearly every operator, or made up; one type parameter
of the operator's schema at a time is given each of its types.
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.errors import SardonyxError
from sardonyx.graph.reader import read_model
from sardonyx.ops.inference import infer_graph
from sardonyx.ops.lowered import is_hosted, is_lowered, is_served
from sardonyx.passes.pipeline import ALWAYS, optimise

__all__ = ["NATIVE", "TypeSupport", "operators", "type_support"]

Array: TypeAlias = npt.NDArray[Any]

NATIVE, HOST, FALLBACK, NO_EXAMPLE = "native", "host", "fallback", "no example"

_SMALL = 256
"""Elements of the largest array that an example may hold as a constant."""
_MOST_EXAMPLES = 8
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")


@dataclass(frozen=True)
class TypeSupport:
    """How an operator computes with one type for one type parameter of its schema.

    ``how`` is native, host (by a record of ours on Python objects), fallback, or "no example" where none is known.
    """

    parameter: str
    dtype: DType
    how: str


@dataclass(frozen=True)
class _Example:
    node: onnx.NodeProto
    arrays: tuple[Array | None, ...]
    """By input; None where it is omitted."""


def operators() -> list[tuple[str, str]]:
    """(domain, operator) of everything in ONNX's own domains that is no training operator, sorted."""
    schemas = onnx.defs.get_all_schemas()
    return sorted({(s.domain, s.name) for s in schemas if s.domain in ("", "ai.onnx.ml") and not s.deprecated})


def type_support(op_type: str, domain: str = "") -> list[TypeSupport]:
    """How each tensor type runs that the newest schema allows; takes some milliseconds for each.

    Types of outputs that follow from the operator or from other types are left out.
    """
    schema = onnx.defs.get_schema(op_type, domain=domain)
    taken = {formal.type_str for formal in schema.inputs} | (
        {formal.type_str for formal in schema.outputs} if _type_attribute(schema) else set()
    )
    return [
        TypeSupport(constraint.type_param_str, dtype, _how(schema, constraint.type_param_str, dtype))
        for constraint in schema.type_constraints
        if constraint.type_param_str in taken
        for dtype in _tensor_types(constraint.allowed_type_strs)
    ]


def _type_attribute(schema: onnx.defs.OpSchema) -> str | None:
    """The attribute that names the type of an output."""
    return next((name for name in _TYPE_ATTRIBUTES if name in schema.attributes), None)


def _tensor_types(texts: Sequence[str]) -> list[DType]:
    """The dtypes of a schema's ``tensor(...)`` texts."""
    names = [match[1] for text in texts if (match := re.fullmatch(r"tensor\((\w+)\)", text))]
    return sorted((_BY_TEXT[name] for name in names), key=lambda dtype: dtype.onnx)


_BY_TEXT = {
    dtype.name.replace("_", "").replace("e2m1fn", "e2m1").replace("e8m0fnu", "e8m0"): dtype for dtype in dtypes.ALL
} | {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "float6e2m3": dtypes.float6_e2m3fn,
    "float6e3m2": dtypes.float6_e3m2fn,
}


def _how(schema: onnx.defs.OpSchema, parameter: str, dtype: DType) -> str:
    best = NO_EXAMPLE
    for model in _models(schema, parameter, dtype):
        how = _runs(model)
        if how == NATIVE:
            return how
        if how is not None and (best == NO_EXAMPLE or how == HOST):
            best = how
    return best


def _runs(model: onnx.ModelProto) -> str | None:
    """How a model of one node runs; None for a model that is wrong."""
    try:
        made = read_model(model)
        optimise(made, level=ALWAYS)
        info = infer_graph(made.graph)
    except SardonyxError:
        return None
    nodes = list(made.graph)
    if not all(is_served(node, info) for node in nodes):
        return FALLBACK
    return HOST if any(is_hosted(node, info) and not is_lowered(node, info) for node in nodes) else NATIVE


def _models(schema: onnx.defs.OpSchema, parameter: str, dtype: DType) -> Iterator[onnx.ModelProto]:
    """One-node models in which a type parameter is a dtype: it alone, or with those that had the same type; with
    integer inputs as constants, and without."""
    allowed = {c.type_param_str: _tensor_types(c.allowed_type_strs) for c in schema.type_constraints}
    examples = _examples().get((schema.domain, schema.name)) or list(_made_up(schema))
    for example in examples[:_MOST_EXAMPLES]:
        formal = [_formal(schema, place).type_str for place in range(len(example.arrays))]
        node = onnx.NodeProto.FromString(example.node.SerializeToString())
        if parameter not in formal and not _name_type(schema, node, dtype):
            continue
        given = {t: a.dtype for t, a in zip(formal, example.arrays, strict=True) if a is not None}
        alike = {t for t in given if given[t] == given.get(parameter) and dtype in allowed.get(t, ())}
        for changed in ({parameter}, alike) if alike - {parameter} else ({parameter},):
            arrays = [
                array if array is None or type_ not in changed else _as(array, dtype)
                for array, type_ in zip(example.arrays, formal, strict=True)
            ]
            small = {k for k, a in enumerate(arrays) if a is not None and a.size <= _SMALL}
            whole = {k for k in small if _whole(arrays[k])}
            others = whole - {k for k, type_ in enumerate(formal) if type_ == parameter}
            for constant in {frozenset(places) for places in (others, whole - {0}, small - {0}, ())}:
                yield _model(schema, node, arrays, constant)


def _whole(array: Array | None) -> bool:
    return array is not None and dtypes.from_numpy(array.dtype).kind in "iub"


def _formal(schema: onnx.defs.OpSchema, place: int) -> onnx.defs.OpSchema.FormalParameter:
    return schema.inputs[min(place, len(schema.inputs) - 1)]


def _name_type(schema: onnx.defs.OpSchema, node: onnx.NodeProto, dtype: DType) -> bool:
    """Asks for outputs of a type, where an attribute does that."""
    name = _type_attribute(schema)
    if name is None:
        return False
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, dtype.onnx)])
    return True


def _as(array: Array, dtype: DType) -> Array:
    """The numbers of an example in another type, as far as it holds them."""
    if dtype is dtypes.string:
        return np.full(array.shape, "text", object)
    if array.dtype.kind in "OSU":
        return np.zeros(array.shape, dtype.numpy)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return array.astype(np.float32).astype(dtype.numpy)


def _model(
    schema: onnx.defs.OpSchema, node: onnx.NodeProto, arrays: Sequence[Array | None], constant: frozenset[int]
) -> onnx.ModelProto:
    inputs, initializers = [], []
    for place, (name, array) in enumerate(zip(node.input, arrays, strict=False)):
        if array is None:
            continue
        if place in constant:
            initializers.append(onnx.numpy_helper.from_array(array, name))
        else:
            kind = dtypes.from_numpy(array.dtype).onnx
            inputs.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "one node", inputs, outputs, initializers)
    imports = [onnx.helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    if schema.domain:
        imports.append(onnx.helper.make_opsetid(schema.domain, schema.since_version))
    return onnx.helper.make_model(graph, opset_imports=imports)


@functools.cache
def _examples() -> Mapping[tuple[str, str], Sequence[_Example]]:
    """The cases of onnx's backend suite that are one node on tensors, by operator, the smallest first."""
    from onnx.backend.test.loader import load_model_tests

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    found: dict[tuple[str, str], list[_Example]] = {}
    for case in cases:
        if case.model is None or len(case.model.graph.node) != 1 or not case.data_sets:
            continue
        node = case.model.graph.node[0]
        given = dict(zip((value.name for value in case.model.graph.input), case.data_sets[0][0], strict=False))
        arrays = [_plain(given[name]) if name else None for name in node.input]
        if all(array is None or isinstance(array, np.ndarray) for array in arrays):
            found.setdefault((node.domain, node.op_type), []).append(_Example(node, tuple(arrays)))
    for examples in found.values():
        examples.sort(key=lambda example: sum(a.size for a in example.arrays if a is not None))
    return found


def _made_up(schema: onnx.defs.OpSchema) -> Iterator[_Example]:
    """Examples of an operator that the suite has none of: all inputs of one shape, some value for what is required."""
    kinds = onnx.defs.OpSchema.AttrType
    guesses: dict[Any, Any] = {kinds.INT: 1, kinds.INTS: [2, 2], kinds.FLOAT: 1.0, kinds.FLOATS: [1.0] * 4}
    required = {a.name: guesses.get(a.type) for a in schema.attributes.values() if a.required}
    formals = [schema.inputs[min(place, len(schema.inputs) - 1)] for place in range(schema.min_input)]
    allowed = {c.type_param_str: _tensor_types(c.allowed_type_strs) for c in schema.type_constraints}
    if None in required.values() or any(not allowed.get(formal.type_str) for formal in formals):
        return
    names = [f"x{place}" for place in range(len(formals))]
    outputs = [f"y{place}" for place in range(schema.min_output)]
    asked = {name: dtypes.float32.onnx} if (name := _type_attribute(schema)) else {}
    for rank, attributes in itertools.product((2, 4, 1), ({}, asked) if asked else ({},)):
        node = onnx.helper.make_node(schema.name, names, outputs, domain=schema.domain)
        node.attribute.extend(
            onnx.helper.make_attribute(name, value) for name, value in (required | attributes).items()
        )
        arrays = [_as(np.ones((4,) * rank), allowed[formal.type_str][0]) for formal in formals]
        yield _Example(node, tuple(arrays))


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic | np.ndarray) else value
