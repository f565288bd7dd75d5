"""``load`` and models called like functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import sardonyx
from session import models

X = np.ones((2, 8), np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("model")
    onnx.save(models.mlp(), folder / "m.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE_DIR", str(folder))
        yield sardonyx.load(folder / "m.onnx", threads=1)


def test_calls(model: sardonyx.Model) -> None:
    results = [model(X), model(x=X), model({"x": X}), model(X.tolist())]
    for result in results:
        assert list(result) == ["y", "s"]
        np.testing.assert_array_equal(result["y"], results[0]["y"])


def test_description(model: sardonyx.Model) -> None:
    assert [(v.name, v.shape) for v in model.inputs] == [("x", ["batch", 8])]
    assert [v.name for v in model.outputs] == ["y", "s"]
    assert model.metadata.producer_name == "tests"
    assert "x: tensor(float) ['batch', 8]" in repr(model)


def test_outputs_go_through_dlpack(model: sardonyx.Model) -> None:
    y = model(X)["y"]
    assert np.from_dlpack(y).ctypes.data == y.ctypes.data


def test_wrong_calls(model: sardonyx.Model) -> None:
    for call in (
        lambda: model(X, X),
        lambda: model(X, x=X),
        lambda: model(),
        lambda: model(z=X),
        lambda: model({"z": X}),
    ):
        with pytest.raises(sardonyx.InvalidInputError):
            call()


def test_one_output_is_given_as_it_is() -> None:
    made = models.mlp()
    del made.graph.output[1]
    assert sardonyx.load(made.SerializeToString(), use_cache=False)(X).shape == (2, 5)
