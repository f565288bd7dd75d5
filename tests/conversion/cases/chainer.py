"""Chainer: seeded random weights, and the functions that make their chains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from conversion.cases import Case
from conversion.cases.isolated import made
from sardonyx.conversion.frameworks.chainer import Chainer

FILE = Path(__file__).parent / "isolated" / "chainer_models.py"


def saved(name: str, *shapes: tuple[int, ...], dtype: str = "float32") -> Callable[[], tuple[Any, dict[str, Any]]]:
    """A case of a chain of ``isolated/chainer_models.py``."""

    def build() -> tuple[Any, dict[str, Any]]:
        examples = tuple(np.zeros((1, *shape), dtype) for shape in shapes)
        settings = {"chain": f"{FILE}:{name}", "example_inputs": examples}
        return made(Chainer.environment, FILE.name) / f"{name}.npz", settings

    return build


def of_a_classifier() -> tuple[Any, dict[str, Any]]:
    source, settings = saved("cnn", (1, 28, 28))()
    return source.with_name("classifier.npz"), settings | {"path": "predictor/"}


CASES = [
    Case("MLP with dropout", saved("mlp", (20,))),
    Case("CNN with BatchNormalization", saved("cnn", (1, 28, 28))),
    Case("the predictor of a Classifier", of_a_classifier),
    Case("ResNet", saved("resnet", (3, 16, 16))),
    Case("two inputs, two outputs by name", saved("Several", (6,), (3, 12, 12))),
    Case("transposed and grouped convolution, clipped ReLU", saved("upsampling", (3, 16, 16))),
    Case("two layers of LSTM", saved("lstm", (6, 8))),
    Case("NStepLSTM of two layers, one sequence at a time", saved("sequences", (6, 8))),
    Case("GRU", saved("gru", (6, 8))),
    Case("GroupNormalization, resized images", saved("resized", (3, 10, 10))),
    Case("text: EmbedID, convolution", saved("text", (11,), dtype="int32")),
    Case("attention with LayerNormalization", saved("attention", (7, 16))),
]
