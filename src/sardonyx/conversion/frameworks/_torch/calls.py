"""A call of a module as a flat list of tensors, and its results as one: what an ONNX model takes and gives."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import torch
from torch.utils import _pytree as pytree

from sardonyx.errors import ConversionError

__all__ = ["Call", "Flat", "array_of", "evaluating", "taken_apart", "tensor_of"]

Named: TypeAlias = list[tuple[str, Any]]
_HOW = (
    "PyTorch is converted by watching one call of it, so it has to see one: "
    "convert(model, example_inputs=(torch.zeros(1, 3, 224, 224),)), or a dict of named ones; on the command line "
    "--example 1x3x224x224, or --example NAME=1x128:int64 for each input"
)


@dataclasses.dataclass(frozen=True)
class _Slot:
    """The place of a tensor in what it was taken out of."""

    index: int


@dataclasses.dataclass
class Call:
    """One call: ``tensors`` in order, their ``names``, and what they are parts of. ``fixed`` are the arguments that
    are no tensors: they become part of the model."""

    names: list[str]
    tensors: list[torch.Tensor]
    fixed: Named
    _args: Any
    _kwargs: Any

    @classmethod
    def of(cls, module: Any, example: Any) -> Call:
        """From an example: a tuple of positional arguments, a dict of named ones, or one tensor or array."""
        parameters = _parameters(module)
        if example is None:
            example = getattr(module, "dummy_inputs", None) or getattr(module, "example_input_array", None)
        if example is None:
            raise ConversionError(f"{_HOW}. Its forward takes: {', '.join(map(str, parameters.values()))}")
        return cls.split(*_arguments(example, parameters))

    @classmethod
    def split(cls, args: Named, kwargs: Mapping[str, Any]) -> Call:
        """From positional arguments with their names, and named ones."""
        named: Named = []
        fixed: Named = []
        positional = [_skeleton(value, name, named, fixed) for name, value in args]
        keywords = {name: _skeleton(value, name, named, fixed) for name, value in kwargs.items()}
        if not named:
            raise ConversionError(f"the example inputs hold no tensor or array. {_HOW}")
        names = [name for name, _ in named]
        return cls(names, [tensor for _, tensor in named], fixed, positional, keywords)

    def arguments(self, tensors: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the same call with other tensors."""
        return [_filled(part, tensors) for part in self._args], {
            k: _filled(p, tensors) for k, p in self._kwargs.items()
        }


class Flat(torch.nn.Module):  # type: ignore[misc]
    """A module called with tensors only, which gives a tuple of tensors only. ``given`` are its outputs' names as of
    the last call, ``dropped`` what it gave besides tensors."""

    def __init__(self, inner: Any, call: Call) -> None:
        super().__init__()
        self.inner = inner
        self._call = call
        self.given: list[str] = []
        self.dropped: Named = []

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        args, kwargs = self._call.arguments(tensors)
        self.dropped = []
        results = taken_apart(self.inner(*args, **kwargs), self.dropped)
        self.given = _distinct([name for name, _ in results], self._call.names)
        return tuple(tensor for _, tensor in results)


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode, no gradients, one thread and one way of adding up; all as it was afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    for part, _ in modes:
        part.training = False  # eval() is refused by exported programs
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def taken_apart(result: Any, others: Named | None = None) -> Named:
    """The tensors in a result with their names: keys and fields, ``output`` for a single one, ``output_0`` ... for a
    sequence's. None drops out, and what holds no tensors goes to ``others``."""
    if isinstance(result, torch.Tensor):
        return [("output", result)]
    found: Named = []
    prefix = "" if _fields(result) is not None else "output"
    _skeleton(result, prefix, found, [] if others is None else others)
    if not found:
        raise ConversionError(f"the model returns {type(result).__qualname__} without any tensor in it")
    return found if len(found) > 1 or prefix == "" else [("output", found[0][1])]


def _distinct(outputs: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Outputs' names that no input has: ``state`` comes back as ``state_out``."""
    taken = set(inputs)
    found = []
    for name in outputs:
        while name in taken:
            name += "_out"
        taken.add(name)
        found.append(name)
    return found


def tensor_of(array: Any) -> torch.Tensor:
    """A tensor with the values of an array, bfloat16 included."""
    array = np.array(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array_of(tensor: torch.Tensor) -> Any:
    """An array with the values of a tensor, bfloat16 included."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _parameters(module: Any) -> dict[str, inspect.Parameter]:
    """What forward takes; TorchScript says it in its schema."""
    schema = getattr(module.forward, "schema", None)
    if schema is not None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return {a.name: inspect.Parameter(a.name, kind) for a in schema.arguments[1:]}
    return dict(inspect.signature(module.forward).parameters)


def _arguments(example: Any, parameters: Mapping[str, inspect.Parameter]) -> tuple[Named, dict[str, Any]]:
    """Positional arguments with their names, and named ones."""
    kinds = [p.kind for p in parameters.values()]
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    plain = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if isinstance(example, Mapping) and set(example) == set(plain[: len(example)]):
        return [(name, example[name]) for name in plain[: len(example)]], {}
    if isinstance(example, Mapping) and (takes_any or set(example) <= set(parameters)):
        return [], {name: example[name] for name in dict.fromkeys([*(p for p in parameters if p in example), *example])}
    if isinstance(example, Mapping) and len(parameters) > 1:
        unknown = ", ".join(sorted(set(example) - set(parameters)))
        raise ConversionError(f"forward takes {', '.join(parameters)}; the example inputs also name {unknown}")
    values = example if isinstance(example, tuple) else (example,)
    rest = next((n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL), None)
    if len(values) > len(plain) and rest is None:
        raise ConversionError(
            f"forward takes {', '.join(parameters) or 'nothing'}; the example gives {len(values)} values"
        )
    names = [*plain[: len(values)], *(f"{rest}_{i}" for i in range(len(values) - len(plain)))]
    return list(zip(names, values, strict=True)), {}


def _fields(value: Any) -> dict[str, Any] | None:
    """The named parts of a mapping, a named tuple or a dataclass."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _skeleton(value: Any, name: str, named: Named, fixed: Named) -> Any:
    """The same structure with slots for its tensors, which go to ``named``."""
    if isinstance(value, torch.Tensor | np.ndarray):
        named.append((name, value if isinstance(value, torch.Tensor) else tensor_of(value)))
        return _Slot(len(named) - 1)
    fields = _fields(value)
    if fields is not None:
        parts = {key: _skeleton(inner, f"{name}.{key}" if name else key, named, fixed) for key, inner in fields.items()}
        if isinstance(value, Mapping):
            parts = dict(zip(value, parts.values(), strict=True))
        return _Structure(value, parts)
    if isinstance(value, tuple | list):
        return type(value)(_skeleton(inner, f"{name}_{i}", named, fixed) for i, inner in enumerate(value))
    if type(value) in pytree.SUPPORTED_NODES:
        leaves, spec = pytree.tree_flatten(value)
        return _Node(spec, [_skeleton(leaf, f"{name}_{i}", named, fixed) for i, leaf in enumerate(leaves)])
    if value is not None:
        fixed.append((name, value))
    return value


@dataclasses.dataclass(frozen=True)
class _Structure:
    like: Any
    parts: dict[Any, Any]


@dataclasses.dataclass(frozen=True)
class _Node:
    spec: Any
    leaves: list[Any]


def _filled(part: Any, tensors: Sequence[Any]) -> Any:
    if isinstance(part, _Slot):
        return tensors[part.index]
    if isinstance(part, _Node):
        return pytree.tree_unflatten([_filled(leaf, tensors) for leaf in part.leaves], part.spec)
    if isinstance(part, _Structure):
        return _rebuilt(part.like, {key: _filled(inner, tensors) for key, inner in part.parts.items()})
    if isinstance(part, tuple | list):
        return type(part)(_filled(inner, tensors) for inner in part)
    return part


def _rebuilt(like: Any, parts: dict[Any, Any]) -> Any:
    if isinstance(like, Mapping):
        return type(like)(**parts) if dataclasses.is_dataclass(like) else parts
    if isinstance(like, tuple):
        return type(like)(**parts)
    made = copy.copy(like)
    for key, inner in parts.items():
        object.__setattr__(made, key, inner)
    return made
