"""The invariants: each broken in one way and noticed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from graph.models import model, read, value
from sardonyx.errors import InvalidModelError
from sardonyx.graph import Model, verify

N = helper.make_node


def sound() -> Model:
    branch = helper.make_graph([N("Neg", ["a"], ["o"])], "b", [], [value("o", dtype=1, shape=None)])
    proto = model(
        [N("Add", ["x", "w"], ["a"]), N("Relu", ["a"], ["r"]),
         N("If", ["c"], ["i"], then_branch=branch, else_branch=branch),
         N("Mul", ["r", "i"], ["y"])],
        [value("x", dtype=1, shape=[3]), value("c", dtype=9, shape=[])],
        [value("y", dtype=1, shape=[3])],
        {"w": np.ones(3, np.float32)},
    )  # fmt: skip
    return read(proto)


def reversed_nodes(graph: ir.Graph) -> None:
    nodes = list(graph)
    graph.remove(nodes)
    graph.extend(reversed(nodes))


def branch_of(graph: ir.Graph) -> ir.Graph:
    return graph[2].attributes["then_branch"].as_graph()


BREAK: dict[str, tuple[Callable[[ir.Graph], object], str]] = {
    "order": (reversed_nodes, "before it is defined"),
    "removed producer": (lambda g: g.remove(g[1]), "in no graph"),
    "foreign value": (lambda g: g[1].replace_input_with(0, ir.Value(name="foreign")), "before it is defined"),
    "same name": (lambda g: setattr(g[0].outputs[0], "name", "r"), "two values are called"),
    "name in a branch": (lambda g: setattr(branch_of(g)[0].outputs[0], "name", "r"), "two values are called"),
    "no name": (lambda g: setattr(g[0].outputs[0], "name", None), "no name"),
    "unknown use": (lambda g: g[0].outputs[0]._uses.clear(), "does not know its use"),
    "foreign use": (lambda g: ir.Node("", "Neg", [g[0].outputs[0]]), "in no graph"),
    "branch output": (lambda g: branch_of(g).remove(branch_of(g)[0], safe=False), "in no graph|not defined"),
    "initializer without data": (lambda g: setattr(g.initializers["w"], "const_value", None), "no data"),
    "used omitted output": (lambda g: setattr(g[0].outputs[0], "name", ""), "omitted, but used|no name"),
}  # fmt: skip


def test_a_sound_graph_passes() -> None:
    verify(sound())
    verify(sound().ir)
    verify(sound().graph)


@pytest.mark.parametrize("how", BREAK)
def test_what_is_broken_is_noticed(how: str) -> None:
    change, words = BREAK[how]
    got = sound()
    change(got.graph)
    with pytest.raises(InvalidModelError, match=words):
        verify(got)
