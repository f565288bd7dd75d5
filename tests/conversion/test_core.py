"""Recognition, certificates and files, without any framework but ONNX itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from sardonyx.conversion.certificate import Measure
from sardonyx.conversion.samples import next_to_splits


def doubling() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_model_and_its_certificate_are_written_together(tmp_path: Path) -> None:
    result = sardonyx.convert(doubling(), tmp_path / "m.onnx")
    assert result.certificate.passed
    record = json.loads((tmp_path / "m.certificate.json").read_text())
    assert record["passed"]
    assert record["data"]["rows"] == 1000
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.certificate.json", "m.onnx"]


def test_given_data_is_used(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,c\n1,2,3\n4,,6\n")
    data = sardonyx.convert(doubling(), data=tmp_path / "d.csv").certificate.data
    assert (data["origin"], data["rows"]) == ("given", 2)


def test_an_unknown_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(sardonyx.ConversionError, match=r"x\.bin begins with b'nothing '.*Known are"):
        sardonyx.convert(tmp_path / "x.bin")


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(sardonyx.ConversionError, match="no option called colour"):
        sardonyx.convert(doubling(), colour="red")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(sardonyx.ConversionError, match="cannot write"):
        sardonyx.convert(doubling(), tmp_path / "no" / "m.onnx")


def test_label_flips_and_worst_rows_are_counted() -> None:
    measure = Measure("scores")
    source = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    measure.add(source, source[:, ::-1] * np.array([[0], [1]], np.float32) + source * np.array([[1], [0]], np.float32))
    figures = measure.figures()
    assert (figures.kind, figures.flips, figures.worst[0].row) == ("scores", 1, 1)
    assert figures.absolute == pytest.approx(0.2)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_quantised_outputs_may_be_one_step_apart(dtype: type) -> None:
    step = 1 if dtype is np.int8 else 0.25
    source = np.array([[3, 4, 0], [5, 1, 1], [2, 0, 7]], dtype) * dtype(step)
    for moved, fits in ((1, True), (2, False)):
        measure = Measure("scores", step)
        measure.add(source, source + np.array([[moved, 0, 0], [-moved, 0, 0], [0, 0, 0]], dtype) * dtype(step))
        figures = measure.figures()
        assert (figures.kind, figures.within(0), figures.flips) == ("steps", fits, 0)
    measure = Measure("scores", step)
    measure.add(source, source[:, ::-1])
    assert measure.figures().flips == 2


def test_rows_stand_at_and_next_to_every_split() -> None:
    base = {"x": np.zeros((5, 2), np.float32)}
    (feeds,) = next_to_splits(base, {"x": [np.array([0.1]), np.array([])]}, seed=0)
    near = np.float32(0.1)
    expected = [np.nextafter(near, np.float32(-1)), near, np.nextafter(near, np.float32(1))]
    assert feeds["x"][:, 0].tolist() == expected
    assert not feeds["x"][:, 1].any()
