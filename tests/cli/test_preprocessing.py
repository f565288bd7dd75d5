"""What a model says about its inputs and outputs is used: image scaling and class names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from sardonyx import metadata
from sardonyx.cli.app import app

runner = CliRunner()


def model(path: Path, image: object) -> Path:
    """The mean of each channel of an image of any size, as scores of three classes."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["m"]), helper.make_node("Flatten", ["m"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    said = {metadata.CLASSES: json.dumps(["red", "green", "blue"]), metadata.IMAGE: json.dumps(image)}
    helper.set_model_props(made, said)
    onnx.save(made, path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[:] = (51, 255, 102)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_models_own_scaling_and_class_names_are_used(tmp_path: Path, photo: Path) -> None:
    said = {"mean": [0.2, 0, 0], "std": [1, 1, 2], "scale": 255, "size": [4, 8]}
    path = model(tmp_path / "m.onnx", said)
    result = runner.invoke(app, ["run", str(path), "-i", str(photo), "--json"])
    record = json.loads(result.output)
    assert record["inputs"]["x"]["shape"] == [1, 3, 4, 8]
    assert [best["class"] for best in record["classes"][0]] == ["green", "blue", "red"]
    assert [best["score"] for best in record["classes"][0]] == pytest.approx([1, 0.2, 0], abs=1e-6)
    shown = runner.invoke(app, ["run", str(path), "-i", str(photo)]).output
    assert "green (1)" in shown


def test_options_come_before_what_the_model_says(tmp_path: Path, photo: Path) -> None:
    path = model(tmp_path / "m.onnx", {"mean": [9, 9, 9]})
    result = runner.invoke(app, ["run", str(path), "-i", str(photo), "--image-mean", "0", "--json"])
    assert json.loads(result.output)["classes"][0][0]["score"] == pytest.approx(1)


def test_metadata_that_makes_no_sense_is_named(tmp_path: Path, photo: Path) -> None:
    path = model(tmp_path / "m.onnx", {"mean": "grey"})
    result = runner.invoke(app, ["run", str(path), "-i", str(photo)])
    assert result.exit_code == 1
    assert "sardonyx.image" in result.output
