"""Where two engines, two models or two sets of passes part: the first node whose result differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from sardonyx.errors import InvalidInputError, SardonyxError
from sardonyx.inspection.candidates import Candidate
from sardonyx.inspection.differences import Difference, Tolerance, difference
from sardonyx.inspection.extraction import exposing, extract, nodes_between, value_names

__all__ = ["Comparison", "FirstDifference", "compare"]

_CHUNK = 64
_MOST_IN_A_ROW = 512


@dataclass(frozen=True)
class FirstDifference:
    """The first node, in topological order, whose result differs while what it reads does not.

    ``nodes`` are all nodes between values that agree and the one that differs: one, unless values between have no
    counterpart on the other side. ``fused`` says that all values agree once they are outputs: the difference is made by
    what happens to the nodes together. ``reproduced`` says whether the nodes alone, on the same inputs, differ too.
    """

    node: str
    operator: str
    difference: Difference
    nodes: tuple[str, ...]
    fused: bool
    reproduced: bool
    files: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {**self.__dict__, "difference": self.difference.plain()}


@dataclass(frozen=True)
class Comparison:
    """The outputs of both sides, and where they part."""

    a: str
    b: str
    outputs: list[Difference]
    first: FirstDifference | None = None
    runs: int = field(default=0, compare=False)

    @property
    def same(self) -> bool:
        """Whether every output is within tolerance."""
        return all(output.same for output in self.outputs)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        first = None if self.first is None else self.first.plain()
        outputs = [output.plain() for output in self.outputs]
        return {"a": self.a, "b": self.b, "same": self.same, "outputs": outputs, "first": first}


def compare(
    a: Candidate,
    b: Candidate,
    feeds: Mapping[str, Any],
    *,
    tolerance: Tolerance | None = None,
    output: str | Path | None = None,
) -> Comparison:
    """Runs both sides on the same inputs; where an output differs, looks for the first node that makes a difference.

    Inner values become outputs, some at a time; a model of more than 512 values is first narrowed down by halves, which
    takes a value that differs to stay different. With ``output``, a folder, writes what reproduces the difference: the
    node's inputs, its results on both sides, and a model of the node alone (of each side, where the models differ).

    Raises InvalidInputError for models whose inputs or outputs do not correspond, and what the engines raise.
    """
    return _Search(a, b, feeds, tolerance or Tolerance()).result(None if output is None else Path(output))


class _Search:
    def __init__(self, a: Candidate, b: Candidate, feeds: Mapping[str, Any], tolerance: Tolerance) -> None:
        self.a, self.b, self.tolerance = a, b, tolerance
        self.feeds = dict(feeds)
        self.other_feeds = _renamed(feeds, a.model, b.model)
        self.values: dict[str, Any] = dict(feeds)
        self.agreeing: set[str] = set(feeds)
        self.runs = 0

    def result(self, folder: Path | None) -> Comparison:
        pairs = _output_pairs(self.a.model, self.b.model)
        ours = self.a.run(self.a.model, self.feeds)
        theirs = self.b.run(self.b.model, self.other_feeds)
        outputs = [difference(name, ours[name], theirs[other], self.tolerance) for name, other in pairs]
        first = None
        wrong = next((o for o in outputs if not o.same), None)
        if wrong is not None:
            first = self._locate(wrong, folder)
        return Comparison(self.a.label, self.b.label, outputs, first, self.runs)

    # -- the value ----------------------------------------------------------------------------------------------------

    def _locate(self, output: Difference, folder: Path | None) -> FirstDifference:
        there = set(value_names(self.b.model))
        names = [name for name in value_names(self.a.model) if name in there]
        found = self._first(self._narrowed(names))
        if found is not None:
            known = self.agreeing
            nodes = nodes_between(self.a.model, known, [found.name], len(self.a.model.graph.node))
            return self._described(found, nodes, False, folder)
        name = next((v.name for v in self.a.model.graph.output if output.name.startswith(v.name)), output.name)
        depth, every = 1, len(self.a.model.graph.node)
        while True:
            nodes = nodes_between(self.a.model, set(self.feeds), [name], depth)
            described = self._described(output, nodes, True, folder)
            if described.reproduced or depth >= every:
                return described
            depth *= 2

    def _narrowed(self, names: list[str]) -> list[str]:
        """A stretch of the values that the first difference is in."""
        low, high = 0, len(names)
        while high - low > _MOST_IN_A_ROW:
            middle = (low + high) // 2
            if self._check([names[middle]]):
                high = middle + 1
            else:
                low = middle + 1
        return names[low:high]

    def _first(self, names: list[str]) -> Difference | None:
        for begin in range(0, len(names), _CHUNK):
            found = self._check(names[begin : begin + _CHUNK])
            if found:
                return found[0]
        return None

    def _check(self, names: Sequence[str]) -> list[Difference]:
        """The values among these that differ; notes those that agree. One that an engine cannot give is passed over."""
        try:
            ours = self._exposed(self.a, names, self.feeds)
            theirs = self._exposed(self.b, names, self.other_feeds)
        except SardonyxError:
            middle = len(names) // 2
            return [] if not middle else self._check(names[:middle]) or self._check(names[middle:])
        wrong = []
        for name in names:
            found = difference(name, ours[name], theirs[name], self.tolerance)
            if not found.same:
                wrong.append(found)
            elif not wrong:
                self.agreeing.add(name)
                self.values[name] = ours[name]
        return wrong

    def _exposed(self, side: Candidate, names: Sequence[str], feeds: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        with exposing(side.model, names) as model:
            return side.run(model, feeds)

    # -- the nodes ----------------------------------------------------------------------------------------------------

    def _described(self, found: Difference, nodes: Sequence[int], fused: bool, folder: Path | None) -> FirstDifference:
        graph = self.a.model.graph
        name = next((n for i in nodes for n in graph.node[i].output if n and found.name.startswith(n)), found.name)
        last = next((graph.node[i] for i in reversed(nodes) if name in graph.node[i].output), graph.node[-1])
        part, inputs = extract(self.a.model, nodes, [name], self.values)
        missing = [n for n in inputs if n not in self.values]
        if missing:
            exposed = self._exposed(self.a, missing, self.feeds)
            self.values.update({n: exposed[n] for n in missing})
            part, inputs = extract(self.a.model, nodes, [name], self.values)
        counterpart = self._counterpart(inputs, name)
        feeds = {n: self.values[n] for n in inputs}
        ours, theirs = self.a.run(part, feeds), self.b.run(counterpart, feeds)
        again = difference(name, ours[name], theirs[name], self.tolerance)
        files = _write(folder, part, counterpart, feeds, ours, theirs) if folder is not None else ()
        return FirstDifference(
            last.name or name,
            f"{last.domain or 'ai.onnx'}::{last.op_type}",
            found,
            tuple(f"{graph.node[i].name or graph.node[i].output[0]} ({graph.node[i].op_type})" for i in nodes),
            fused,
            not again.same,
            files,
        )

    def _counterpart(self, inputs: Sequence[str], name: str) -> onnx.ModelProto:
        """The part of the other side's model that computes the value from the same inputs."""
        nodes = nodes_between(self.b.model, set(inputs), [name], len(self.b.model.graph.node))
        part, _ = extract(self.b.model, nodes, [name], self.values)
        return part


def _renamed(feeds: Mapping[str, Any], a: onnx.ModelProto, b: onnx.ModelProto) -> dict[str, Any]:
    """The inputs under the names that the other model has for them."""
    ours, theirs = ([v.name for v in m.graph.input if v.name not in _initializers(m)] for m in (a, b))
    if set(feeds) <= set(theirs) | _initializers(b):
        return dict(feeds)
    if len(ours) != len(theirs):
        raise InvalidInputError(f"the models' inputs do not correspond: {ours} and {theirs}")
    other = dict(zip(ours, theirs, strict=True))
    return {other.get(name, name): value for name, value in feeds.items()}


def _initializers(model: onnx.ModelProto) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer}


def _output_pairs(a: onnx.ModelProto, b: onnx.ModelProto) -> list[tuple[str, str]]:
    ours, theirs = ([value.name for value in model.graph.output] for model in (a, b))
    if set(ours) & set(theirs):
        return [(name, name) for name in ours if name in set(theirs)]
    if len(ours) != len(theirs):
        raise InvalidInputError(f"the models' outputs do not correspond: {ours} and {theirs}")
    return list(zip(ours, theirs, strict=True))


def _write(
    folder: Path,
    part: onnx.ModelProto,
    counterpart: onnx.ModelProto,
    feeds: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(part, folder / "node.onnx")
    files = ["node.onnx"]
    if part != counterpart:
        onnx.save(counterpart, folder / "node_b.onnx")
        files.append("node_b.onnx")
    for name, values in (("inputs.npz", feeds), ("outputs_a.npz", ours), ("outputs_b.npz", theirs)):
        arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
        np.savez(folder / name, **arrays)  # type: ignore[arg-type]  # the stubs take its keywords for an option
        files.append(name)
    return tuple(str(folder / name) for name in files)
