"""Random graphs of nested control flow against ONNX Runtime, which shows what depends on how things are put together:
captures from any level, constants in bodies, results that are inputs, sizes that change, loops that end early."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest

from control import BOOL, FLOAT, INT64, check, graph, model, node, tensor

WIDTH = 3
MAX_DEPTH = 3


class _Maker:
    """Makes graphs over values of shape (rows, WIDTH); ``pool`` holds the names that a graph may read."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = itertools.count()

    def name(self, hint: str) -> str:
        return f"{hint}{next(self.names)}"

    def pick(self, pool: list[str]) -> str:
        # the newest are the likeliest, so that graphs are deep
        place = len(pool) - 1 - int(self.rng.exponential(2.0))
        return pool[max(0, place)]

    def weights(self) -> np.ndarray:
        return self.rng.uniform(-1, 1, (WIDTH, WIDTH)).astype(np.float32)

    def nodes(self, pool: list[str], depth: int, count: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
        """``count`` random nodes, whose results are added to the pool, and the weights that they read."""
        made: list[onnx.NodeProto] = []
        weights: dict[str, np.ndarray] = {}
        for _ in range(count):
            kind = self.rng.choice(
                ["unary", "binary", "product", "if", "loop", "scan"], p=[0.25, 0.2, 0.1, 0.2, 0.15, 0.1]
            )
            out = self.name("v")
            if kind in ("if", "loop", "scan") and depth < MAX_DEPTH:
                made += getattr(self, f"make_{kind}")(pool, depth, out)
            elif kind == "binary":
                made.append(
                    node(str(self.rng.choice(["Sub", "Max", "Min"])), [self.pick(pool), self.pick(pool)], [out])
                )
            elif kind == "product":
                weight = self.name("w")
                weights[weight] = self.weights()
                made.append(node("MatMul", [self.pick(pool), weight], [out]))
            else:
                made.append(node(str(self.rng.choice(["Tanh", "Neg", "Sin", "Identity"])), [self.pick(pool)], [out]))
            pool.append(out)
        return made, weights

    def condition(self, pool: list[str]) -> tuple[list[onnx.NodeProto], str]:
        """Nodes that make a bool of a value."""
        total, result = self.name("t"), self.name("c")
        return [
            node("ReduceSum", [self.pick(pool)], [total], keepdims=0),
            node("Less", [total, "limit"], [result]),
        ], result

    def result(self, pool: list[str], made: list[onnx.NodeProto]) -> str:
        """A name for an output of a graph that nothing else has."""
        out = self.name("r")
        made.append(node("Identity", [self.pick(pool)], [out]))
        return out

    def make_if(self, pool: list[str], depth: int, out: str) -> list[onnx.NodeProto]:
        before, condition = self.condition(pool)
        if self.rng.random() < 0.2:
            before, condition = [], str(self.rng.choice(["true", "false"]))
        branches = []
        for _ in range(2):
            inside = list(pool)
            made, weights = self.nodes(inside, depth + 1, int(self.rng.integers(0, 4)))
            result = self.result(inside, made)
            branches.append(graph(made, [], [tensor(result, None)], weights))
        return [*before, node("If", [condition], [out], then_branch=branches[0], else_branch=branches[1])]

    def make_loop(self, pool: list[str], depth: int, out: str) -> list[onnx.NodeProto]:
        number, given = self.name("n"), self.name("g")
        carried = [self.name("a") for _ in range(int(self.rng.integers(1, 4)))]
        inside = [*pool, *carried]
        made, weights = self.nodes(inside, depth + 1, int(self.rng.integers(1, 5)))
        if self.rng.random() < 0.5:
            more, go = self.condition(inside)
            made += more
        else:
            go = self.name("go")
            made.append(node("Identity", [given], [go]))
        results = [self.result(inside if self.rng.random() < 0.8 else carried, made) for _ in carried]
        stacked = self.name("s")
        made += [node("ReduceMean", [self.pick(inside)], [stacked], keepdims=0)]
        body = graph(
            made,
            [tensor(number, [], INT64), tensor(given, [], BOOL), *(tensor(a, None) for a in carried)],
            [tensor(go, [], BOOL), *(tensor(r, None) for r in results), tensor(stacked, [])],
            weights,
        )
        starts = [self.pick(pool) for _ in carried]
        finals, stack, total = [self.name("f") for _ in carried], self.name("k"), self.name("q")
        trips = str(self.rng.choice(["two", "five", "trips"]))
        loop = node("Loop", [trips, str(self.rng.choice(["", "true"])), *starts], [*finals, stack], body=body)
        return [
            loop,
            node("ReduceSum", [stack], [total], keepdims=0),
            node("Add", [str(self.rng.choice(finals)), total], [out]),
        ]

    def make_scan(self, pool: list[str], depth: int, out: str) -> list[onnx.NodeProto]:
        state, part = self.name("a"), self.name("p")
        made = [node("Add", [state, part], [self.name("u")])]
        weight = self.name("w")
        next_state, slice_ = self.name("r"), self.name("o")
        made += [node("Tanh", [made[0].output[0]], [next_state]), node("Mul", [next_state, weight], [slice_])]
        body = graph(
            made,
            [tensor(state, [WIDTH]), tensor(part, [WIDTH])],
            [tensor(next_state, [WIDTH]), tensor(slice_, [WIDTH])],
            {weight: self.rng.uniform(-1, 1, WIDTH).astype(np.float32)},
        )
        start, last = self.name("z"), self.name("l")
        first = node("ReduceMean", [self.pick(pool), "zero"], [start], keepdims=0)
        flag = int(self.rng.integers(0, 2))
        scan = node(
            "Scan", [start, self.pick(pool)], [last, out], body=body, num_scan_inputs=1, scan_input_directions=[flag]
        )
        return [first, scan]


def random_model(seed: int) -> onnx.ModelProto:
    maker = _Maker(seed)
    pool = ["x", "y"]
    made, weights = maker.nodes(pool, 0, 6)
    outputs = [maker.result(pool, made) for _ in range(2)]
    constants = {
        "limit": np.array(0.5, np.float32),
        "two": np.array(2),
        "five": np.array(5),
        "true": np.array(True),
        "false": np.array(False),
        "zero": np.array([0]),
    }
    inputs = [tensor("x", ["n", WIDTH]), tensor("y", ["n", WIDTH]), tensor("trips", [], INT64)]
    return model(made, inputs, [tensor(name, None, FLOAT) for name in outputs], weights | constants)


@pytest.mark.parametrize("seed", range(12))
def test_random_control_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    feeds = []
    for rows, trips in ((2, 3), (1, 0), (5, 17)):
        x, y = rng.uniform(-1, 1, (2, rows, WIDTH)).astype(np.float32)
        feeds.append({"x": x, "y": y, "trips": np.array(trips)})
    check(random_model(seed), *feeds, graph_optimization_level=99 if seed % 3 else 0, use_cache=False)
