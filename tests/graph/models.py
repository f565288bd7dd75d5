"""Small models for the tests of the graph room, and their results by onnx's reference implementation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

from sardonyx.graph import Model, read_model, verify

Array = np.ndarray[Any, np.dtype[Any]]


def value(name: str, array: Array | None = None, dtype: int | None = None, shape: Any = "of array") -> Any:
    """A declared input or output, by default as an array of it would be."""
    code = dtype if dtype is not None else helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype)
    return helper.make_tensor_value_info(name, code, np.shape(array) if shape == "of array" else shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Mapping[str, Array] | None = None,
    *,
    opset: int = 17,
    ir_version: int = 8,
    domains: Mapping[str, int] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A ModelProto; ``domains`` are operator sets besides ai.onnx."""
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in (initializers or {}).items()]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), tensors)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in (domains or {}).items())]
    proto = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    proto.ir_version = ir_version
    return proto


def single(
    op_type: str,
    feeds: Mapping[str, Array],
    *,
    opset: int,
    outputs: Sequence[str] = ("y",),
    output_types: Mapping[str, int] | None = None,
    inputs: Sequence[str] | None = None,
    constants: Mapping[str, Array] | None = None,
    unknown_rank: bool = False,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; its inputs are ``feeds``, then ``constants``, unless ``inputs`` gives another order."""
    names = list(inputs) if inputs is not None else [*feeds, *(constants or {})]
    node = helper.make_node(op_type, names, list(outputs), domain=domain, **attributes)
    declared = [value(n, np.asarray(a), shape=None if unknown_rank else np.shape(a)) for n, a in feeds.items()]
    first = helper.np_dtype_to_tensor_dtype(np.asarray(next(iter(feeds.values()))).dtype) if feeds else 1
    types = {name: (output_types or {}).get(name, first) for name in outputs if name}
    domains = {domain: opset} if domain else None
    return model(
        [node],
        declared,
        [value(name, dtype=code, shape=None) for name, code in types.items()],
        constants,
        opset=18 if domain else opset,
        domains=domains,
    )


def varint(number: int) -> bytes:
    """A number in protobuf's variable-length form."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def message(field: int, content: bytes) -> bytes:
    """A field that holds a message or bytes."""
    return varint(field << 3 | 2) + varint(len(content)) + content


@cache
def backend_cases() -> list[tuple[str, onnx.ModelProto, list[Array]]]:
    """Name, model and inputs of every node test of onnx's backend suite."""
    with warnings.catch_warnings(action="ignore"):
        found = collect_testcases(None)
    return [(case.name, case.model, case.data_sets[0][0]) for case in found if case.model is not None]


def read(proto: onnx.ModelProto | bytes) -> Model:
    """Read a model and hold its graph against the invariants."""
    result = read_model(proto)
    verify(result)
    return result


def run_upgraded(proto: onnx.ModelProto, feeds: Mapping[str, Array], runtime_opset: int | None = None) -> list[Array]:
    """The outputs of the newest form of a model by the reference implementation.

    ``runtime_opset`` is for operators that the reference lacks: an opset at which they mean the same as at the newest
    and which ONNX Runtime knows, which then runs the model.
    """
    upgraded = ir.to_proto(read(proto).ir)
    if runtime_opset is not None:
        del upgraded.opset_import[:]
        upgraded.opset_import.add().version = runtime_opset
        upgraded.ir_version = 10
        session = onnxruntime.InferenceSession(upgraded.SerializeToString(), providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))
    return ReferenceEvaluator(upgraded).run(None, dict(feeds))


def assert_same(got: Sequence[Array], expected: Sequence[Array], tolerance: float = 1e-5) -> None:
    """Equal dtypes and shapes, close numbers."""
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        if one.dtype.kind in "fc":
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(one, other)
