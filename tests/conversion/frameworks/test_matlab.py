"""MATLAB's exports, made by hand to their documented form: what is recognised, repaired and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

import sardonyx
from conversion import matlab_models as models
from sardonyx import metadata
from sardonyx.conversion import recognise
from sardonyx.conversion.frameworks._matlab.repairs import repair_attributes, repair_ranks

Floats = npt.NDArray[np.float64]


def weight(model: onnx.ModelProto, name: str) -> Floats:
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name).astype(np.float64)


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm_steps(model: onnx.ModelProto, name: str, x: Floats, state: float = 0.0) -> Floats:
    """(steps, batch, hidden) by the definition, in numpy's float64."""
    w, r, b = (weight(model, f"{name}_{part}")[0] for part in "WRB")
    hidden = r.shape[1]
    h = c = np.full((x.shape[1], hidden), state)
    steps = []
    for row in x:
        gates = row @ w.T + h @ r.T + b[: 4 * hidden] + b[4 * hidden :]
        i, o, f, g = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        steps.append(h)
    return np.stack(steps)


def connected(model: onnx.ModelProto, name: str, x: Floats) -> Floats:
    return np.asarray(x @ weight(model, f"{name}_W").T + weight(model, f"{name}_B"))


def run(model: onnx.ModelProto, x: Floats) -> Any:
    session = sardonyx.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]


def sizes(model: onnx.ModelProto) -> list[list[Any]]:
    ports = (*model.graph.input, *model.graph.output)
    return [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in ports]


def test_files_and_protos_are_recognised_by_their_producer(tmp_path: Path) -> None:
    for make in (models.old_cnn, models.lstm):
        path = tmp_path / f"{make.__name__}.onnx"
        onnx.save(make(), path)
        assert {recognise(path).framework, recognise(make()).framework} == {"matlab"}
    other = models.mlp()
    other.producer_name = "pytorch"
    other.doc_string = "MATLAB Deep Learning Toolbox Converter for ONNX Model Format"
    onnx.save(other, tmp_path / "other.onnx")
    assert {recognise(tmp_path / "other.onnx").framework, recognise(other).framework} == {"onnx"}


def test_fully_connected_layers_behind_an_lstm() -> None:
    source = models.sequence_to_sequence()
    result = sardonyx.convert(source, rows=20)
    x = np.random.default_rng(2).standard_normal((7, 3, 5))
    expected = connected(source, "fc_2", connected(source, "fc_1", lstm_steps(source, "lstm", x, 0.25)))
    np.testing.assert_allclose(run(result.model, x), expected, rtol=1e-4, atol=1e-5)
    assert sizes(result.model) == [["SequenceLength", "batch", 5], ["SequenceLength", "batch", 1]]
    assert result.certificate.passed
    onnx.checker.check_model(result.model, full_check=True)


def test_a_fully_connected_layer_behind_the_last_step() -> None:
    source = models.lstm()
    result = sardonyx.convert(source, rows=20)
    x = np.random.default_rng(3).standard_normal((5, 2, 4))
    scores = connected(source, "fc", np.maximum(lstm_steps(source, "lstm", x)[-1], 0))
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run(result.model, x), expected, rtol=1e-4, atol=1e-5)
    assert sizes(result.model) == [["SequenceLength", "BatchSize", 4], ["BatchSize", 3]]
    assert "softmax was declared with rank 3, it has 2" in result.certificate.notes
    assert result.certificate.passed


def test_a_softmax_at_each_step_is_over_its_features() -> None:
    result = sardonyx.convert(models.bilstm(), rows=20)
    answer = run(result.model, np.random.default_rng(4).standard_normal((5, 3, 4)))
    np.testing.assert_allclose(answer.sum(axis=2), 1, rtol=1e-5)


def test_pictures_classes_and_a_batch() -> None:
    result = sardonyx.convert(models.cnn(), rows=20)
    properties = {entry.key: entry.value for entry in result.model.metadata_props}
    assert json.loads(properties[metadata.CLASSES]) == ["cat", "dog", "horse"]
    scaling = {"input": "imageinput", "size": [16, 16], "mean": [0], "std": [1], "scale": 1}
    assert json.loads(properties[metadata.IMAGE]) == scaling
    assert sizes(result.model) == [["batch", 3, 16, 16], ["batch", 3]]
    assert [value.name for value in result.model.graph.input] == ["imageinput"]
    assert result.certificate.passed
    fixed = sardonyx.convert(models.cnn(), dynamic=False)
    assert sizes(fixed.model) == [[4, 3, 16, 16], [4, 3]]


def test_attributes_that_the_opset_dropped() -> None:
    model = models.old_cnn()
    assert repair_attributes(model) == ["BatchNormalization: dropped consumed_inputs, unknown in opset 6"]
    assert repair_attributes(model) == []
    assert repair_attributes(models.gru()) == []


@pytest.mark.parametrize("make", [models.mlp, models.gru])
def test_what_is_right_stays(make: Callable[[], onnx.ModelProto]) -> None:
    model = make()
    before = list(model.graph.node)
    assert repair_ranks(model) == []
    assert list(model.graph.node) == before


def test_repaired_models_run_elsewhere() -> None:
    import onnxruntime

    rng = np.random.default_rng(5)
    for make, shape in ((models.old_cnn, (1, 1, 12, 12)), (models.sequence_to_sequence, (4, 1, 5))):
        made = sardonyx.convert(make(), rows=4).model
        x = rng.standard_normal(shape).astype(np.float32)
        session = onnxruntime.InferenceSession(made.SerializeToString())
        (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(run(made, x), theirs, rtol=1e-4, atol=1e-5)


def wrong_weights() -> onnx.ModelProto:
    model = models.old_cnn()
    fc = next(t for t in model.graph.initializer if t.name == "fc_W")
    fc.CopyFrom(numpy_helper.from_array(np.zeros((4, 100), np.float32), "fc_W"))
    return model


def cycle() -> onnx.ModelProto:
    model = models.mlp()
    model.graph.node[0].input[0] = "tanh"
    return model


def computed_weights() -> onnx.ModelProto:
    model = models.old_cnn()
    fc = next(node for node in model.graph.node if node.op_type == "Gemm")
    fc.attribute.remove(next(a for a in fc.attribute if a.name == "transA"))
    fc.attribute.append(helper.make_attribute("transA", 1))
    return model


def unknown_layer() -> onnx.ModelProto:
    model = models.mlp()
    model.graph.node[1].op_type = "MyLayer"
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_weights, r"'fc'.*weights for 100 features.*shape \[1, 16, 3, 3\]"),
        (computed_weights, "'fc'.*is no fully connected layer"),
        (cycle, "recognised as MATLAB's.*cycle"),
        (unknown_layer, "recognised as MATLAB's.*'tanh'.*MyLayer"),
    ],
)
def test_refusals_name_the_layer(make: Callable[[], onnx.ModelProto], message: str) -> None:
    with pytest.raises(sardonyx.ConversionError, match=message):
        sardonyx.convert(make())


def test_a_file_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(models.cnn().SerializeToString()[:2000])
    assert recognise(path).framework == "matlab"
    with pytest.raises(sardonyx.ConversionError, match=r"net\.onnx.*damaged or cut off"):
        sardonyx.convert(path)
