"""Parts of a graph that are compiled when a run shows the ranks of what they read."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

import sardonyx
from control import FLOAT, INT64, check, graph, loop_body, model, node, options, sequence, tensor
from sardonyx.errors import ExecutionError
from sardonyx.inspection import Inspection, profile

rng = np.random.default_rng(0)
X = rng.standard_normal((1, 3, 4)).astype(np.float32)
W = rng.standard_normal((4, 4)).astype(np.float32)


def squeezing() -> onnx.ModelProto:
    """What exporters make of a squeeze whose size they do not know, with a product and a sum behind it."""
    then = graph([node("Squeeze", ["x", "zero"], ["t"])], [], [tensor("t", None)])
    other = graph([node("Identity", ["x"], ["e"])], [], [tensor("e", None)])
    nodes = [
        node("Shape", ["x"], ["sizes"]),
        node("Gather", ["sizes", "zero"], ["first"]),
        node("Equal", ["first", "one"], ["c"]),
        node("If", ["c"], ["s"], "choice", then_branch=then, else_branch=other),
        node("MatMul", ["s", "w"], ["m"], "product"),
        node("Softmax", ["m"], ["p"], "probabilities"),
        node("ReduceSum", ["p"], ["y"], "total", keepdims=0),
    ]
    weights = {"w": W, "zero": np.array([0]), "one": np.array([1])}
    return model(nodes, [tensor("x", ["n", 3, 4])], [tensor("y", []), tensor("p", None)], weights)


def test_what_follows_branches_of_unlike_ranks() -> None:
    session = check(squeezing(), {"x": X}, {"x": np.repeat(X, 2, 0)}, {"x": X * 2})
    late = [step for step in session.program.steps if type(step).__name__ == "LateStep"]
    assert len(late) == 1
    assert len(late[0]._programs) == 2
    assert all(program.python_steps == () for program in late[0]._programs.values())


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_inputs_of_unknown_rank(rank: int) -> None:
    nodes = [node("Mul", ["x", "x"], ["s"]), node("Shape", ["s"], ["sizes"]), node("Add", ["s", "b"], ["y"])]
    proto = model(nodes, [tensor("x", None)], [tensor("y", None), tensor("sizes", None, INT64)], {"b": W[0]})
    check(proto, {"x": rng.standard_normal((2, 3, 4)[3 - rank :]).astype(np.float32)})


def test_a_squeeze_of_any_sizes() -> None:
    nodes = [node("Squeeze", ["x"], ["s"]), node("Mul", ["s", "w"], ["m"]), node("Exp", ["m"], ["y"])]
    proto = model(nodes, [tensor("x", ["n", "m", 4])], [tensor("y", None)], {"w": W[0]})
    check(proto, *({"x": rng.standard_normal((n, m, 4)).astype(np.float32)} for n, m in ((1, 1), (1, 3), (2, 3))))


def test_a_reshape_of_any_rank() -> None:
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("Exp", ["r"], ["y"])]
    proto = model(nodes, [tensor("x", ["n", 4]), tensor("shape", ["rank"], INT64)], [tensor("y", None)])
    session = check(proto, *({"x": X[0], "shape": np.array(s)} for s in ([12], [2, -1], [0, 2, 2], [3, 0, 1])))
    for shape, message in (([5, 5], "reshape"), ([3, 4, 0], "does not have"), ([-2], "negative")):
        with pytest.raises(ExecutionError, match=message):
            session.run(None, {"x": X[0], "shape": np.array(shape)})


COUNTED: dict[str, tuple[list[np.ndarray], dict[str, int], list[list[object]]]] = {
    "ConstantOfShape": ([], {}, [[2, 3], [4], [], [1, 2, 1, 2]]),
    "Expand": ([X[0, 0]], {}, [[2, 4], [3, 1, 4], [1]]),
    "Tile": ([X], {}, [[2, 1, 2], [1, 3, 0]]),
    "Squeeze": ([X[:, :1]], {}, [[0], [1, 0]]),
    "Unsqueeze": ([X], {}, [[0], [1, 4]]),
    "ReduceSum": ([X], {"keepdims": 1}, [[1], [-1, 0], [0, 1, 2], []]),
    "ReduceMax": ([X], {"keepdims": 0}, [[1], [-1, 0]]),
    "GatherND": ([X], {}, [[[0], [0]], [[0, 2]], [[0, 1, 3], [0, 0, -1]]]),
    "Slice": ([X, np.array([0, 1])], {}, [[1, 3], [0, -1]]),
    "Trilu": ([X], {}, [[0], [1]]),
}
"""What is given before the numbers, attributes, and the numbers."""

KINDS = {"f": FLOAT, "i": INT64}


@pytest.mark.parametrize("op", COUNTED)
def test_as_many_numbers_as_a_run_finds(op: str) -> None:
    """A shape, axes or index tuples of any length, with something behind that works on the result."""
    arrays, attributes, numbers = COUNTED[op]
    feeds = {f"x{k}": array for k, array in enumerate(arrays)}
    data = [tensor(name, list(array.shape), KINDS[array.dtype.kind]) for name, array in feeds.items()]
    nodes = [node(op, [*feeds, "s"], ["r"], **attributes), node("Exp", ["r"], ["e"]), node("Sub", ["e", "r"], ["y"])]
    counted = tensor("s", ["n", "m"] if op == "GatherND" else ["n"], INT64)
    proto = model(nodes, [*data, counted], [tensor("y", None)])
    check(proto, *(feeds | {"s": np.array(given, np.int64)} for given in numbers))


def test_scattering_to_tuples_of_any_length() -> None:
    nodes = [node("ScatterND", ["x", "s", "u"], ["r"], reduction="add"), node("Neg", ["r"], ["y"])]
    ports = [tensor("x", ["a", 3, 4]), tensor("s", ["n", "m"], INT64), tensor("u", None)]
    session = check(
        model(nodes, ports, [tensor("y", None)]),
        *({"x": X, "s": np.array(s), "u": X[0][tuple(np.array(s).T[1:])]} for s in ([[0, 2], [0, 1]], [[0, 1, 3]])),
    )
    with pytest.raises(ExecutionError):
        session.run(None, {"x": X, "s": np.array([[0, 9]]), "u": X[0, :1]})


def test_a_shape_of_what_has_an_unknown_rank() -> None:
    """Ones like the result of branches of unlike ranks: how many sizes there are, only the run tells."""
    proto = squeezing()
    proto.graph.node.extend(
        [
            node("Shape", ["m"], ["shape"]),
            node("ConstantOfShape", ["shape"], ["zeros"]),
            node("GatherElements", ["m", "places"], ["chosen"], axis=-1),
            node("Cast", ["zeros"], ["places"], to=INT64),
        ]
    )
    nodes = proto.graph.node
    nodes.insert(len(nodes) - 2, nodes.pop())
    proto.graph.output.append(tensor("chosen", None))
    check(proto, {"x": X}, {"x": np.repeat(X, 2, 0)})


def test_loops_whose_rank_changes() -> None:
    body = loop_body(
        [node("Unsqueeze", ["a", "zero"], ["u"]), node("Neg", ["u"], ["b"])], [tensor("a", None)], [tensor("b", None)]
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["l"], body=body), node("Exp", ["l"], ["y"])],
        [tensor("x", ["n"]), tensor("count", [], INT64)],
        [tensor("y", None)],
        {"zero": np.array([0])},
    )
    check(proto, *({"x": X[0, 0], "count": np.array(n)} for n in (0, 1, 3)))


def test_elements_of_unknown_rank() -> None:
    nodes = [node("SequenceAt", ["s", "i"], ["item"]), node("Exp", ["item"], ["e"]), node("Add", ["e", "w"], ["y"])]
    proto = model(nodes, [sequence("s"), tensor("i", [], INT64)], [tensor("y", None)], {"w": W[0]})
    items = [X, X[0], X[0, 0]]
    check(proto, *({"s": items, "i": np.array(k)} for k in range(3)))


def test_a_wrong_rank_is_an_error_of_the_run() -> None:
    nodes = [node("Mul", ["x", "x"], ["s"]), node("MatMul", ["s", "w"], ["y"], "product")]
    session = sardonyx.InferenceSession(
        model(nodes, [tensor("x", None)], [tensor("y", None)], {"w": W}).SerializeToString()
    )
    with pytest.raises(ExecutionError, match="product"):
        session.run(None, {"x": np.ones((2, 3), np.float32)})
    assert session.run(None, {"x": X})[0].shape == (1, 3, 4)


def test_threads_share_programs() -> None:
    session = sardonyx.InferenceSession(squeezing().SerializeToString(), options(intra_op_num_threads=2))
    expected = session.run(None, {"x": X})[1]
    fresh = sardonyx.InferenceSession(squeezing().SerializeToString(), options(intra_op_num_threads=1))
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(fresh.run(None, {"x": X})[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_a_warm_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "squeezing.onnx"
    onnx.save(squeezing(), path)
    expected = sardonyx.InferenceSession(path).run(None, {"x": X})[1]
    script = (
        "import sys, numpy, sardonyx\n"
        "session = sardonyx.InferenceSession(sys.argv[1])\n"
        "assert 'onnx' not in sys.modules\n"
        "numpy.save(sys.argv[3], session.run(None, {'x': numpy.load(sys.argv[2])})[1])\n"
    )
    np.save(tmp_path / "x.npy", X)
    arguments = [str(path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


def test_inspection_says_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "squeezing.onnx"
    onnx.save(squeezing(), path)
    steps = [step for step in Inspection(path).steps if step.kind == "late"]
    assert [step.operators for step in steps] == [{"MatMul": 1, "Softmax": 1, "ReduceSum": 1}]
    times = profile(sardonyx.InferenceSession(path).program, {"x": X}, runs=2)
    assert any("product" in time.nodes for time in times)
