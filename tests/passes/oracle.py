"""Builds small models, runs chosen passes on them, and holds the result against the untouched model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sardonyx.compiler.build import link
from sardonyx.compiler.compile import compile_graph
from sardonyx.graph.reader import read_model
from sardonyx.graph.verifier import verify
from sardonyx.lang.host import host_target
from sardonyx.passes.pipeline import PASSES, optimise
from sardonyx.runtime.pool import team

Array = npt.NDArray[Any]
_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    opset: int = 21,
) -> onnx.ModelProto:
    """A float32 model in the standard domain."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def optimised(proto: onnx.ModelProto, passes: Sequence[str] | None = None) -> tuple[ir.Graph, dict[str, int]]:
    """The graph after the named passes (None: all), verified after each, and the edits that each made."""
    read = read_model(proto)
    disabled = [] if passes is None else [p.name for p in PASSES if p.name not in passes]
    runs = optimise(read, disabled=disabled, after=lambda one, rewriter: verify(read))
    return read.graph, {run.name: run.changes for run in runs}


def op_types(graph: ir.Graph) -> list[str]:
    """The operators of a graph, sorted."""
    return sorted(node.op_type for node in graph)


def check(proto: onnx.ModelProto, feeds: Mapping[str, Array], tolerance: float = 1e-5) -> None:
    """Runs the model with and without passes, and on onnx's reference implementation, and compares."""
    expected = ReferenceEvaluator(proto).run(None, dict(feeds))
    for level in (0, 99):
        read = read_model(proto)
        optimise(read, level=level)
        program = link(compile_graph(read, host_target()), {})
        program.load(team(1), 1 << 32)
        results = program.run([feeds[value.name] for value in program.inputs])
        for got, want in zip(results, expected, strict=True):
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=f"level {level}")
