"""The architectures that the PyTorch cases convert, in plain torch."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "CNN",
    "GPT",
    "Bottleneck",
    "Branches",
    "Counting",
    "Recurrent",
    "ResNet50",
    "TwoTowers",
    "UNet",
    "ViT",
    "scripted_loop",
]


class CNN(nn.Module):
    """Two convolutions with batch norm and pooling, and a head with two layers."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.SiLU(), nn.AdaptiveAvgPool2d(4)),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.GELU(), nn.Dropout(0.2), nn.Linear(64, classes))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut."""

    def __init__(self, width: int, inner: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inner
        self.body = nn.Sequential(
            *(nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, wide, 1, bias=False), nn.BatchNorm2d(wide)),
        )
        same = stride == 1 and width == wide
        shortcut = nn.Sequential(nn.Conv2d(width, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity() if same else shortcut

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class ResNet50(nn.Module):
    """He et al. 2015, with 3, 4, 6 and 3 bottlenecks."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks, width = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            inner = 64 << stage
            for index in range(count):
                blocks.append(Bottleneck(width, inner, 2 if stage and not index else 1))
                width = 4 * inner
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Tokens through recurrent layers; the last state is classified."""

    def __init__(self, kind: str, *, both_ways: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 24)
        self.cell = getattr(nn, kind)(24, 32, num_layers=2, batch_first=True, bidirectional=both_ways)
        self.head = nn.Linear(64 if both_ways else 32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.cell(self.table(tokens))[0][:, -1])  # type: ignore[no-any-return]


class ViT(nn.Module):
    """Dosovitskiy et al. 2020, small: patches, a class token, transformer layers."""

    def __init__(self, size: int = 32, patch: int = 8, width: int = 48, layers: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(0.1 * torch.randn(1, (size // patch) ** 2 + 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.1, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layers(x))[:, 0])  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Ronneberger et al. 2015, small: down, up, and what is carried across."""

    def __init__(self, widths: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        sizes = [1, *widths]
        self.down = nn.ModuleList(self._block(a, b) for a, b in itertools.pairwise(sizes))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1])
        self.joined = nn.ModuleList(self._block(2 * w, w) for w in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    @staticmethod
    def _block(given: int, width: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(given, width, 3, padding=1), nn.GroupNorm(4, width), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width, affine=True), nn.ReLU()),
        )

    def forward(self, image: Tensor) -> Tensor:
        kept: list[Tensor] = []
        x = image
        for index, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if index else x)
            kept.append(x)
        for up, block, across in zip(self.up, self.joined, kept[-2::-1], strict=True):
            x = block(torch.cat([up(x), across], 1))
        return self.head(x)  # type: ignore[no-any-return]


class GPT(nn.Module):
    """One step of a decoder: new tokens, and the keys and values of those before, which come back longer."""

    def __init__(self, vocabulary: int = 101, width: int = 32, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.packed = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.outward = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.wide = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
            for _ in range(layers)
        )

    def forward(self, ids: Tensor, past: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
        before = past[0][0].shape[2]
        length = ids.shape[1]
        places = torch.arange(before, before + length)
        x = self.tokens(ids) + self.places(places)
        seen = torch.arange(before + length)[None, :] <= places[:, None]
        after = []
        for layer, (keys, values) in enumerate(past):
            packed = self.packed[layer](self.norms[2 * layer](x)).chunk(3, -1)
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in packed)
            k, v = torch.cat([keys, k], 2), torch.cat([values, v], 2)
            after.append((k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            x = x + self.outward[layer](mixed.transpose(1, 2).flatten(2))
            x = x + self.wide[layer](self.norms[2 * layer + 1](x))
        return {"logits": self.norms[-1](x) @ self.tokens.weight.T, "past": after}


class TwoTowers(nn.Module):
    """A picture, numbers and a category in; a class, a value and an embedding out."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(16))
        self.numbers = nn.Sequential(nn.Linear(6, 16), nn.Tanh())
        self.categories = nn.Embedding(12, 16)
        self.classes, self.value = nn.Linear(16, 4), nn.Linear(16, 1)

    def forward(self, picture: Tensor, numbers: Tensor, category: Tensor) -> dict[str, Tensor]:
        joined = self.picture(picture) * self.numbers(numbers) + self.categories(category)
        return {"classes": self.classes(joined).softmax(-1), "value": self.value(joined)[:, 0], "embedding": joined}


class Branches(nn.Module):
    """torch.cond on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.warm, self.cold = nn.Linear(8, 4), nn.Sequential(nn.Linear(8, 16), nn.ELU(), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, self.warm, self.cold, (x,))  # type: ignore[no-any-return]


class Counting(nn.Module):
    """torch.while_loop: halves until small, and counts."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def is_large(steps: Tensor, value: Tensor) -> Tensor:
            return value.abs().max() > 0.1

        def halved(steps: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            return steps + 1, value * 0.5

        return torch.while_loop(is_large, halved, (torch.tensor(0), x))  # type: ignore[no-any-return]


class _Loop(nn.Module):
    """As many steps as the input says, with a way chosen in each: only a script keeps that."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(8, 8)

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        for index in range(int(steps)):
            if index % 2 == 0:
                x = torch.tanh(self.step(x))
            else:
                x = x + 1
        return x


def scripted_loop() -> Any:
    return torch.jit.script(_Loop().eval())
