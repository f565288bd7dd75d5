"""MATLAB's exports, made by hand to their documented form (``conversion.matlab_models``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from conversion import matlab_models as models
from conversion.cases import Case


def made_by_hand(make: Callable[..., onnx.ModelProto], *arguments: Any, **settings: Any) -> Any:
    return lambda: (make(*arguments), settings)


CASES = [
    Case("CNN, opset 6, batch of 1 (made by hand)", made_by_hand(models.old_cnn, rows=100)),
    Case("CNN, opset 9, batch of 4, class names (made by hand)", made_by_hand(models.cnn, rows=100)),
    Case("MLP, opset 14, batch of 8 (made by hand)", made_by_hand(models.mlp)),
    Case(
        "LSTM and two fully connected layers, opset 9 (made by hand)",
        made_by_hand(models.sequence_to_sequence, rows=100),
    ),
    Case("LSTM's last step and a fully connected layer, opset 13 (made by hand)", made_by_hand(models.lstm, rows=100)),
    Case(
        "LSTM in both directions, softmax at each step, opset 9 (made by hand)", made_by_hand(models.bilstm, rows=100)
    ),
    Case("GRU, opset 17 (made by hand)", made_by_hand(models.gru, rows=100)),
]
