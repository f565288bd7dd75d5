"""If, Loop and Scan against ONNX Runtime: captures, nesting, early exit, changing shapes, no trips, limits, ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import sardonyx
from control import BOOL, FLOAT, INT64, check, graph, loop_body, model, node, options, tensor
from sardonyx.errors import ExecutionError, InvalidInputError, InvalidModelError, MemoryLimitError
from sardonyx.runtime.profiler import Profiler

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 4)).astype(np.float32)
W = rng.standard_normal((4, 4)).astype(np.float32)


def branching() -> onnx.ModelProto:
    """x W, or exp(relu(x)), negated."""
    then = graph([node("MatMul", ["x", "w"], ["t"], "product")], [], [tensor("t", None)])
    other = graph([node("Exp", ["r"], ["e"], "power")], [], [tensor("e", None)])
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("If", ["c"], ["i"], "choice", then_branch=then, else_branch=other),
        node("Neg", ["i"], ["y"]),
    ]
    return model(nodes, [tensor("x", ["n", 4]), tensor("c", [], BOOL)], [tensor("y", ["n", 4])], {"w": W})


def nested() -> onnx.ModelProto:
    """A loop in a loop: both read x from the main graph, the inner one also reads what the outer one carries."""
    inner = loop_body(
        [
            node("Mul", ["ia", "x"], ["m"]),
            node("Add", ["m", "oa"], ["ib"]),
            node("ReduceSum", ["ib"], ["total"], keepdims=0),
        ],
        [tensor("ia", None)],
        [tensor("ib", None), tensor("total", [])],
        prefix="i",
    )
    outer = loop_body(
        [node("Loop", ["three", "", "oa"], ["last", "totals"], body=inner), node("Tanh", ["last"], ["ob"])],
        [tensor("oa", None)],
        [tensor("ob", None), tensor("totals", [3])],
        prefix="o",
    )
    return model(
        [node("Loop", ["count", "", "x"], ["y", "s"], body=outer), node("Neg", ["s"], ["z"])],
        [tensor("x", ["n", 4]), tensor("count", [], INT64)],
        [tensor("y", None), tensor("z", None)],
        {"three": np.array(3)},
    )


def growing() -> onnx.ModelProto:
    """x again and again under itself."""
    body = loop_body([node("Concat", ["a", "x"], ["b"], axis=0)], [tensor("a", None)], [tensor("b", None)])
    return model(
        [node("Loop", ["count", "", "x"], ["g"], body=body), node("Neg", ["g"], ["y"])],
        [tensor("x", ["n", 4]), tensor("count", [], INT64)],
        [tensor("y", None)],
    )


def halving() -> onnx.ModelProto:
    """Halves x until its sum is below a bound; every state is an output."""
    body = loop_body(
        [
            node("Mul", ["a", "half"], ["b"]),
            node("ReduceSum", ["b"], ["sum"], keepdims=0),
            node("Greater", ["sum", "bound"], ["go"]),
            node("Identity", ["b"], ["state"]),
        ],
        [tensor("a", [4])],
        [tensor("b", [4]), tensor("state", [4])],
        {"half": np.float32([0.5])},
    )
    return model(
        [node("Loop", ["", "start", "x"], ["y", "states"], body=body), node("Neg", ["states"], ["z"])],
        [tensor("x", [4]), tensor("bound", []), tensor("start", [], BOOL)],
        [tensor("y", [4]), tensor("z", [None, 4])],
    )


def endless(nodes: list[onnx.NodeProto], result: str) -> onnx.ModelProto:
    """A loop that never ends by itself."""
    body = loop_body(nodes, [tensor("a", None)], [tensor(result, None)])
    return model([node("Loop", ["", "", "x"], ["y"], body=body)], [tensor("x", ["n"])], [tensor("y", None)])


@pytest.mark.parametrize("level", [0, 99])
def test_if_takes_the_branch(level: int) -> None:
    feeds = [{"x": X, "c": np.array(c)} for c in (True, False)]
    check(branching(), *feeds, graph_optimization_level=level)


def test_a_settled_if_is_its_branch_and_the_other_may_be_wrong() -> None:
    then = graph([node("Exp", ["x"], ["t"])], [], [tensor("t", None)])
    wrong = graph([node("MatMul", ["x", "w"], ["e"])], [], [tensor("e", None)])  # 4 columns by 5 rows
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Size", ["s"], ["rank"]),
        node("Equal", ["rank", "two"], ["c"]),
        node("If", ["c"], ["y"], then_branch=then, else_branch=wrong),
    ]
    weights = {"w": np.zeros((5, 5), np.float32), "two": np.array(2)}
    proto = model(nodes, [tensor("x", [3, 4])], [tensor("y", None)], weights).SerializeToString()
    for settings, steps in (({}, 1), ({"disabled_passes": {"fold-constants"}}, 3)):
        session = sardonyx.InferenceSession(proto, options(**settings))
        np.testing.assert_allclose(session.run(None, {"x": X})[0], np.exp(X), rtol=1e-5)
        assert len(session.program.steps) <= steps


def test_branches_of_different_sizes_and_ranks() -> None:
    then = graph([node("Concat", ["x", "x"], ["t"], axis=0)], [], [tensor("t", None)])
    other = graph([node("Identity", ["x"], ["e"])], [], [tensor("e", None)])
    flat = graph(
        [node("Flatten", ["x"], ["f"], axis=0), node("Squeeze", ["f", "zero"], ["e"])], [], [tensor("e", None)]
    )
    for branch, native in ((other, True), (flat, False)):
        nodes = [node("If", ["c"], ["i"], then_branch=then, else_branch=branch), node("Neg", ["i"], ["y"])]
        proto = model(
            nodes, [tensor("x", ["n", 4]), tensor("c", [], BOOL)], [tensor("y", None)], {"zero": np.array([0])}
        )
        check(proto, *({"x": X, "c": np.array(c)} for c in (True, False)), native=native)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", [0, 99])
def test_nested_loops_with_captures(threads: int, level: int) -> None:
    feeds = [{"x": X[:n], "count": np.array(count)} for n, count in ((3, 5), (1, 1), (2, 4))]
    check(nested(), *feeds, intra_op_num_threads=threads, graph_optimization_level=level)


def test_threads_make_no_difference() -> None:
    x = rng.standard_normal((300, 4)).astype(np.float32)
    one, two = (
        sardonyx.InferenceSession(nested().SerializeToString(), options(intra_op_num_threads=n)) for n in (1, 2)
    )
    for a, b in zip(*(s.run(None, {"x": x, "count": np.array(7)}) for s in (one, two)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_deep_nest() -> None:
    body = loop_body([node("Add", ["a8", "x"], ["b8"])], [tensor("a8", None)], [tensor("b8", None)], prefix="p8")
    for depth in range(7, 0, -1):
        nodes = [
            node("Loop", ["two", "", f"a{depth}"], [f"l{depth}"], body=body),
            node("Mul", [f"l{depth}", "half"], [f"b{depth}"]),
        ]
        carried, result = tensor(f"a{depth}", None), tensor(f"b{depth}", None)
        body = loop_body(nodes, [carried], [result], prefix=f"p{depth}")
    weights = {"two": np.array(2), "half": np.float32(0.5)}
    check(
        model(
            [node("Loop", ["two", "", "x"], ["y"], body=body)], [tensor("x", ["n", 4])], [tensor("y", None)], weights
        ),
        {"x": X},
    )


def test_sizes_that_change_from_trip_to_trip() -> None:
    check(growing(), *({"x": X, "count": np.array(count)} for count in (0, 1, 5)))


def test_a_condition_ends_a_loop() -> None:
    x = np.float32([8, 4, 2, 2])
    feeds = [
        {"x": x, "bound": np.array(bound, np.float32), "start": np.array(start)}
        for bound, start in ((1, True), (100, True), (1, False))
    ]
    check(halving(), *feeds)


def test_no_trips_give_empty_stacks_of_the_right_sizes() -> None:
    session = sardonyx.InferenceSession(nested().SerializeToString())
    y, z = session.run(None, {"x": X, "count": np.array(0)})
    np.testing.assert_array_equal(y, X)
    assert z.shape == (0, 3)
    body = loop_body(
        [node("Neg", ["a"], ["b"]), node("Exp", ["a"], ["s"])],
        [tensor("a", None)],
        [tensor("b", None), tensor("s", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["y", "s"], body=body), node("Abs", ["s"], ["z"])],
        [tensor("x", ["n", 4]), tensor("count", [], INT64)],
        [tensor("z", None)],
    )
    session = sardonyx.InferenceSession(proto.SerializeToString())
    assert session.run(None, {"x": X, "count": np.array(-2)})[0].shape == (0, 3, 4)


def test_results_are_the_callers_own() -> None:
    session = sardonyx.InferenceSession(growing().SerializeToString())
    body = loop_body(
        [node("Add", ["a", "x"], ["b"])], [tensor("a", None), tensor("k", None)], [tensor("b", None), tensor("k", None)]
    )
    body.output[2].name = "same"
    body.node.append(node("Identity", ["k"], ["same"]))
    proto = model(
        [node("Loop", ["count", "", "x", "w"], ["y", "k"], body=body)],
        [tensor("x", [3, 4]), tensor("count", [], INT64)],
        [tensor("y", None), tensor("k", None)],
        {"w": W},
    )
    session = sardonyx.InferenceSession(proto.SerializeToString())
    x = X.copy()
    y, k = session.run(None, {"x": x, "count": np.array(0)})
    y[:], k[:] = 7, 7
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(session.run(None, {"x": x, "count": np.array(2)})[1], W)


def test_outer_values_as_results_and_results_left_out() -> None:
    then = graph([], [], [tensor("x", None)])
    other = graph([], [], [tensor("k", None)], {"k": W})
    proto = model(
        [node("If", ["c"], ["y"], then_branch=then, else_branch=other)],
        [tensor("x", [4, 4]), tensor("c", [], BOOL)],
        [tensor("y", None)],
    )
    session = sardonyx.InferenceSession(proto.SerializeToString())
    x = W + 1
    for condition, expected in ((True, x), (False, W)):
        (y,) = session.run(None, {"x": x, "c": np.array(condition)})
        np.testing.assert_array_equal(y, expected)
        assert not np.shares_memory(y, x)
    body = loop_body(
        [node("Neg", ["a"], ["b"]), node("Exp", ["a"], ["s"])],
        [tensor("a", None)],
        [tensor("b", None), tensor("s", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["", "y"], body=body)],
        [tensor("x", [3, 4]), tensor("count", [], INT64)],
        [tensor("y", None)],
    )
    session = sardonyx.InferenceSession(proto.SerializeToString())
    (y,) = session.run(None, {"x": X, "count": np.array(2)})
    np.testing.assert_allclose(y, np.exp([X, -X]), rtol=1e-5)


def test_a_default_that_a_body_captures_may_be_replaced() -> None:
    branches = {
        name: graph([node(kind, ["x", "d"], [name[0]])], [], [tensor(name[0], None)])
        for name, kind in (("then_branch", "Add"), ("else_branch", "Mul"))
    }
    proto = model(
        [node("If", ["c"], ["y"], **branches)],
        [tensor("x", [3, 4]), tensor("c", [], BOOL), tensor("d", [4])],
        [tensor("y", None)],
        {"d": np.full(4, 3, np.float32)},
    )
    check(proto, {"x": X, "c": np.array(True)}, {"x": X, "c": np.array(False), "d": np.ones(4, np.float32)})


def test_ports_of_rank_1_and_a_counter_that_places() -> None:
    body = graph(
        [
            node("Identity", ["given"], ["go"]),
            node("Add", ["i", "number"], ["j"]),
            node("Sub", ["j", "number"], ["k"]),
            node("Add", ["k", "one"], ["next"]),
            node("Slice", ["x", "i", "next", "zero"], ["row"]),
            node("Add", ["a", "row"], ["b"]),
        ],
        [tensor("number", [1], INT64), tensor("given", [1], BOOL), tensor("i", [1], INT64), tensor("a", None)],
        [tensor("go", [1], BOOL), tensor("next", [1], INT64), tensor("b", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "zero", "start"], ["last", "y"], body=body)],
        [tensor("x", ["n", 4]), tensor("count", [1], INT64), tensor("start", [1, 4])],
        [tensor("last", [1], INT64), tensor("y", None)],
        {"one": np.array([1]), "zero": np.array([0])},
    )
    check(proto, *({"x": X, "count": np.array([n]), "start": X[:1]} for n in (3, 1, 0)))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
@pytest.mark.parametrize("rows", [0, 2])
def test_dtypes_and_nothing(dtype: type, rows: int) -> None:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    body = loop_body(
        [node("Add", ["a", "x"], ["b"]), node("Identity", ["b"], ["s"])],
        [tensor("a", None, kind)],
        [tensor("b", None, kind), tensor("s", None, kind)],
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["y", "s"], body=body)],
        [tensor("x", ["n", 3], kind), tensor("count", [], INT64)],
        [tensor("y", None, kind), tensor("s", None, kind)],
    )
    check(proto, {"x": np.ones((rows, 3), dtype), "count": np.array(40)})


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("direction", [0, 1])
def test_scan(axis: int, direction: int) -> None:
    body = graph(
        [node("Add", ["s", "part"], ["t"]), node("Mul", ["t", "w"], ["o"])],
        [tensor("s", None), tensor("part", None)],
        [tensor("t", None), tensor("o", None)],
    )
    scan = node(
        "Scan", ["start", "x"], ["last", "all"], body=body, num_scan_inputs=1,
        scan_input_axes=[axis], scan_input_directions=[direction],
        scan_output_axes=[axis], scan_output_directions=[1 - direction],
    )  # fmt: skip
    proto = model(
        [scan, node("Neg", ["all"], ["z"])],
        [tensor("x", ["n", "m"]), tensor("start", ["k"])],
        [tensor("last", None), tensor("z", None)],
        {"w": np.float32([2])},
    )
    for x in (X, rng.standard_normal((40, 40)).astype(np.float32)):
        check(proto, {"x": x, "start": np.zeros(x.shape[1 if axis == 0 else 0], np.float32)})


@pytest.mark.parametrize("padding", range(4))
def test_scan_of_a_constant_that_is_not_aligned(padding: int) -> None:
    """Weights are where the file has them; native trips go through slices by their distance in memory."""
    body = graph(
        [node("Identity", ["s"], ["t"]), node("Sub", ["s", "part"], ["o"])],
        [tensor("s", None), tensor("part", None)],
        [tensor("t", None), tensor("o", None)],
    )
    rows = rng.standard_normal((500, 4)).astype(np.float32)
    proto = model(
        [node("Scan", ["x", "rows"], ["last", "all"], body=body, num_scan_inputs=1)],
        [tensor("x", ["n", 4])],
        [tensor("last", None), tensor("all", None)],
        {"rows": rows},
    )
    proto.doc_string = "x" * padding
    check(proto, {"x": X})


def test_scan_of_nothing_and_of_unlike_lengths() -> None:
    body = graph([node("Add", ["p", "q"], ["o"])], [tensor("p", None), tensor("q", None)], [tensor("o", None)])
    proto = model(
        [node("Scan", ["x", "y"], ["z"], body=body, num_scan_inputs=2)],
        [tensor("x", ["n", 2]), tensor("y", ["m", 2])],
        [tensor("z", None)],
    )
    session = check(proto, {"x": X[:, :2], "y": X[:, 2:]})
    empty = np.zeros((0, 2), np.float32)
    assert session.run(None, {"x": empty, "y": empty})[0].shape == (0, 2)
    with pytest.raises(ExecutionError, match=r"\[3, 2\] slices"):
        session.run(None, {"x": X[:, :2], "y": X[:2, 2:]})


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("trips", [2, 3, 100, 1001])
def test_many_trips_of_settled_sizes(trips: int, threads: int) -> None:
    """The trip's number, an unchanged and two changing carried values, one of which is only written, and stacks."""
    body = loop_body(
        [
            node("Gather", ["w", "number"], ["row"], axis=0),
            node("Mul", ["a", "half"], ["scaled"]),
            node("Add", ["scaled", "row"], ["b"]),
            node("ReduceSum", ["b"], ["total"], keepdims=0),
            node("Add", ["b", "keep"], ["part"]),
            node("Identity", ["keep"], ["kept"]),
            node("Cast", ["number"], ["last"], to=FLOAT),
        ],
        [tensor("a", None), tensor("keep", None), tensor("only", [])],
        [tensor("b", None), tensor("kept", None), tensor("last", []), tensor("total", []), tensor("part", None)],
        {"half": np.float32([0.5])},
    )
    proto = model(
        [node("Loop", ["count", "", "x", "x", "zero"], ["y", "k", "l", "s", "p"], body=body)],
        [tensor("x", ["n", 4]), tensor("count", [], INT64)],
        [tensor("y", None), tensor("k", None), tensor("l", []), tensor("s", None), tensor("p", None)],
        {"w": rng.standard_normal((1001, 4)).astype(np.float32), "zero": np.float32(0)},
    )
    x = X.copy()
    check(proto, {"x": x, "count": np.array(trips)}, intra_op_num_threads=threads)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("end", ["next", "all"])
@pytest.mark.parametrize("first", ["zero", "at", "back"])
def test_slices_at_the_number_of_the_trip(first: str, end: str) -> None:
    """Places that native code plans anew for every trip; past the end the slices are empty."""
    body = loop_body(
        [
            node("Unsqueeze", ["number", "zero"], ["at"]),
            node("Sub", ["zero", "at"], ["before"]),
            node("Sub", ["before", "one"], ["back"]),
            node("Add", ["at", "one"], ["next"]),
            node("Slice", ["x", first, end, "zero"], ["rows"]),
            node("Exp", ["rows"], ["e"]),
            node("ReduceSum", ["e", "zero"], ["row"], keepdims=1),
            node("Add", ["a", "row"], ["b"]),
            node("Identity", ["row"], ["s"]),
        ],
        [tensor("a", None)],
        [tensor("b", None), tensor("s", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "start"], ["y", "s"], body=body)],
        [tensor("x", ["n", 4]), tensor("count", [], INT64), tensor("start", [1, 4])],
        [tensor("y", None), tensor("s", None)],
        {"one": np.array([1]), "zero": np.array([0]), "all": np.array([1 << 40])},
    )
    x = rng.uniform(-1, 1, (70, 4)).astype(np.float32)
    session = check(proto, *({"x": x, "count": np.array(n), "start": X[:1]} for n in (1, 2, 70, 90)))
    assert len(session.program.native_steps) == 1


def test_slices_that_change_the_size_of_a_state() -> None:
    body = loop_body(
        [
            node("Unsqueeze", ["number", "zero"], ["at"]),
            node("Add", ["at", "one"], ["next"]),
            node("Slice", ["x", "at", "next", "zero"], ["row"]),
            node("Add", ["a", "row"], ["b"]),
        ],
        [tensor("a", None)],
        [tensor("b", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "start"], ["y"], body=body)],
        [tensor("x", ["n", 4]), tensor("count", [], INT64), tensor("start", [1, 4])],
        [tensor("y", None)],
        {"one": np.array([1]), "zero": np.array([0])},
    )
    check(proto, *({"x": X, "count": np.array(n), "start": X[:1]} for n in (3, 4, 40)))


@pytest.mark.parametrize("least", [1e-3, 1e-30, 0.0])
def test_a_condition_ends_many_trips(least: float) -> None:
    feeds = {"x": np.full(4, 100, np.float32), "bound": np.array(least, np.float32), "start": np.array(True)}
    check(halving(), feeds)


def test_values_handed_from_one_to_another() -> None:
    body = loop_body(
        [node("Add", ["a", "b"], ["c"]), node("Identity", ["a"], ["d"]), node("Identity", ["c"], ["s"])],
        [tensor("a", None), tensor("b", None)],
        [tensor("c", None), tensor("d", None), tensor("s", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "x", "x"], ["y", "z", "s"], body=body)],
        [tensor("x", ["n"]), tensor("count", [], INT64)],
        [tensor("y", None), tensor("z", None), tensor("s", None)],
    )
    check(proto, {"x": np.float32([1, 2]), "count": np.array(30)})


def test_weights_that_a_loop_hands_on_unchanged() -> None:
    """A carried value that no trip changes is as constant as what it starts with: its products are packed at load."""
    body = loop_body(
        [node("MatMul", ["a", "v"], ["b"]), node("Identity", ["v"], ["u"])],
        [tensor("a", None), tensor("v", None)],
        [tensor("b", None), tensor("u", None)],
    )
    nodes = [node("Loop", ["count", "", "x", "w"], ["y", "z"], body=body)]
    inputs = [tensor("x", ["n", 4]), tensor("count", [], INT64)]
    made = model(nodes, inputs, [tensor("y", ["n", 4]), tensor("z", [4, 4])], {"w": W})
    check(made, *({"x": X, "count": np.array(count)} for count in (0, 1, 3)))


def test_a_failure_in_a_later_trip() -> None:
    body = loop_body(
        [node("Gather", ["w", "number"], ["row"], "reader", axis=0), node("Add", ["a", "row"], ["b"])],
        [tensor("a", None)],
        [tensor("b", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["y"], body=body)],
        [tensor("x", ["n", 4]), tensor("count", [], INT64)],
        [tensor("y", None)],
        {"w": W},
    )
    session = check(proto, {"x": X, "count": np.array(4)})
    with pytest.raises(ExecutionError, match="an index is out of range"):
        session.run(None, {"x": X, "count": np.array(500)})


def test_long_loops_may_fill_the_memory_to_its_limit() -> None:
    proto = endless([node("Mul", ["a", "half"], ["b"])], "b")
    body = proto.graph.node[0].attribute[0].g
    body.initializer.append(numpy_helper.from_array(np.float32([0.5]), "half"))
    del body.node[-1]
    body.node.extend([node("ReduceMax", ["b"], ["most"], keepdims=0), node("Greater", ["most", "half"], ["go"])])
    body.node.append(node("Neg", ["b"], ["part"]))
    body.output.append(tensor("part", None))
    proto.graph.node[0].output.append("s")
    proto.graph.output.append(tensor("s", None))
    x = np.full(1 << 16, 2.0**90, np.float32)  # 92 trips, 23 MB
    session = sardonyx.InferenceSession(proto.SerializeToString(), options(memory_limit=24 << 20))
    assert session.run(None, {"x": x})[1].shape == (91, 1 << 16)
    session = sardonyx.InferenceSession(proto.SerializeToString(), options(memory_limit=20 << 20))
    with pytest.raises(MemoryLimitError, match="trips its results take"):
        session.run(None, {"x": x})


def test_stacked_parts_of_unlike_shapes() -> None:
    body = loop_body(
        [node("Concat", ["a", "x"], ["b"], axis=0), node("Identity", ["b"], ["s"])],
        [tensor("a", None)],
        [tensor("b", None), tensor("s", None)],
    )
    proto = model(
        [node("Loop", ["count", "", "x"], ["y", "s"], "stacker", body=body)],
        [tensor("x", ["n"]), tensor("count", [], INT64)],
        [tensor("s", None)],
    )
    session = sardonyx.InferenceSession(proto.SerializeToString())
    with pytest.raises(ExecutionError, match=r"stacker \(Loop\): scan output 0 has shape \(6,\) in trip 1"):
        session.run(None, {"x": X[0, :2].copy(), "count": np.array(2)})


def with_another_output(body: onnx.GraphProto) -> None:
    body.node.append(node("Neg", [body.output[1].name], ["another"]))
    body.output.append(tensor("another", None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph, body: body.input.append(tensor("more", None)), "must have 3 inputs, got 4"),
        (lambda graph, body: graph.node[0].output.append("more"), "must have 3, got 2"),
        (lambda graph, body: with_another_output(body), "must have 2, got 3"),
        (lambda graph, body: graph.input[1].type.tensor_type.shape.dim.add(dim_value=4), "number of trips must"),
    ],
)
def test_wrong_bodies(change: Callable[[onnx.GraphProto, onnx.GraphProto], object], message: str) -> None:
    proto = growing()
    change(proto.graph, proto.graph.node[0].attribute[0].g)
    with pytest.raises(InvalidModelError, match=message):
        sardonyx.InferenceSession(proto.SerializeToString())


def test_a_condition_must_be_one_bool() -> None:
    proto = branching()
    proto.graph.input[1].type.tensor_type.shape.dim.add().dim_param = "k"
    session = sardonyx.InferenceSession(proto.SerializeToString())
    assert session.run(None, {"x": X, "c": np.array([True])})[0].shape == (3, 4)
    with pytest.raises(ExecutionError, match=r"choice \(If\): the condition must have one element"):
        session.run(None, {"x": X, "c": np.array([True, False])})


def test_memory_is_bounded() -> None:
    doubling = endless([node("Concat", ["a", "a"], ["b"], axis=0)], "b").SerializeToString()
    stacking = endless([node("Neg", ["a"], ["b"])], "b")
    stacking.graph.node[0].output.append("s")
    stacking.graph.node[0].attribute[0].g.output.append(tensor("b2", None))
    stacking.graph.node[0].attribute[0].g.node.append(node("Exp", ["a"], ["b2"]))
    for proto in (doubling, stacking.SerializeToString()):
        session = sardonyx.InferenceSession(proto, options(memory_limit=1 << 24))
        with pytest.raises(MemoryLimitError):
            session.run(None, {"x": np.zeros(1000, np.float32)})


def test_terminate_ends_an_endless_loop() -> None:
    session = sardonyx.InferenceSession(endless([node("Neg", ["a"], ["b"])], "b").SerializeToString())
    run_options = sardonyx.RunOptions()
    timer = threading.Timer(0.2, lambda: setattr(run_options, "terminate", True))
    timer.start()
    with pytest.raises(ExecutionError, match="told to end"):
        session.run(None, {"x": X[0]}, run_options)
    timer.join()


def test_signals_end_an_endless_loop(tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    onnx.save(endless([node("Neg", ["a"], ["b"])], "b"), path)
    script = (
        "import sys, numpy, sardonyx\n"
        "session = sardonyx.InferenceSession(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "session.run(None, {'x': numpy.zeros(3, numpy.float32)})\n"
    )
    for signal in (2, 15):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal)
        _, error = process.communicate(timeout=20)
        assert process.returncode == -signal or b"KeyboardInterrupt" in error


def test_a_warm_start_reads_bodies_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "nested.onnx"
    onnx.save(nested(), path)
    feeds = {"x": X, "count": np.array(3)}
    expected = sardonyx.InferenceSession(path).run(None, feeds)
    script = (
        "import sys, numpy, sardonyx\n"
        "x = numpy.load(sys.argv[2])\n"
        "y, z = sardonyx.InferenceSession(sys.argv[1]).run(None, {'x': x, 'count': numpy.array(3)})\n"
        "assert 'onnx' not in sys.modules and 'onnx_ir' not in sys.modules\n"
        "numpy.savez(sys.argv[3], y=y, z=z)\n"
    )
    np.save(tmp_path / "x.npy", X)
    arguments = [str(path), str(tmp_path / "x.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=60)
    with np.load(tmp_path / "out.npz") as got:
        np.testing.assert_array_equal(got["y"], expected[0])
        np.testing.assert_array_equal(got["z"], expected[1])


def test_bodies_share_packed_weights_between_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path / "cache"))
    data = branching().SerializeToString()
    sardonyx.InferenceSession(data)
    first, second = (sardonyx.InferenceSession(data).program.native_steps for _ in range(2))
    packed = [(a.prepared, b.prepared) for a, b in zip(first, second, strict=True) if a.region.prepared]
    assert packed
    assert all(a is b for a, b in packed)


def test_profiles_see_what_is_inside() -> None:
    session = sardonyx.InferenceSession(nested().SerializeToString())
    profiler = Profiler()
    values = [X, np.array(4)]
    session.program.run(values, profiler)
    names = [event["cat"] for event in profiler.events]
    assert names.count("LoopStep") == 5
    assert names.count("NativeStep") > 12


def test_inputs_of_bodies_are_checked() -> None:
    session = sardonyx.InferenceSession(branching().SerializeToString())
    with pytest.raises(InvalidInputError):
        session.run(None, {"x": X[:, :3].copy(), "c": np.array(True)})
