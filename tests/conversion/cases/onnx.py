"""ONNX models that are checked and brought to another form."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from conversion import onnx_models as models
from conversion.cases import Case

FOLDER = tempfile.TemporaryDirectory()


def as_it_is(make: Callable[..., onnx.ModelProto], *arguments: Any, **settings: Any) -> Any:
    """A case of a model that is made, converted with these settings."""
    return lambda: (make(*arguments), settings)


def external() -> tuple[Any, dict[str, Any]]:
    path = Path(FOLDER.name) / "cnn.onnx"
    onnx.save(models.cnn(), path, save_as_external_data=True, location="cnn.data", size_threshold=0)
    return path, {"external": False}


CASES = [
    Case("MLP, opset 13 checked", as_it_is(models.mlp)),
    Case("MLP, fixed batch made symbolic", as_it_is(models.mlp, 4, dynamic_batch=True)),
    Case("CNN, opset 6 to 17", as_it_is(models.old_cnn, 6, opset=17, rows=200)),
    Case("CNN, opset 7 to 21", as_it_is(models.old_cnn, 7, opset=21, rows=200)),
    Case("CNN with BatchNormalization, simplified", as_it_is(models.cnn, simplify=True, rows=200)),
    Case("CNN with BatchNormalization, opset 13 to 9", as_it_is(models.cnn, opset=9, rows=200)),
    Case("CNN, external data taken inside", external),
    Case("CNN, sizes fixed", as_it_is(models.cnn, sizes={"batch": 2}, rows=8)),
    Case("LSTM, two directions, opset 14 to 11", as_it_is(models.lstm, opset=11)),
    Case("LSTM, fixed batch and states made symbolic", as_it_is(models.lstm, 2, 14, 0.5, dynamic_batch={"x": 1})),
    Case("Reshape and Expand with a fixed batch made symbolic", as_it_is(models.flattening, dynamic_batch=True)),
    Case("attention, opset 17 to 23, simplified", as_it_is(models.attention, opset=23, simplify=True, rows=100)),
]
