"""MXNet: seeded random weights, saved by Gluon or Module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conversion.cases import Case
from conversion.cases.isolated import made
from sardonyx.conversion.frameworks.mxnet import MXNet


def saved(name: str, *sizes: int, dtype: str = "float32") -> Callable[[], tuple[Any, dict[str, Any]]]:
    """A case of a model of ``isolated/mxnet_models.py``; Gluon does not save the sizes of its inputs."""

    def build() -> tuple[Any, dict[str, Any]]:
        settings = {"example_inputs": np.zeros((1, *sizes), dtype)} if sizes else {}
        return made(MXNet.environment, "mxnet_models.py") / f"{name}-symbol.json", settings

    return build


CASES = [
    Case("MLP with dropout", saved("mlp", 20)),
    Case("CNN with BatchNorm", saved("cnn", 1, 28, 28)),
    Case("ResNet v2", saved("resnet", 3, 64, 64)),
    Case("transposed convolution, PReLU, global pooling", saved("upsampling", 3, 16, 16)),
    Case("depthwise convolution, clip", saved("mobile", 3, 17, 17)),
    Case("two layers of LSTM", saved("lstm", 9, 8)),
    Case("text: Embedding, two layers of bidirectional GRU", saved("text", 11, dtype="int32")),
    Case("text: Embedding, 1-D convolution and pooling", saved("letters", 15, dtype="int32")),
    Case("attention with LayerNorm and GELU", saved("attention", 7, 16)),
    Case("Module's checkpoint with SoftmaxOutput", saved("classifier")),
    Case("two inputs, two outputs", saved("several")),
]
