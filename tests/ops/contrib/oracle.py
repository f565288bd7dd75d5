"""One node of an operator outside the standard, held against ONNX Runtime."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from sardonyx.compiler import compile_model
from sardonyx.runtime.pool import team
from sardonyx.runtime.program import NativeStep, Program

Array = npt.NDArray[Any]
MICROSOFT = "com.microsoft"


def numbers(*shape: int, dtype: npt.DTypeLike = np.float32, low: float = -2.0, high: float = 2.0) -> Array:
    """Random numbers, the same for the same shape."""
    generator = np.random.default_rng(zlib.crc32(repr(shape).encode()))
    return np.asarray(generator.uniform(low, high, shape)).astype(dtype)


def node_model(
    op_type: str,
    inputs: Sequence[Array | None],
    attributes: Mapping[str, Any],
    *,
    outputs: Sequence[bool] = (True,),
    domain: str = MICROSOFT,
    constant: Collection[int] = (),
    fixed: Collection[int] = (),
    fixed_last: bool = False,
    opset: int = 20,
) -> onnx.ModelProto:
    """A model of one node; sizes are symbolic but for those of ``constant`` inputs and of ``fixed`` ones; with
    ``fixed_last`` the last size and those of four or more dimensions but batch and rows are constant, as they are in
    models of transformers."""
    names = ["" if array is None else f"x{place}" for place, array in enumerate(inputs)]
    ports, initializers = [], []
    for place, (name, array) in enumerate(zip(names, inputs, strict=True)):
        if array is None:
            continue
        if place in constant:
            initializers.append(numpy_helper.from_array(array, name))
            continue
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        shape = [size if place in fixed else None for size in array.shape]
        if fixed_last and array.ndim > 2:
            free = (0, 2 if array.ndim == 4 else 1)
            shape = [None if axis in free else size for axis, size in enumerate(array.shape)]
        ports.append(helper.make_tensor_value_info(name, kind, shape))
    made = [f"y{place}" if wanted else "" for place, wanted in enumerate(outputs)]
    node = helper.make_node(op_type, names, made, name="tested", domain=domain, **attributes)
    results = [onnx.ValueInfoProto(name=name) for name in made if name]
    graph = helper.make_graph([node], "test", ports, results, initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def compiled(model: onnx.ModelProto, threads: int = 1) -> Program:
    """The model's program, ready to run, which is one native step."""
    program = compile_model(model)
    assert [type(step) for step in program.steps] == [NativeStep]
    program.load(team(threads), 1 << 32)
    return program


def reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime computes, without its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[Array] = session.run(None, dict(feeds))
    return results


def feeds_of(inputs: Sequence[Array | None], constant: Collection[int] = ()) -> dict[str, Array]:
    return {f"x{k}": array for k, array in enumerate(inputs) if array is not None and k not in constant}


def check(
    op_type: str,
    inputs: Sequence[Array | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 2e-5,
    steps: int = 0,
    expected: Sequence[Array] | None = None,
    **options: Any,
) -> list[Array]:
    """Runs a node here and in ONNX Runtime (or takes what is ``expected``) and compares; returns the outputs.

    Floats may differ by ``tolerance``, integers by ``steps``.
    """
    model = node_model(op_type, inputs, attributes or {}, **options)
    feeds = feeds_of(inputs, options.get("constant", ()))
    wanted = reference(model, feeds) if expected is None else expected
    program = compiled(model)
    results = program.run([feeds[value.name] for value in program.inputs])
    assert len(results) == len(wanted)
    for got, want in zip(results, wanted, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_allclose(got.astype(np.int64), want.astype(np.int64), rtol=0, atol=steps)
    return results
