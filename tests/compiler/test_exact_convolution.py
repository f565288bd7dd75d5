"""Transformed convolutions can be switched off, and are as accurate as plain ones."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sardonyx.compiler import compile_model
from sardonyx.options import SessionOptions
from sardonyx.runtime.pool import team

rng = np.random.default_rng(3)
WEIGHT = rng.standard_normal((40, 32, 3, 3)).astype(np.float32)


def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32, 13, 17])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(x: np.ndarray, *, exact: bool) -> tuple[np.ndarray, set[str]]:
    options = SessionOptions()
    options.exact_convolution = exact
    program = compile_model(model(), options)
    program.load(team(2), 1 << 30)
    kernels = {call.kernel for call in program.native_steps[0].region.calls}
    return program.run([x])[0], kernels


def direct(x: np.ndarray) -> np.ndarray:
    """The convolution in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows, WEIGHT.astype(np.float64))


def test_both_ways_are_accurate() -> None:
    x = rng.standard_normal((2, 32, 13, 17)).astype(np.float32)
    plain, plain_kernels = run(x, exact=True)
    transformed, transformed_kernels = run(x, exact=False)
    expected = direct(x)
    assert "conv" in plain_kernels
    assert not any("winograd" in name for name in plain_kernels)
    assert any("winograd" in name for name in transformed_kernels)
    scale = np.abs(expected).max()
    assert np.abs(plain - expected).max() / scale < 2e-6
    assert np.abs(transformed - expected).max() / scale < 4e-6


def test_an_infinity_stays_where_it_belongs() -> None:
    x = np.ones((1, 32, 13, 17), np.float32)
    x[0, :, 6, 6] = np.inf
    result, _ = run(x, exact=True)
    outside = np.ones((13, 17), bool)
    outside[5:8, 5:8] = False
    assert np.isfinite(result[0][:, outside]).all()
