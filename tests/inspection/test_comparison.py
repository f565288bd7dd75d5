"""Comparing engines, models and passes: planted mistakes are found, where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import sardonyx
from sardonyx.inspection import Candidate, Difference, Tolerance, compare
from sardonyx.inspection.differences import difference
from sardonyx.ops.rectifier import Relu
from sardonyx.passes import pipeline
from sardonyx.passes.rewriting import Rewriter, is_op
from session import models


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))


def chain(length: int = 6) -> onnx.ModelProto:
    """Layers of MatMul, Add and Relu."""
    nodes = "".join(f"p{i} = MatMul(x{i}, w{i}) a{i} = Add(p{i}, b{i}) x{i + 1} = Relu(a{i})\n" for i in range(length))
    model = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 21]>
        chain (float[n, 8] x0) => (float[n, 8] x{length}) {{ {nodes} }}""")
    draw = np.random.default_rng(0)
    for i in range(length):
        for name, shape in ((f"w{i}", (8, 8)), (f"b{i}", (8,))):
            array = draw.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


FEEDS = {"x0": np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32)}


def test_engines_agree() -> None:
    model = chain()
    for engine in ("onnxruntime", "reference", "sardonyx"):
        found = compare(Candidate.load(model), Candidate.load(model, engine=engine), FEEDS)
        assert found.same
        assert found.first is None
        assert [o.name for o in found.outputs] == ["x6"]


@pytest.mark.parametrize(("length", "layer"), [(6, 3), (200, 190)])
def test_wrong_weight(length: int, layer: int, tmp_path: Path) -> None:
    a, b = chain(length), chain(length)
    wrong = next(t for t in b.graph.initializer if t.name == f"b{layer}")
    wrong.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(wrong) + np.float32(1), wrong.name))
    scale = np.float32(1) if length == 6 else np.float32(0.5)
    for model in (a, b):  # a long chain must not overflow
        for tensor in model.graph.initializer:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * scale, tensor.name))
    sides = [Candidate.load(m, engine="reference") for m in (a, b)]
    found = compare(*sides, FEEDS, tolerance=Tolerance(1e-4, 1e-7), output=tmp_path / "out")
    assert not found.same
    assert found.first is not None
    assert found.first.difference.name == f"a{layer}"
    assert found.first.operator == "ai.onnx::Add"
    assert found.first.nodes == (f"a{layer} (Add)",)
    assert found.first.reproduced
    assert not found.first.fused
    assert np.isclose(found.first.difference.absolute, scale, rtol=1e-3)
    with np.load(tmp_path / "out" / "inputs.npz") as inputs:
        assert sorted(inputs) == [f"p{layer}"]
        results = []
        for name in ("node.onnx", "node_b.onnx"):
            session = sardonyx.InferenceSession(tmp_path / "out" / name)
            results.append(session.run(None, dict(inputs))[0])
    np.testing.assert_allclose(results[1] - results[0], scale, rtol=1e-3)


def test_wrong_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain()
    model.graph.node[11].op_type = "Sigmoid"  # a3 -> x4, so that only some nodes are Relus
    right = Relu.compute
    monkeypatch.setattr(Relu, "compute", lambda self, *values: right(self, *values) * 1.5)
    found = compare(Candidate.load(model), Candidate.load(model, engine="onnxruntime"), FEEDS, output=tmp_path / "out")
    assert found.first is not None
    assert found.first.difference.name == "x1"
    assert found.first.operator == "ai.onnx::Relu"
    assert found.first.reproduced
    assert len(found.first.files) == 4
    assert len(onnx.load(tmp_path / "out" / "node.onnx").graph.node) == 1


def test_mistake_of_fusion(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain(4)

    def drop_bias(rewriter: Rewriter) -> None:
        """A rewrite that is wrong, and does not touch what is an output."""
        for node in list(rewriter.graph):
            if is_op(node, "Add") and not node.outputs[0].is_graph_output() and node.outputs[0].name == "a2":
                rewriter.replace(node.outputs[0], node.inputs[0])
                rewriter.remove(node)

    broken = pipeline.Pass("broken", drop_bias, 1, "wrong")
    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, broken))
    found = compare(Candidate.load(model), Candidate.load(model, disabled_passes=("broken",)), FEEDS)
    assert found.first is not None
    assert found.first.fused
    assert found.first.reproduced
    assert any("a2" in node for node in found.first.nodes)


def test_values_without_counterpart() -> None:
    a, b = chain(), chain()
    for node in b.graph.node:  # another exporter's names
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                if name.startswith(("p", "a")):
                    field[index] = f"other_{name}"
    wrong = next(t for t in b.graph.initializer if t.name == "w2")
    wrong.CopyFrom(onnx.numpy_helper.from_array(np.zeros((8, 8), np.float32), "w2"))
    found = compare(Candidate.load(a), Candidate.load(b), FEEDS)
    assert found.first is not None
    assert found.first.difference.name == "x3"
    assert found.first.nodes == ("p2 (MatMul)", "a2 (Add)", "x3 (Relu)")
    assert found.first.reproduced


def test_values_that_an_engine_cannot_give(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = chain(), chain()
    wrong = next(t for t in b.graph.initializer if t.name == "w2")
    wrong.CopyFrom(onnx.numpy_helper.from_array(np.zeros((8, 8), np.float32), "w2"))
    run = Candidate.run

    def refusing(self, model, feeds):
        if {"p1", "p2"} & {value.name for value in model.graph.output}:
            raise sardonyx.ProviderError("not that one")
        return run(self, model, feeds)

    monkeypatch.setattr(Candidate, "run", refusing)
    sides = [Candidate.load(m, engine="reference") for m in (a, b)]
    found = compare(*sides, FEEDS)
    assert found.first is not None
    assert found.first.difference.name == "a2"
    assert found.first.nodes == ("p2 (MatMul)", "a2 (Add)")


def test_what_an_engine_raises() -> None:
    with pytest.raises(sardonyx.ProviderError, match=r"model by onnxruntime: .*x0"):
        compare(Candidate.load(chain(1), engine="onnxruntime"), Candidate.load(chain(1)), {})


def test_another_target_and_passes() -> None:
    model = chain(2)
    other = Candidate.load(model, target="x86-64", level=0, disabled_passes=("norms",), threads=1)
    assert "target x86-64" in other.label
    assert compare(Candidate.load(model), other, FEEDS).same


def test_other_names() -> None:
    a, b = chain(2), chain(2)
    b.graph.input[0].name = b.graph.node[0].input[0] = "given"
    b.graph.output[0].name = b.graph.node[-1].output[0] = "result"
    assert compare(Candidate.load(a), Candidate.load(b), FEEDS).same
    with pytest.raises(sardonyx.InvalidInputError, match="do not correspond"):
        compare(Candidate.load(a), Candidate.load(models.two_inputs()), FEEDS)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(sardonyx.ProviderError, match="abacus"):
        Candidate.load(chain(1), engine="abacus")
    with pytest.raises(FileNotFoundError):
        Candidate.load(tmp_path / "missing.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    with pytest.raises(sardonyx.InvalidModelError):
        Candidate.load(tmp_path / "bad.onnx")


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (np.array([1.0, NAN, INF]), np.array([1.0, NAN, INF]), True),
        (np.array([1.0]), np.array([NAN]), False),
        (np.array([INF]), np.array([-INF]), False),
        (np.array([1.0]), np.array([INF]), False),
        (np.array([1000.0], np.float32), np.array([1000.5], np.float32), True),
        (np.array([1.0], np.float16), np.array([1.005], np.float16), True),
        (np.array([1]), np.array([2]), False),
        (np.array([1]), np.array([1], np.int32), False),
        (np.zeros(3), np.zeros(4), False),
        (np.zeros(0), np.zeros(0), True),
        (np.array(["a"], object), np.array(["a"]), True),
        (np.array(["a"], object), np.array(["b"]), False),
        ([np.ones(2)], [np.ones(2)], True),
        ([np.ones(2)], [np.ones(2), np.ones(2)], False),
        ([{1: 0.5}], [{1: 0.5}], True),
        ([{1: 0.5}], [{1: 0.75}], False),
        ([{1: 0.5}], [{2: 0.5}], False),
        (None, None, True),
        (None, np.ones(1), False),
    ],
)
def test_differences(a, b, same: bool) -> None:
    found = difference("v", a, b, Tolerance())
    assert isinstance(found, Difference)
    assert found.same is same
    assert found.plain()["same"] is same
