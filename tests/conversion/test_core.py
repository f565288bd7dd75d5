"""Recognition, certificates and files, without any framework but ONNX itself."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from sardonyx import metadata
from sardonyx.conversion import writing
from sardonyx.conversion.certificate import Measure, default_tolerance
from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks.onnx_files import OnnxFiles
from sardonyx.conversion.quiet import quiet
from sardonyx.conversion.samples import next_to_splits
from sardonyx.conversion.tables import from_tables


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


def picture_model() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 48])
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_classes_and_images_are_described(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(48)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    image = {"mean": (0.5,), "std": (0.25,), "size": (4, 4)}
    result = sardonyx.convert(picture_model(), classes=tmp_path / "names.txt", image=image, rows=2)
    said = {p.key: p.value for p in result.model.metadata_props}
    assert metadata.read(said, metadata.CLASSES) == names
    assert metadata.read(said, metadata.IMAGE) == {"input": "x", "mean": [0.5], "std": [0.25], "size": [4, 4]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["a", "b"]}, "2 names for the 48 scores of output 'y'"),
        ({"classes": "no-such-file.txt"}, "expected names, or a text file"),
        ({"image": {"average": [1]}}, "expected some of input, size, mean"),
        ({"image": {"size": [4]}}, r"size is \[height, width\]"),
        ({"image": {"mean": "grey"}}, "lists of numbers"),
        ({"image": {"input": "z"}}, "Of four axes are x"),
    ],
)
def test_what_does_not_describe_the_model_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(sardonyx.ConversionError, match=message):
        sardonyx.convert(picture_model(), **settings)


def test_row_numbers_stay_within_the_table() -> None:
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 1, 2])
    table = numpy_helper.from_array(np.arange(10, dtype=np.float32).reshape(5, 2), "table")
    axes = numpy_helper.from_array(np.array([2]), "axes")
    nodes = [helper.make_node("Unsqueeze", ["ids", "axes"], ["i"]), helper.make_node("Gather", ["table", "i"], ["y"])]
    graph = helper.make_graph(nodes, "g", [ids], [y], [table, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert from_tables(model) == {"ids": Domain(low=0, high=4)}
    assert sardonyx.convert(model, rows=50).certificate.passed


def test_small_floats_are_numbers() -> None:
    measure = Measure("y")
    near = np.array([[1.0], [2.0]], ml_dtypes.bfloat16)
    measure.add(near, near * np.array(1.0078125, ml_dtypes.bfloat16))
    assert measure.figures().kind == "numbers"
    assert measure.figures().ulp == 1
    assert default_tolerance({"y": near.dtype}, False) == pytest.approx(10 / 128)


def test_large_weights_stand_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 40])
    weights = numpy_helper.from_array(np.random.default_rng(0).standard_normal((40, 40)).astype(np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    monkeypatch.setattr(writing, "_LARGEST_MESSAGE", writing._BESIDE_WEIGHTS + 1000)
    result = sardonyx.convert(model, tmp_path / "m.onnx", rows=3)
    assert result.certificate.passed
    assert result.session().get_inputs()[0].name == "x"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.certificate.json", "m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx").stat().st_size < 1000
    record = json.loads((tmp_path / "m.certificate.json").read_text())
    assert record["model"]["weights_sha256"] == writing.digest(tmp_path / "m.onnx.data")


def test_data_that_the_source_does_not_take_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(feeds: Any) -> Any:
        raise ValueError("x must be sorted")

    monkeypatch.setattr(OnnxFiles, "export", lambda *arguments: Exported(doubling(), refuse))
    with pytest.raises(sardonyx.ConversionError, match=r"cannot answer the data.*x must be sorted.*--data"):
        sardonyx.convert(doubling())


def test_exporters_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with quiet():
        print("printed")
        os.write(2, b"from native code")
        warnings.warn("warned", UserWarning, stacklevel=1)
        logging.getLogger("exporter").error("logged")
    os.write(2, b"after")
    assert capfd.readouterr() == ("before\n", "after")


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
