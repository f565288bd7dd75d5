"""A call of a function as a flat list of arrays, and its results as one: what an ONNX model takes and gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from sardonyx.errors import ConversionError

__all__ = ["Call"]

_HOW = (
    "JAX is converted by watching one call, so it has to see one: convert(function, example_inputs=(jnp.zeros((1, 64)),"
    ")) with one value per positional argument, or a dict of named ones; any tree of arrays will do"
)


@dataclass(frozen=True)
class _Slot:
    """The place of an array among the inputs."""

    index: int


@dataclass
class Call:
    """``arrays`` are the inputs in order, with their ``names`` and the ``owners`` (position of the argument that each
    is part of); ``fixed`` are leaves that are no arrays: they become part of the model. ``outputs`` names what the
    function gives."""

    function: Callable[..., Any]
    names: list[str]
    arrays: list[Any]
    owners: list[int]
    fixed: list[tuple[str, Any]]
    outputs: list[str]
    _leaves: list[Any]
    _tree: Any

    @classmethod
    def of(cls, function: Callable[..., Any], example: Any) -> Call:
        """From an example; raises ConversionError where it is missing or cannot be called with."""
        parameters = _parameters(function)
        if example is None:
            raise ConversionError(f"{_HOW}. The function takes: {', '.join(parameters) or 'unknown arguments'}")
        args, kwargs = _arguments(example, parameters)
        paths, tree = jax.tree_util.tree_flatten_with_path((args, kwargs))
        call = cls(function, [], [], [], [], [], [], tree)
        for path, leaf in paths:
            call._add(path, leaf, list(parameters))
        if not call.arrays:
            raise ConversionError(f"the example inputs hold no array. {_HOW}")
        call._name_outputs()
        return call

    def flat(self, *arrays: Any) -> list[Any]:
        """The function of its arrays only, giving the leaves of its result."""
        leaves = [arrays[leaf.index] if isinstance(leaf, _Slot) else leaf for leaf in self._leaves]
        args, kwargs = jax.tree_util.tree_unflatten(self._tree, leaves)
        return list(jax.tree_util.tree_leaves(self.function(*args, **kwargs)))

    def shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Shapes of the results for inputs of these shapes; raises what the function raises."""
        given = [jax.ShapeDtypeStruct(shape, a.dtype) for shape, a in zip(shapes, self.arrays, strict=True)]
        return [tuple(found.shape) for found in jax.eval_shape(self.flat, *given)]

    def _add(self, path: Any, leaf: Any, parameters: list[str]) -> None:
        side, top, *rest = path
        position = top.idx if side.idx == 0 else 0
        title = _title(position, parameters) if side.idx == 0 else str(top.key)
        name = ".".join([title, *(_step(step) for step in rest)])
        if not isinstance(leaf, np.ndarray | np.generic | jax.Array):
            self._leaves.append(leaf)
            self.fixed.append((name, leaf))
            return
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) or np.dtype(leaf.dtype).kind not in "biufcV":
            raise ConversionError(
                f"the example input {name} holds {leaf.dtype}, which ONNX has no tensors of; fix it in the function "
                "(functools.partial)"
            )
        self._leaves.append(_Slot(len(self.arrays)))
        self.names.append(name)
        self.arrays.append(jax.numpy.asarray(leaf))
        self.owners.append(position if side.idx == 0 else len(parameters) + len(self.owners))

    def _name_outputs(self) -> None:
        def whole(*arrays: Any) -> Any:
            leaves = [arrays[leaf.index] if isinstance(leaf, _Slot) else leaf for leaf in self._leaves]
            args, kwargs = jax.tree_util.tree_unflatten(self._tree, leaves)
            return self.function(*args, **kwargs)

        try:
            result = jax.eval_shape(whole, *self.arrays)
        except Exception as error:  # whatever the user's function raises
            raise ConversionError(
                f"the function cannot be called with the example inputs: {type(error).__name__}: {_first_line(error)}"
            ) from error
        paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(result)[0]]
        if not paths:
            raise ConversionError("the function returns no array")
        names = [".".join(map(_step, path)) for path in paths]
        self.outputs = ["output" if not n else f"output_{n}" if n[0].isdigit() else n for n in names]
        taken = set(self.names)
        self.outputs = [f"{name}_out" if name in taken else name for name in self.outputs]


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


def _arguments(example: Any, parameters: Mapping[str, inspect.Parameter]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tuple is the positional arguments; a dict the named ones, or, where the names are no parameters, the one
    argument; anything else is the one argument."""
    if isinstance(example, tuple) and not hasattr(example, "_fields"):
        return example, {}
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if isinstance(example, Mapping) and (set(example) <= set(parameters) or (anything and len(parameters) == 1)):
        positional = [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        return tuple(example[n] for n in positional if n in example), {
            name: value for name, value in example.items() if name not in positional
        }
    return (example,), {}


def _title(position: int, parameters: list[str]) -> str:
    return (
        parameters[position] if position < len(parameters) and parameters[position] != "args" else f"input_{position}"
    )


def _step(step: Any) -> str:
    return str(next(getattr(step, n) for n in ("key", "idx", "name") if hasattr(step, n)))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
