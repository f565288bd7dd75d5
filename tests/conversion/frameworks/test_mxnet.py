"""MXNet's files: recognition, names and sizes, what cannot be converted. Needs the isolated environment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sardonyx
from conversion.cases.isolated import made
from sardonyx.conversion import recognise
from sardonyx.conversion.frameworks.mxnet import MXNet
from sardonyx.errors import ConversionError


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of a model without sizes (``mlp``), and one with (``several``)."""
    for path in made(MXNet.environment, "mxnet_models.py").iterdir():
        if path.name.startswith(("mlp-", "several-")):
            shutil.copy(path, tmp_path)
    return tmp_path


def shapes(result: sardonyx.Conversion) -> dict[str, list[Any]]:
    session = result.session()
    return {value.name: list(value.shape) for value in (*session.get_inputs(), *session.get_outputs())}


def test_files_are_recognised(models: Path) -> None:
    assert recognise(models / "mlp-symbol.json").kind == "an MXNet symbol (.json)"
    assert recognise(models / "mlp-0000.params").kind == "MXNet parameters (.params)"


def test_names_and_open_batches(models: Path) -> None:
    result = sardonyx.convert(models / "several-0000.params", models / "m.onnx")
    assert result.certificate.passed
    assert shapes(result) == {
        "table": ["batch", 6],
        "picture": ["batch", 3, 12, 12],
        "kind": ["batch", 3],
        "price": ["batch", 1],
    }
    assert "mxnet (isolated)" in result.certificate.versions
    fixed = sardonyx.convert(models / "several-symbol.json", dynamic=False, opset=17)
    assert shapes(fixed)["picture"] == [1, 3, 12, 12]
    assert fixed.certificate.model["opsets"] == {"ai.onnx": 17}


def test_the_batch_may_be_another_axis() -> None:
    source = made(MXNet.environment, "mxnet_models.py") / "time_major-symbol.json"
    example = np.zeros((6, 1, 5), np.float32)
    result = sardonyx.convert(source, example_inputs=example, batch_axis=1)
    assert result.certificate.passed
    assert list(shapes(result).values()) == [[6, "batch", 5], [6, "batch", 10]]
    with pytest.raises(ConversionError, match="option batch_axis=first: expected a number"):
        sardonyx.convert(source, example_inputs=example, batch_axis="first")


def test_the_last_epoch_is_taken(models: Path) -> None:
    shutil.copy(models / "several-0000.params", models / "several-0012.params")
    notes = sardonyx.convert(models / "several-symbol.json").certificate.notes
    assert "the parameters are those of the last epoch, several-0012.params, not several-0000.params" in notes


def test_sizes_that_nobody_knows_are_asked_for(models: Path) -> None:
    with pytest.raises(ConversionError, match=r"shape of its inputs data: give example_inputs, or --example data="):
        sardonyx.convert(models / "mlp-symbol.json")
    examples = {"data": np.zeros((1, 20))}
    assert sardonyx.convert(models / "mlp-symbol.json", example_inputs=examples).certificate.passed


def test_parameters_of_another_model_are_refused(models: Path) -> None:
    example = np.zeros((1, 20), np.float32)
    with pytest.raises(ConversionError, match=r"the parameters lack .*_weight"):
        sardonyx.convert(models / "mlp-symbol.json", example_inputs=example, params=models / "several-0000.params")


def test_operators_without_an_onnx_form_are_named(models: Path) -> None:
    symbol = json.loads((models / "mlp-symbol.json").read_text())
    node = next(node for node in symbol["nodes"] if node["op"] == "Activation")
    node.update(op="cbrt", attrs={})
    (models / "mlp-symbol.json").write_text(json.dumps(symbol))
    with pytest.raises(ConversionError, match=f"no ONNX form for: .*cbrt \\('{node['name']}'\\)"):
        sardonyx.convert(models / "mlp-symbol.json", example_inputs=np.zeros((1, 20), np.float32))


def test_damaged_files_are_named(models: Path) -> None:
    (models / "mlp-0000.params").write_bytes((models / "mlp-0000.params").read_bytes()[:99])
    with pytest.raises(ConversionError, match=r"mlp-0000\.params cannot be read as MXNet parameters"):
        sardonyx.convert(models / "mlp-0000.params")
