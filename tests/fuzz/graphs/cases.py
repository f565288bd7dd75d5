"""A finished random graph as a case: its model, its runs on sardonyx, and the smallest part of it that still fails."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import fuzz.graphs.control
import fuzz.graphs.elementwise
import fuzz.graphs.moving
import fuzz.graphs.reducing
import fuzz.graphs.special  # noqa: F401  the steps register themselves
from fuzz.graphs.oracles import Runtime, model_of
from fuzz.graphs.tracks import Value, difference
from fuzz.graphs.writer import Shape, Writer, tensor_of, uses
from sardonyx.compiler import compile_model
from sardonyx.options import SessionOptions
from sardonyx.runtime.pool import team

MEMORY = 1 << 32


@dataclass(frozen=True)
class Case:
    """Nodes with every value they read or make; ``outputs`` are what is looked at."""

    nodes: tuple[onnx.NodeProto, ...]
    values: dict[str, Value]
    shapes: dict[str, Shape]
    outputs: tuple[str, ...]
    opset: int
    undeclared: frozenset[str] = frozenset()

    @property
    def model(self) -> onnx.ModelProto:
        inputs = {name: (self.values[name].dtype, self.declared(name)) for name in self.inputs}
        read = self.read
        constants = [tensor_of(self.values[name]) for name in read if self.values[name].kind == "constant"]
        outputs = {name: self.values[name].dtype for name in self.outputs}
        return model_of(self.nodes, inputs, outputs, constants, self.opset)

    @property
    def read(self) -> list[str]:
        """What is read and made by no node of the case."""
        made = {name for node in self.nodes for name in node.output}
        names = [name for node in self.nodes for name in uses(node)] + list(self.outputs)
        return [name for name in dict.fromkeys(names) if name not in made]

    @property
    def inputs(self) -> list[str]:
        return [name for name in self.read if self.values[name].kind != "constant"]

    def declared(self, name: str) -> Sequence[int | str | None] | None:
        """An input's sizes as the model states them: with symbols, or not at all."""
        if name in self.undeclared:
            return None
        return self.shapes.get(name, self.values[name].shape)

    def feeds(self, variant: int) -> dict[str, np.ndarray[Any, Any]]:
        return {name: self.values[name].truth[variant] for name in self.inputs}

    def part(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> Case:
        """Some of the nodes, as far as the outputs need them; what is missing becomes inputs."""
        needed, kept = set(outputs), []
        for node in reversed(nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(uses(node))
        return Case(tuple(reversed(kept)), self.values, self.shapes, tuple(outputs), self.opset, self.undeclared)


def case_of(seed: int, nodes: int) -> tuple[Case, Counter[str]]:
    """The random graph of a seed, and how often the oracles disagreed about an operator on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = Writer(seed)
        writer.write(nodes)
    made = [name for node in writer.nodes for name in node.output if name]
    used = {name for node in writer.nodes for name in uses(node)}
    outputs = [name for name in made if name not in used]
    inner = [name for name in made if name in used]
    outputs += [str(name) for name in writer.rng.permutation(inner)[: writer.integer(0, 2)]]
    inputs = [name for name, value in writer.values.items() if value.kind == "input"]
    undeclared = frozenset([str(writer.choose(inputs))] if writer.chance(0.05) else [])
    return Case(
        tuple(writer.nodes), writer.values, writer.shapes, tuple(outputs), writer.opset, undeclared
    ), writer.disputed


def check(case: Case) -> str:
    """Runs a case on sardonyx, in every variant, on one thread and on two; what is wrong, in words, or nothing."""
    model = case.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = compile_model(model, SessionOptions())
    results = []
    for threads in (1, 2):
        program.load(team(threads), MEMORY)
        for variant in range(len(next(iter(case.values.values())).truth)):
            feeds = case.feeds(variant)
            got = program.run([feeds[value.name] for value in program.inputs])
            for name, one in zip(case.outputs, got, strict=True):
                wrong = difference(one, [track[variant] for track in case.values[name].tracks])
                if wrong:
                    return f"wrong: {name}, variant {variant}, {threads} threads: {wrong}"
            results.append(got)
    half = len(results) // 2
    for ones, twos in zip(results[:half], results[half:], strict=True):
        for name, one, two in zip(case.outputs, ones, twos, strict=True):
            if one.tobytes() != two.tobytes():
                return f"wrong: {name}: one thread and two differ"
    return ""


def disputed(case: Case) -> bool:
    """Whether ONNX Runtime, given the whole graph, differs from the reference, which was asked node by node."""
    try:
        runtime = Runtime(case.model)
        for variant in range(len(next(iter(case.values.values())).truth)):
            for name, got in zip(case.outputs, runtime.run(case.feeds(variant)) or [], strict=False):
                if difference(got, [track[variant] for track in case.values[name].tracks]):
                    return True
    except Exception:
        return True
    return False


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A part of a failing case that still fails, from which no node and no output can be taken."""
    for node in case.nodes:  # the first node whose own value shows it
        for name in node.output:
            if name and fails(part := case.part(case.nodes, [name])):
                return _without_nodes(part, fails)
    for name in case.outputs:
        if len(case.outputs) > 1 and fails(part := case.part(case.nodes, [o for o in case.outputs if o != name])):
            case = part
    return _without_nodes(case, fails)


def _without_nodes(case: Case, fails: Callable[[Case], bool]) -> Case:
    for node in case.nodes:
        if len(case.nodes) > 1 and node in case.nodes:
            part = case.part([n for n in case.nodes if n is not node], case.outputs)
            if part.nodes and fails(part):
                case = part
    return case


def save(case: Case, folder: Path, name: str) -> Path:
    """Writes the model, and beside it its inputs and expected outputs of each variant."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(case.model, path)
    for variant in range(len(next(iter(case.values.values())).truth)):
        expected = {f"expected {output}": case.values[output].truth[variant] for output in case.outputs}
        np.savez(folder / f"{name}-{variant}.npz", **case.feeds(variant), **expected)
    return path
