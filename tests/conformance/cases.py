"""The cases of ``onnx.backend.test``: what to load, what to feed, what to expect."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

__all__ = ["KINDS", "Case", "Material", "collect"]

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")

# The specification leaves these outputs to chance: only their shape and dtype can be compared.
RANDOM_OUTPUT = re.compile(r"^test_(bernoulli|training_dropout|random_|multinomial)")

# Several node cases draw their inputs from numpy's global generator when they are collected.
SEED = 0


@dataclass(frozen=True)
class Material:
    """A loaded case: ``model`` is a path or the bytes of a ModelProto; ``sets`` are (inputs by name, outputs)."""

    model: str | bytes
    sets: list[tuple[dict[str, Any], list[Any]]]


@dataclass(frozen=True)
class Case:
    """One conformance case; ``load`` reads its material in the process that runs it."""

    kind: str
    name: str
    rtol: float
    atol: float
    load: Callable[[], Material]

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def compare_values(self) -> bool:
        return not RANDOM_OUTPUT.match(self.name)


def collect(kinds: tuple[str, ...] = KINDS) -> list[Case]:
    """All cases of the given kinds, in a stable order."""
    makers = {"node": _node_cases, "light": _light_cases}
    found = [case for kind in kinds for case in (makers[kind]() if kind in makers else _folder_cases(kind))]
    return sorted(found, key=lambda case: case.id)


def _node_cases() -> Iterator[Case]:
    np.random.seed(SEED)
    with np.errstate(all="ignore"), warnings.catch_warnings():  # onnx's own computation of what it expects
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    for test in tests:
        yield Case("node", test.name, test.rtol, test.atol, lambda test=test: _node_material(test))


def _node_material(test: TestCase) -> Material:
    assert test.model is not None
    assert test.data_sets is not None
    names = [value.name for value in test.model.graph.input]
    sets = [
        (dict(zip(names, map(_plain, inputs), strict=False)), list(map(_plain, outputs)))
        for inputs, outputs in test.data_sets
    ]
    return Material(test.model.SerializeToString(), sets)


def _plain(value: Any) -> Any:
    """A TensorProto or scalar as an array; lists element by element."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return np.asarray(value)
    return value


def _folder_cases(kind: str) -> Iterator[Case]:
    for test in load_model_tests(kind=kind):
        if test.model_dir is not None:
            folder = Path(test.model_dir)
            yield Case(kind, test.name, test.rtol, test.atol, lambda folder=folder: _folder_material(folder))


def _folder_material(folder: Path) -> Material:
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    sets = []
    for data in sorted(folder.glob("test_data_set_*")):
        inputs = list(model.graph.input)
        count = len(list(data.glob("input_*.pb")))
        if count < len(inputs):  # older models list their weights among the inputs
            weights = {weight.name for weight in model.graph.initializer}
            inputs = [value for value in inputs if value.name not in weights]
        feeds = {inputs[i].name: _read(data / f"input_{i}.pb", inputs[i].type) for i in range(count)}
        outputs = [_read(data / f"output_{i}.pb", value.type) for i, value in enumerate(model.graph.output)]
        sets.append((feeds, outputs))
    return Material(os.fspath(folder / "model.onnx"), sets)


def _read(path: Path, declared: onnx.TypeProto) -> Any:
    content = path.read_bytes()
    if declared.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if declared.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def _light_cases() -> Iterator[Case]:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    for path in folder.glob("light_*.onnx"):
        yield Case("light", path.stem, 1e-3, 1e-7, lambda path=path: _light_material(path))


def _light_material(path: Path) -> Material:
    """The stored output belongs to inputs that count up from 0 to 1, as in onnx's own runner."""
    graph = onnx.load(path).graph
    weights = {weight.name for weight in graph.initializer}
    feeds = {}
    for value in graph.input:
        if value.name not in weights:
            shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            size = int(np.prod(shape))
            feeds[value.name] = (np.arange(size).reshape(shape) / size).astype(np.float32)
    expected = [
        numpy_helper.to_array(onnx.load_tensor(path.with_name(f"{path.stem}_output_{i}.pb")))
        for i in range(len(graph.output))
    ]
    return Material(os.fspath(path), [(feeds, expected)])
