"""A model's call with flat tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sardonyx.conversion.frameworks._tensorflow.repairs import valid_names
from sardonyx.conversion.source import Request
from sardonyx.errors import ConversionError

__all__ = ["Call", "call_of", "input_tree"]

_AUTOMATIC = "keras_tensor"
"""What Keras calls inputs that nobody named."""


@dataclass(frozen=True)
class Call:
    """``flat`` takes tensors and gives a list of tensors; ``inputs`` are TensorSpecs, ``outputs`` names."""

    flat: Callable[..., list[Any]]
    inputs: Sequence[Any]
    outputs: Sequence[str]


@dataclass(frozen=True)
class _Arguments:
    """What a model is called with: ``tree`` holds a KerasTensor at every leaf; ``several`` says that the tree is a
    tuple of positional arguments."""

    tree: Any
    several: bool = False


def call_of(model: Any, request: Request) -> Call:
    """How a model is called; raises ConversionError where nothing tells its inputs."""
    import keras
    import tensorflow

    arguments = _arguments(model, request)
    leaves = keras.tree.flatten(arguments.tree)
    batch = None if request.dynamic else _batch(request)
    names = valid_names(_input_names(arguments.tree, leaves))
    specs = [
        tensorflow.TensorSpec((batch, *leaf.shape[1:]), leaf.dtype, name=name)
        for leaf, name in zip(leaves, names, strict=True)
    ]

    def flat(*tensors: Any) -> list[Any]:
        packed = keras.tree.pack_sequence_as(arguments.tree, list(tensors))
        found = model(*packed, training=False) if arguments.several else model(packed, training=False)
        return [tensorflow.convert_to_tensor(value) for value in keras.tree.flatten(found)]

    results = model.compute_output_spec(*(arguments.tree if arguments.several else [arguments.tree]))
    return Call(flat, specs, valid_names(_output_names(model, results), set(names)))


def _arguments(model: Any, request: Request) -> _Arguments:
    """From the model's own inputs, an example, or the shapes that it was built with."""
    if getattr(model, "inputs", None):
        return _Arguments(input_tree(model))
    example = request.example_inputs
    if example is not None:
        several = isinstance(example, tuple) and len(example) > 1
        tree = _like(model, example[0] if isinstance(example, tuple) and not several else example)
        return _Arguments(tree, several)
    shapes = dict(model.get_build_config() or {}) if model.built else {}
    if "input_shape" in shapes:
        return _Arguments(_from_shapes(model, shapes["input_shape"]))
    if "shapes_dict" in shapes:
        trees = tuple(_from_shapes(model, shape) for shape in shapes["shapes_dict"].values())
        return _Arguments(trees, True)
    raise ConversionError(
        f"the {type(model).__name__} {model.name!r} was never called, so that its inputs are unknown: "
        "give example_inputs, or --example SHAPE (such as 1x28x28)"
    )


def input_tree(model: Any) -> Any:
    """The symbolic inputs of a model that was built from them, in the structure in which it takes them."""
    return model.inputs[0] if hasattr(model, "add") else model.input


def _like(model: Any, example: Any) -> Any:
    """An example's tree with KerasTensors of an open batch; the model is built by calling it on the example."""
    import keras

    def leaf(value: Any) -> Any:
        array = np.asarray(value)
        dtype = model.input_dtype if array.dtype.kind == "f" else "string" if array.dtype.kind in "OSU" else None
        return keras.KerasTensor((None, *array.shape[1:]), dtype or array.dtype.name)

    if isinstance(example, Mapping):
        return {key: leaf(value) for key, value in example.items()}
    if isinstance(example, list | tuple):
        return type(example)(leaf(value) for value in example)
    return leaf(example)


def _from_shapes(model: Any, shape: Any) -> Any:
    """Tensors for one shape, or for a dict or list of shapes."""
    import keras

    if isinstance(shape, Mapping):
        return {key: _from_shapes(model, value) for key, value in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor((None, *shape[1:]), model.input_dtype)
    return [_from_shapes(model, value) for value in shape]


def _batch(request: Request) -> int:
    """The example's number of rows, or 1."""
    example = request.example_inputs
    if isinstance(example, Mapping):
        example = list(example.values())
    first = example[0] if isinstance(example, list | tuple) and example else example
    shape = np.shape(first) if first is not None else ()
    return int(shape[0]) if shape else 1


def _input_names(tree: Any, leaves: Sequence[Any]) -> list[str]:
    if isinstance(tree, Mapping) and len(tree) == len(leaves):
        return [str(key) for key in sorted(tree)]
    return ["input" if leaf.name.startswith(_AUTOMATIC) else leaf.name for leaf in leaves]


def _output_names(model: Any, results: Any) -> list[str]:
    import keras

    count = len(keras.tree.flatten(results))
    if isinstance(results, Mapping) and len(results) == count:
        return [str(key) for key in sorted(results)]
    known = list(getattr(model, "output_names", None) or [])
    if len(known) == count:
        return [str(name) for name in known]
    return [model.layers[-1].name] if hasattr(model, "add") else ["output"] * count
