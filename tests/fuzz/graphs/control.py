"""If, Loop and Scan, whose bodies are random graphs of their own that capture values from outside."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from fuzz.graphs.tracks import Value
from fuzz.graphs.writer import Writer, step


def declared(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.rank)


def argument(body: Writer, like: Value, tracks: list[list[np.ndarray]]) -> Value:
    """An input of the body."""
    value = Value(body.fresh(), tracks, "node")
    body.values[value.name] = value
    return value


def grown(body: Writer, count: int, calm: bool) -> None:
    for _ in range(count):
        body.step(calm)


def made(body: Writer) -> list[Value]:
    """What the body's nodes have computed."""
    return [body.values[name] for node in body.nodes for name in node.output if name]


@step(0.8)
def branch(w: Writer) -> bool:
    if w.parent is not None:
        return False
    condition = w.pick(lambda v: v.dtype == np.bool_ and v.rank == 0)
    if condition is None or w.chance(0.3):
        total = w.tensor((np.float32, np.int64), 0, 4)
        if w.chance(0.4):
            condition = w.input(np.bool_, ())
        elif w.propose("ReduceMax", [total.name], exact=True, keepdims=0):
            last = w.nodes[-1].output[0]
            limit = w.constant(np.array(1, total.dtype))
            if not w.propose("Greater", [last, limit], exact=True):
                return False
            condition = w.values[w.nodes[-1].output[0]]
        else:
            return False
    bodies = [Writer(0, parent=w) for _ in range(2)]
    for body in bodies:
        grown(body, w.integer(1, 3), calm=False)
    pairs = [(a, b) for a in made(bodies[0]) for b in made(bodies[1]) if a.dtype == b.dtype and a.rank == b.rank]
    if not pairs:
        return False
    chosen = [w.choose(pairs) for _ in range(w.integer(1, 2))]
    graphs = [body.graph(_distinct(body, [pair[k].name for pair in chosen])) for k, body in enumerate(bodies)]
    return w.propose("If", [condition.name], outputs=len(chosen), then_branch=graphs[0], else_branch=graphs[1])


def _distinct(body: Writer, names: list[str]) -> list[str]:
    """Every output of a body under a name of its own."""
    result: list[str] = []
    for name in names:
        if name in result:
            body.propose("Identity", [name], exact=True)
            name = body.nodes[-1].output[0]
        result.append(name)
    return result


@step(0.8)
def loop(w: Writer) -> bool:
    if w.parent is not None:
        return False
    state = w.tensor((np.float32, np.float32, np.int64), 0, 3)
    body = Writer(0, parent=w)
    zero = [np.array(0)] * len(w.variants)
    number = argument(body, state, [zero] * len(state.tracks))
    going = argument(body, state, [[np.array(True)] * len(w.variants)] * len(state.tracks))
    carried = argument(body, state, state.tracks)
    grown(body, w.integer(1, 3), calm=True)
    results = [v for v in made(body) if same_type(v, carried)]
    if not results or w.chance(0.3):
        if not body.propose(w.choose(["Add", "Mul", "Max"]), [carried.name, body.partner(carried, narrower=True)]):
            return False
        results = [v for v in made(body) if same_type(v, carried)]
    if not results or not body.propose("Identity", [going.name], exact=True):
        return False
    go = body.nodes[-1].output[0]
    outputs = [go, results[-1].name]
    if w.chance(0.6):
        outputs.append(w.choose(made(body)[:-1]).name)
    graph = body.graph(_distinct(body, outputs))
    graph.input.extend(declared(v) for v in (number, going, carried))
    # the sizes of what is collected in no trip are anybody's guess
    trips = w.constant(np.array(w.integer(len(outputs) - 2, 4)), given=0.4)
    condition = w.choose(["", w.constant(np.array(True), given=0.2)])
    return w.propose("Loop", [trips, condition, state.name], outputs=len(outputs) - 1, body=graph)


def same_type(value: Value, other: Value) -> bool:
    pairs = zip(value.truth, other.truth, strict=True)
    return value.dtype == other.dtype and all(a.shape == b.shape for a, b in pairs)


@step(0.6)
def scan(w: Writer) -> bool:
    if w.parent is not None:
        return False
    rows = w.tensor((np.float32,), 1, 4, lambda v: v.smallest[0] > 0)
    if rows.smallest[0] == 0:
        return False
    body = Writer(0, parent=w)
    first = [[array[0] for array in track] for track in rows.tracks]
    state = w.constant(np.zeros((), np.float32)) if w.chance(0.3) else ""
    start = w.find(state) if state else w.tensor((np.float32,), 0, 2)
    carried = argument(body, start, start.tracks)
    row = argument(body, rows, first)
    grown(body, w.integer(1, 3), calm=True)
    if not body.propose(w.choose(["Add", "Sub", "Mul"]), [carried.name, body.partner(carried, narrower=True)]):
        return False
    results = [v for v in made(body) if same_type(v, carried)]
    if not results:
        return False
    names = _distinct(body, [results[-1].name, w.choose(made(body)).name])
    graph = body.graph(names)
    graph.input.extend(declared(v) for v in (carried, row))
    return w.propose("Scan", [start.name, rows.name], outputs=2, body=graph, num_scan_inputs=1)
