"""onnx's backend interface, driven by onnx's own test runner on a few of its cases."""

from __future__ import annotations

import unittest

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import helper

import sardonyx
from sardonyx import backend
from session import models

CASES = ["test_relu_cpu", "test_add_bcast_cpu", "test_gemm_default_matrix_bias_cpu", "test_softmax_axis_1_cpu"]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.filterwarnings("ignore")  # onnx computes the expected results of all its cases, some of which overflow
@pytest.mark.parametrize("case", CASES)
def test_runner_of_onnx(case: str) -> None:
    runner = onnx.backend.test.BackendTest(backend, "sardonyx")
    runner.include(rf"^{case}$")
    cases = [
        test(name)
        for test in runner.test_cases.values()
        for name in unittest.TestLoader().getTestCaseNames(test)
        if name == case
    ]
    assert len(cases) == 1
    result = unittest.TestResult()
    cases[0].run(result)
    assert result.testsRun == 1
    assert not result.errors + result.failures + result.skipped


def test_prepare_and_run() -> None:
    made, x = models.mlp(), np.ones((2, 8), np.float32)
    rep = backend.prepare(made, "CPU", intra_op_num_threads=1)
    first = rep.run([x])
    for given in (x, {"x": x}, (x,)):
        np.testing.assert_array_equal(rep.run(given)[0], first[0])
    np.testing.assert_array_equal(backend.run(made.SerializeToString(), [x])[0], first[0])
    session = sardonyx.InferenceSession(made)
    np.testing.assert_array_equal(backend.prepare(session).run([x])[0], first[0])
    with pytest.raises(sardonyx.InvalidInputError, match="2 inputs were given"):
        rep.run([x, x])
    with pytest.raises(TypeError, match="nonsense"):
        rep.run([x], nonsense=1)
    with pytest.raises(ValueError, match="CUDA"):
        backend.prepare(made, "CUDA")


def test_devices_and_compatibility() -> None:
    assert backend.supports_device("CPU")
    assert backend.supports_device("cpu:0")
    assert not backend.supports_device("CUDA")
    assert backend.is_compatible(models.mlp())
    foreign = models.model(
        [helper.make_node("NoSuchOp", ["x"], ["y"])], [models.tensor("x", [1])], [models.tensor("y", [1])]
    )
    assert not backend.is_compatible(foreign)


@pytest.mark.filterwarnings("ignore:.*run in Python:RuntimeWarning")
def test_one_node() -> None:
    x = np.array([3.0, 1.0, 2.0], np.float32)
    parts = backend.run_node(helper.make_node("Split", ["x", "sizes"], ["a", "b"]), [x, np.array([1, 2])])
    assert [part.tolist() for part in parts] == [[3], [1, 2]]
    clipped = backend.run_node(helper.make_node("Clip", ["x", "", "high"], ["y"]), [x, np.float32(2)])
    assert clipped[0].tolist() == [2, 1, 2]
    squeezed = backend.run_node(helper.make_node("Squeeze", ["x"], ["y"], axes=[0]), [x[None]], opset_version=11)
    assert squeezed[0].shape == (3,)
    with pytest.raises(sardonyx.InvalidInputError, match="1 values were given"):
        backend.run_node(helper.make_node("Add", ["x", "y"], ["z"]), [x])
