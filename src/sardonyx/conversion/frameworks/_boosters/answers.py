"""Raw scores to what predict and predict_proba say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Graph", "answers"]


@dataclass
class Graph:
    """Nodes under construction; names begin with ``prefix``."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def name(self, stem: str) -> str:
        """A name that nothing else has."""
        return f"{self.prefix}{stem}_{len(self.nodes)}"

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """A node of one output, whose name it gives."""
        result = output or self.name(kind.lower())
        self.nodes.append(helper.make_node(kind, list(inputs), [result], self.name(kind), **attributes))
        return result

    def constant(self, value: Any) -> str:
        """An array."""
        result = self.name("constant")
        tensor = numpy_helper.from_array(np.asarray(value), result)
        self.nodes.append(helper.make_node("Constant", [], [result], result, value=tensor))
        return result


def answers(graph: Graph, raw: str, transform: str, outputs: Sequence[str], classes: Sequence[Any] | None) -> None:
    """From raw scores of shape (rows, targets): label and probabilities where there are ``classes`` (and two outputs),
    else the one prediction. ``transform`` is none, sigmoid, softmax, exp, softplus, square or hinge."""
    scores = _transformed(graph, raw, transform)
    if classes is None:
        graph.add("Identity", [scores], outputs[0])
        return
    label, probabilities = outputs
    if len(classes) == 2:
        other = graph.add("Sub", [graph.constant(np.float32(1)), scores])
        scores = graph.add("Concat", [other, scores], axis=1)
    graph.add("Identity", [scores], probabilities)
    place = graph.add("ArgMax", [scores], axis=1, keepdims=0)
    known = np.asarray(classes)
    names = known.astype(object) if known.dtype.kind in "OSUT" else known.astype(np.int64)
    graph.add("Gather", [graph.constant(names), place], label, axis=0)


def _transformed(graph: Graph, raw: str, transform: str) -> str:
    if transform == "sigmoid":
        return graph.add("Sigmoid", [raw])
    if transform == "softmax":
        return graph.add("Softmax", [raw], axis=1)
    if transform == "exp":
        return graph.add("Exp", [raw])
    if transform == "softplus":
        return graph.add("Softplus", [raw])
    if transform == "square":
        return graph.add("Mul", [raw, graph.add("Abs", [raw])])
    if transform == "hinge":
        above = graph.add("Greater", [raw, graph.constant(np.float32(0))])
        return graph.add("Cast", [above], to=TensorProto.FLOAT)
    return raw
