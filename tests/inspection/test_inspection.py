"""Looking into a compiled model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from sardonyx.inspection import Inspection, profile
from sardonyx.ops import registry


def save(path: Path, nodes: list[onnx.NodeProto], opset: int = 17) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.ones((8, 16), np.float32), "w")]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """Two kernels, one of which takes a Relu along, and a constant that folding removes."""
    constant = numpy_helper.from_array(np.float32(2))
    nodes = [
        helper.make_node("Constant", [], ["two"], value=constant),
        helper.make_node("Sqrt", ["two"], ["root"], "root"),
        helper.make_node("MatMul", ["x", "w"], ["h"], "product"),
        helper.make_node("Mul", ["h", "root"], ["s"], "scale"),
        helper.make_node("Relu", ["s"], ["r"], "activation"),
        helper.make_node("Softmax", ["r"], ["y"], "softmax"),
    ]
    return save(tmp_path / "native.onnx", nodes)


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with one operator that has no record, for the time of the test."""
    monkeypatch.delitem(registry._records, ("", "Erf"))
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "activation"),
        helper.make_node("Erf", ["r"], ["b"], "unlowered"),
        helper.make_node("Neg", ["b"], ["y"], "last"),
    ]
    return save(tmp_path / "mixed.onnx", nodes)


def test_summary_describes_the_file(native: Path) -> None:
    summary = Inspection(native).summary
    assert summary["opsets"] == {"ai.onnx": 17}
    assert summary["inputs"] == ["x: tensor(float) [batch, 8]"]
    assert summary["parameters"] >= 128


def test_steps(native: Path, mixed: Path) -> None:
    (step,) = Inspection(native).steps
    assert step.kind == "native"
    assert step.operators["MatMul"] == 1
    kinds = [(step.kind, step.nodes) for step in Inspection(mixed).steps]
    assert kinds == [
        ("native", ("activation (Relu)",)),
        ("python", ("unlowered (Erf)",)),
        ("native", ("last (Neg)",)),
    ]
    assert "Erf" in Inspection(mixed).steps[1].reason


def test_passes_show_the_graph_before_and_after(native: Path) -> None:
    passes = Inspection(native).passes
    assert len({one.name for one in passes}) == len(passes)
    assert all(one.reason for one in passes)
    folding = next(one for one in passes if "Sqrt" in one.before and "Sqrt" not in one.after)
    assert folding.changes > 0
    assert folding.nodes_after < folding.nodes_before
    assert [one.after for one in passes[:-1]] == [one.before for one in passes[1:]]


def test_kernels_and_their_code(native: Path) -> None:
    kernels = Inspection(native).kernels
    assert any("softmax" in kernel.name for kernel in kernels)
    assert any("batch" in kernel.tasks for kernel in kernels)
    for kernel in kernels:
        assert f'define i64 @"{kernel.symbol}"' in kernel.llvm_ir
        assert kernel.symbol in kernel.optimised_ir
        assert kernel.symbol in kernel.assembly


def test_work_follows_the_sizes(native: Path) -> None:
    inspection = Inspection(native)
    one, ten = (inspection.work({"x": np.zeros((batch, 8), np.float32)}) for batch in (1, 10))
    assert one >= 2 * 8 * 16
    assert ten == pytest.approx(10 * one)


def test_buffers_of_the_arena_do_not_overlap_while_both_live(native: Path) -> None:
    buffers = Inspection(native).buffers
    assert {"input", "output"} <= {buffer.kind for buffer in buffers}
    assert all(buffer.first <= buffer.last for buffer in buffers)
    slots = [buffer for buffer in buffers if buffer.offset.startswith("slot")]
    for one in slots:
        for other in slots:
            apart = one.last < other.first or other.last < one.first
            assert one is other or one.offset != other.offset or apart


def test_profile_times_kernels_and_python_steps(mixed: Path) -> None:
    options = sardonyx.SessionOptions(log_severity_level=4)
    session = sardonyx.InferenceSession(mixed, options)
    times = profile(session.program, {"x": np.full((4, 8), 0.5, np.float32)}, runs=3)
    assert [time.index for time in times] == list(range(len(times)))
    assert any(time.name == "python Erf" for time in times)
    assert all(time.seconds >= 0 for time in times)
    assert sum(time.seconds for time in times) > 0


def test_operators_outside_the_standard(tmp_path: Path) -> None:
    """They are read as a session reads them, and the passes show what became of them."""
    from ops.contrib.oracle import node_model, numbers

    path = tmp_path / "model.onnx"
    onnx.save(node_model("BiasGelu", [numbers(2, 3), numbers(3)], {}), path)
    inspection = Inspection(path)
    assert inspection.passes[0].name == "composites"
    assert [step.kind for step in inspection.steps] == ["native"]
