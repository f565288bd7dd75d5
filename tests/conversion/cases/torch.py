"""PyTorch: modules, programs, scripts and weights, seeded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from conversion.cases import Case
from conversion.cases.torch_models import (
    CNN,
    GPT,
    Branches,
    Counting,
    Recurrent,
    ResNet50,
    TwoTowers,
    UNet,
    ViT,
    scripted_loop,
)
from sardonyx.conversion.quiet import quiet

_FOLDER = tempfile.TemporaryDirectory(prefix="sardonyx-cases-")
Built = tuple[Any, dict[str, Any]]


def seeded(make: Callable[[], nn.Module]) -> Any:
    """A module with random weights, and with random statistics in its batch norms."""
    torch.manual_seed(0)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
            part.running_var.uniform_(0.7, 1.5)  # type: ignore[union-attr]
    return module


def module(make: Callable[[], nn.Module], *example: Any, **settings: Any) -> Callable[[], Built]:
    return lambda: (seeded(make), {"example_inputs": example, **settings})


def image(*sizes: int) -> torch.Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


def tokens(*sizes: int) -> torch.Tensor:
    return torch.zeros(sizes, dtype=torch.int64)


def decoder() -> Built:
    past = [(image(1, 4, 5, 8), image(1, 4, 5, 8)) for _ in range(2)]
    names = [f"past_{layer}_{part}" for layer in range(2) for part in range(2)]
    axes: dict[str, Any] = {"ids": {1: "new"}} | {name: {2: "before"} for name in names}
    return seeded(GPT), {"example_inputs": (tokens(1, 3), past), "dynamic_axes": axes}


def two_towers() -> Built:
    example = {"picture": image(1, 1, 9, 9), "numbers": image(1, 6), "category": tokens(1)}
    made = TwoTowers()
    made(**{name: value.repeat_interleave(2, 0) for name, value in example.items()})
    return seeded(lambda: made), {"example_inputs": example}


def script() -> Built:
    with quiet():
        return scripted_loop(), {"example_inputs": (image(1, 8), torch.tensor(5)), "data": _steps()}


def _steps() -> dict[str, Any]:
    return {"x": image(50, 8).numpy(), "steps": torch.tensor(7).numpy()}


def script_file() -> Built:
    path = Path(_FOLDER.name) / "script.pt"
    with quiet():
        torch.jit.script(seeded(CNN)).save(path)
    return path, {"example_inputs": image(1, 3, 32, 32)}


def program_file() -> Built:
    path = Path(_FOLDER.name) / "program.pt2"
    batch = torch.export.Dim("batch")
    with quiet():
        program = torch.export.export(seeded(ViT), (image(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
        torch.export.save(program, path)
    return path, {}


def weights_file() -> Built:
    from safetensors.torch import save_file

    path = Path(_FOLDER.name) / "weights.safetensors"
    save_file(seeded(CNN).state_dict(), path)
    return path, {"factory": CNN, "example_inputs": image(1, 3, 32, 32)}


def whole_file() -> Built:
    path = Path(_FOLDER.name) / "whole.pt"
    torch.save(seeded(UNet), path)
    return path, {"example_inputs": image(1, 1, 32, 32), "trust": True}


def bert(base: bool) -> Callable[[], Built]:
    def build() -> Built:
        from transformers import BertConfig, BertForSequenceClassification, BertModel

        if base:
            return seeded(lambda: BertModel(BertConfig())), _sentence(16)
        labels = {0: "negative", 1: "neutral", 2: "positive"}
        small = BertConfig(
            vocab_size=500,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=64,
            id2label=labels,
        )
        return seeded(lambda: BertForSequenceClassification(small)), _sentence(16)

    return build


def _sentence(length: int) -> dict[str, Any]:
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {
        "example_inputs": {name: torch.ones(1, length, dtype=torch.int64) for name in names},
        "dynamic_axes": {name: {1: "sequence"} for name in names},
        "rows": 100,
    }


SEQUENCE = {"tokens": {1: "sequence"}}
CASES = [
    Case("CNN", module(CNN, image(1, 3, 32, 32), rows=200)),
    Case("ResNet-50, 224x224", module(ResNet50, image(1, 3, 224, 224), rows=8), heavy=True),
    Case("BERT base (transformers)", bert(base=True), heavy=True, needs=("transformers",)),
    Case("BERT classifier, small (transformers)", bert(base=False), heavy=True, needs=("transformers",)),
    Case(
        "LSTM, 2 layers, any length",
        module(lambda: Recurrent("LSTM", both_ways=False), tokens(1, 9), dynamic_axes=SEQUENCE),
        heavy=True,
    ),
    Case("GRU, both ways", module(lambda: Recurrent("GRU", both_ways=True), tokens(1, 9)), heavy=True),
    Case("ViT", module(ViT, image(1, 3, 32, 32), rows=200), heavy=True),
    Case("U-Net", module(UNet, image(1, 1, 32, 32), rows=50), heavy=True),
    Case("GPT step with keys and values", decoder, heavy=True),
    Case("three inputs, three outputs", two_towers, heavy=True),
    Case("torch.cond", module(Branches, image(1, 8)), heavy=True),
    Case("torch.while_loop", module(Counting, image(1, 8)), heavy=True),
    Case("scripted loop and branch", script),
    Case("CNN, float16", module(lambda: CNN().half(), image(1, 3, 32, 32).half(), rows=100), heavy=True),
    Case("CNN, bfloat16", module(lambda: CNN().bfloat16(), image(1, 3, 32, 32).bfloat16(), rows=100), heavy=True),
    Case("CNN, float64", module(lambda: CNN().double(), image(1, 3, 32, 32).double(), rows=100), heavy=True),
    Case("TorchScript file: CNN", script_file, heavy=True),
    Case("exported program file: ViT", program_file, heavy=True),
    Case("safetensors with a factory: CNN", weights_file, heavy=True),
    Case("pickled module: U-Net", whole_file, heavy=True),
]
