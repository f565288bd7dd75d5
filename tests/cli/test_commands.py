"""The commands, as a shell calls them: what they print, their JSON, their exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

from sardonyx.cli.app import app
from sardonyx.ops import registry

runner = CliRunner()


def call(*arguments: object, status: int = 0) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def call_json(*arguments: object, status: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", status=status))


def save(path: Path, nodes: list[onnx.NodeProto], weights: list[TensorProto], outputs: list[str]) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [x], results, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape, np.float32), name)
        for name, shape in {"w1": (8, 16), "b1": (16,), "w2": (16, 4)}.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"], "activation"),
        helper.make_node("MatMul", ["r", "w2"], ["y"], "last"),
    ]
    return save(tmp_path / "mlp.onnx", nodes, weights, ["y"])


@pytest.fixture
def partly_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with one operator that has no record, for the time of the test."""
    monkeypatch.delitem(registry._records, ("", "Erf"))
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "activation"),
        helper.make_node("Erf", ["r"], ["y"], "unlowered"),
    ]
    return save(tmp_path / "partly.onnx", nodes, [], ["y"])


def expected(model: Path, x: np.ndarray) -> np.ndarray:
    return ReferenceEvaluator(str(model)).run(None, {"x": x})[0]


def test_help_teaches_every_command() -> None:
    text = call("--help")
    for name in ("run", "bench", "check", "inspect", "cache", "version"):
        assert name in text
        assert "--json" in call(name, "--help")


def test_version() -> None:
    record = call_json("version")
    assert {"sardonyx", "python", "numpy", "llvmlite", "target"} <= set(record)
    assert record["sardonyx"] in call("version")


def test_run_on_a_file(mlp: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((3, 8), np.float32)
    np.save(tmp_path / "x.npy", x)
    record = call_json("run", mlp, "-i", tmp_path / "x.npy")
    assert record["outputs"]["y"]["shape"] == [3, 4]
    np.testing.assert_allclose(record["outputs"]["y"]["data"], expected(mlp, x), rtol=1e-4, atol=1e-5)


def test_run_at_random_and_write_the_outputs(mlp: Path, tmp_path: Path) -> None:
    text = call("run", mlp, "--random", "--size", "batch=5", "-o", tmp_path / "out.npz")
    assert "y" in text
    assert "[5, 4]" in text
    assert np.load(tmp_path / "out.npz")["y"].shape == (5, 4)


def test_a_size_without_a_name(mlp: Path) -> None:
    model = onnx.load(mlp)
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    onnx.save(model, mlp)
    assert call_json("run", mlp, "--random", "--size", "x:0=6")["outputs"]["y"]["shape"] == [6, 4]


def test_usage_errors_have_status_2(mlp: Path) -> None:
    call("run", mlp, status=2)
    call("run", mlp, "--random", "--size", "batch", status=2)
    call("run", mlp, "--random", "-i", "x.npy", status=2)
    call("bench", mlp, "--random", "--threads", "many", status=2)


def test_failures_have_status_1_and_no_traceback(mlp: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    np.save(tmp_path / "x.npy", np.zeros((3, 7), np.float32))
    for arguments in (
        ["run", broken, "--random"],
        ["run", tmp_path / "missing.onnx", "--random"],
        ["run", mlp, "-i", tmp_path / "x.npy"],
        ["check", broken],
        ["inspect", mlp, "--ir", "nonsense"],
        ["inspect", mlp, "--graph", "nonsense"],
    ):
        assert call_json(*arguments, status=1)["error"]["message"]


def test_check_of_a_native_model(mlp: Path) -> None:
    record = call_json("check", mlp)
    assert record["runs_natively"]
    assert record["python_steps"] == []
    assert "Every operator runs natively" in call("check", mlp)


def test_check_of_a_model_that_runs_partly_in_python(partly_python: Path) -> None:
    record = call_json("check", partly_python, status=3)
    assert not record["runs_natively"]
    assert "unlowered" in record["python_steps"][0]["node"]
    call("run", partly_python, "--random", "--strict", status=1)


def test_inspect_shows_every_part(mlp: Path) -> None:
    assert call_json("inspect", mlp)["steps"][0]["kind"] == "native"
    record = call_json("inspect", mlp, "--passes", "--kernels", "--buffers")
    assert record["passes"][0]["nodes_before"] >= 3
    assert record["kernels"][0]["name"]
    assert {"weight", "input", "output"} <= {buffer["kind"] for buffer in record["buffers"]}
    name = record["passes"][0]["name"]
    assert "Gemm" in call("inspect", mlp, "--graph", name)
    assert "define" in call("inspect", mlp, "--ir", "0")
    assert "ret" in call("inspect", mlp, "--assembly", record["kernels"][0]["name"])


def test_inspect_profile(mlp: Path) -> None:
    times = call_json("inspect", mlp, "--profile", "--random", "--size", "batch=4")["profile"]
    assert times
    assert all(time["seconds"] >= 0 for time in times)


def test_bench_beside_onnx_runtime(mlp: Path) -> None:
    arguments = ["bench", mlp, "--random", "--threads", "1", "--rounds", "1", "--seconds", "0.01"]
    record = call_json(*arguments, "--engines", "onnxruntime")
    ours, theirs = record["results"]
    assert (ours["engine"], theirs["engine"]) == ("sardonyx", "onnxruntime")
    assert ours["seconds"]["p50"] <= ours["seconds"]["p99"]
    assert ours["time_over_sardonyx"] == 1
    assert theirs["largest_difference"] < 1e-4
    assert record["floating_point_operations"] > 0
    call(*arguments, "--engines", "other", status=1)


def test_cache_is_shown_and_cleared(mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    call("run", mlp, "--random")
    shown = call_json("cache")
    assert shown["entries"] > 0
    assert shown["bytes"] > 0
    assert call_json("cache", "clear")["removed"] == shown["entries"]
    assert call_json("cache")["entries"] == 0
    call("cache", "burn", status=2)


def test_compare(mlp: Path, tmp_path: Path) -> None:
    text = call("compare", mlp, "--random", "--size", "batch=3")
    assert "mlp.onnx by onnxruntime" in text
    assert "no output differs" in text
    wrong = onnx.load(mlp)
    weights = next(t for t in wrong.graph.initializer if t.name == "w2")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) + np.float32(0.5), "w2"))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    folder = tmp_path / "out"
    text = call("compare", mlp, tmp_path / "wrong.onnx", "--random", "--size", "batch=3", "-o", folder, status=1)
    assert "The first node whose result differs is 'last' (ai.onnx::MatMul)" in text
    assert "differ on the same inputs too" in text
    call("compare", folder / "node.onnx", folder / "node_b.onnx", "-i", folder / "inputs.npz", status=1)
    record = call_json("compare", mlp, tmp_path / "wrong.onnx", "--random", "--engine-b", "reference", status=1)
    assert record["first"]["node"] == "last"
    same = call_json("compare", mlp, "--random", "--disable-pass", "activations", "--level", "1", "--exact-convolution")
    assert same["same"]
    assert same["b"] == "mlp.onnx by sardonyx (without activations, level 1, exact convolution)"
