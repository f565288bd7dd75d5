"""What a model's layers tell: which values its inputs take, and which layer a node of the graph comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from sardonyx.conversion.framework import Domain
from sardonyx.conversion.frameworks._keras.calls import Call, input_tree

__all__ = ["LayerNames", "domains_of", "sizes_of", "tolerance_of"]

_SPREAD = 3.0  # standard deviations
_PICTURE, _SEQUENCE = 64, 8
_MOST_TOKENS = 8
_HALF = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
_UNITS = 10.0


class LayerNames:
    """The layers of a model and of the models in it, by the names that appear in names of nodes."""

    def __init__(self, model: Any) -> None:
        self._classes = {layer.name: type(layer).__name__ for layer in all_layers(model)}

    def describe(self, node: str) -> str:
        """A node of TensorFlow's graph, such as ``model_1/dense_1/MatMul``, by the innermost layer that made it."""
        for part in reversed(node.split("/")[:-1]):
            name = next((n for n in (part, part.rpartition("_")[0]) if n in self._classes), None)
            if name is not None:
                return f"layer {name!r} ({self._classes[name]})"
        return f"node {node!r}"


def all_layers(model: Any) -> list[Any]:
    """The layers of a model, those inside of models and wrappers included."""
    return list(model._flatten_layers(include_self=False))


def tolerance_of(model: Any) -> tuple[float | None, list[str]]:
    """The relative tolerance of a model that computes partly in half precision, and a note of it."""
    half = {layer.name: layer.compute_dtype for layer in all_layers(model) if layer.compute_dtype in _HALF}
    if not half:
        return None, []
    eps = max(_HALF[dtype] for dtype in half.values())
    kinds = " and ".join(sorted(set(half.values())))
    return _UNITS * eps, [f"{len(half)} layers compute in {kinds}: {_UNITS:.0f} units in its last place are allowed"]


def domains_of(model: Any, call: Call) -> dict[str, Domain]:
    """Ranges of the inputs that a layer fed by them knows: what a Normalization was adapted to, what a Rescaling
    brings to the unit range, indices of an Embedding, a lookup's vocabulary."""
    domains: dict[str, Domain] = {}
    if not getattr(model, "inputs", None):
        return {}
    names = {id(tensor): spec.name for tensor, spec in zip(_symbolic_inputs(model), call.inputs, strict=True)}
    for layer, name in _fed(model, names):
        rule = _RULES.get(type(layer).__name__)
        domain = rule(layer) if rule is not None else None
        if domain is not None:
            domains.setdefault(name, domain)
    return domains


def sizes_of(call: Call) -> tuple[dict[str, int], dict[str, int]]:
    """Two sizes for each open axis. Pictures need more than a few pixels; powers of two fit most poolings."""
    axes = [
        (f"{spec.name}_dim{axis}", spec.shape.rank == 4)
        for spec in call.inputs
        for axis in range(1, spec.shape.rank)
        if spec.shape[axis] is None
    ]
    first = {name: _PICTURE if is_picture else _SEQUENCE for name, is_picture in axes}
    return first, {name: size // 2 if size == _PICTURE else 2 * size for name, size in first.items()}


def _symbolic_inputs(model: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(input_tree(model)))


def _fed(model: Any, names: Mapping[int, str]) -> Iterator[tuple[Any, str]]:
    """Layers that take one of the model's inputs directly, with its name; inside of inner models too."""
    import keras

    for layer in model.layers:
        try:
            given = [names.get(id(tensor)) for tensor in keras.tree.flatten(layer.input)]
        except (AttributeError, ValueError):  # a layer that was never called, or that is called in several places
            continue
        if type(layer).__name__ == "InputLayer":
            continue
        yield from ((layer, name) for name in given if name is not None)
        if hasattr(layer, "layers") and getattr(layer, "inputs", None):
            own = zip(_symbolic_inputs(layer), given, strict=False)
            yield from _fed(layer, {id(tensor): name for tensor, name in own if name is not None})


def _rescaling(layer: Any) -> Domain | None:
    """x * scale + offset is meant to lie in 0 to 1, or around zero."""
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if np.any(scale <= 0):
        return None
    return Domain(low=np.zeros_like(scale), high=np.where(offset < 0, -2 * offset, 1) / scale)


def _normalization(layer: Any) -> Domain | None:
    if layer.mean is None or layer.invert:
        return None
    mean, spread = np.asarray(layer.mean)[0], _SPREAD * np.sqrt(np.asarray(layer.variance)[0])
    return Domain(low=mean - spread, high=mean + spread)


def _indices(count: int) -> Domain:
    return Domain(low=0, high=count - 1, points=[np.arange(count)])


def _vocabulary(layer: Any) -> Domain:
    if layer.invert:
        return _indices(layer.vocabulary_size())
    known = np.asarray(layer.get_vocabulary(include_special_tokens=False))
    if known.dtype.kind in "iu":
        return Domain(low=int(known.min()), high=int(known.max()) + 1, points=[known])
    return Domain(points=[np.asarray([*known.tolist(), "never seen"], object)])


def _sentences(layer: Any) -> Domain:
    words = [word for word in layer.get_vocabulary(include_special_tokens=False) if word] or ["word"]
    rng = np.random.default_rng(0)
    made = [" ".join(rng.choice(words, rng.integers(1, _MOST_TOKENS))) for _ in range(64)]
    return Domain(points=[np.asarray([*made, "Never, seen!", ""], object)])


_RULES: dict[str, Callable[[Any], Domain | None]] = {
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Embedding": lambda layer: _indices(layer.input_dim),
    "CategoryEncoding": lambda layer: _indices(layer.num_tokens),
    "StringLookup": _vocabulary,
    "IntegerLookup": _vocabulary,
    "TextVectorization": _sentences,
}
