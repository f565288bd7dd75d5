"""Sequences and optionals against ONNX Runtime: values, errors, and what is known of what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from control import BOOL, FLOAT, INT64, check, graph, loop_body, model, node, options, same, sequence, tensor
from sardonyx import dtypes
from sardonyx.errors import ExecutionError, InvalidModelError
from sardonyx.graph.info import ElementInfo, TensorInfo
from sardonyx.graph.reader import read_model
from sardonyx.ops.inference import infer_graph
from sardonyx.ops.joining import join_elements

rng = np.random.default_rng(0)
ITEMS = [rng.standard_normal((n, 3)).astype(np.float32) for n in (2, 1, 4)]


def info_of(proto: onnx.ModelProto, name: str) -> TensorInfo:
    """What inference knows of a value of the main graph."""
    info = infer_graph(read_model(proto).graph)
    return next(known for value, known in info.values.items() if value.name == name)


def test_making_reading_and_changing() -> None:
    nodes = [
        node("SequenceEmpty", [], ["empty"]),
        node("SequenceInsert", ["empty", "x"], ["one"]),
        node("SequenceInsert", ["one", "y", "zero"], ["two"]),
        node("SequenceConstruct", ["x", "y", "x"], ["three"]),
        node("SequenceErase", ["three", "last"], ["left"]),
        node("SequenceErase", ["two"], ["rest"]),
        node("SequenceLength", ["three"], ["count"]),
        node("SequenceAt", ["three", "last"], ["item"]),
        node("Neg", ["item"], ["z"]),
    ]
    outputs = [sequence("two"), sequence("left"), sequence("rest"), tensor("count", [], INT64), tensor("z", None)]
    proto = model(
        nodes,
        [tensor("x", ["n", 3]), tensor("y", ["m", 3])],
        outputs,
        {"zero": np.array(0), "last": np.array(-1)},
    )
    session = check(proto, {"x": ITEMS[0], "y": ITEMS[1]})
    assert [step.kernel for step in session.program.host_steps].count("SequenceAt") == 1
    assert len(session.program.native_steps) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, np.float16])
@pytest.mark.parametrize(("split", "keepdims"), [(None, 1), (None, 0), (2, 1), ([1, 0, 4], 1), (5, 1), (9, 1)])
def test_split_and_join(dtype: Any, split: Any, keepdims: int) -> None:
    x = (rng.standard_normal((3, 5)) * 4).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = ["x"] if split is None else ["x", "split"]
    nodes = [
        node("SplitToSequence", inputs, ["parts"], axis=-1, keepdims=keepdims),
        node("ConcatFromSequence", ["parts"], ["joined"], axis=0, new_axis=int(split is None)),
        node("Identity", ["parts"], ["again"]),
    ]
    if split is not None:
        nodes[1] = node("ConcatFromSequence", ["parts"], ["joined"], axis=1)
    weights = {} if split is None else {"split": np.array(split)}
    outputs = [sequence("again", kind), tensor("joined", None, kind)]
    check(model(nodes, [tensor("x", [3, "m"], kind)], outputs, weights), {"x": x})


def test_strings() -> None:
    text = np.array([["a", "żółw"], ["", "b"]], dtype=object)
    kind = TensorProto.STRING
    nodes = [node("SplitToSequence", ["x"], ["parts"], axis=1), node("ConcatFromSequence", ["parts"], ["y"], axis=0)]
    session = check(model(nodes, [tensor("x", [2, 2], kind)], [tensor("y", None, kind)]), {"x": text})
    assert session.run(None, {"x": text})[0].tolist() == [["a"], [""], ["żółw"], ["b"]]


def failing(nodes: list[onnx.NodeProto], output: onnx.ValueInfoProto, feeds: dict[str, Any], message: str) -> None:
    proto = model(nodes, [tensor("x", ["n", 3]), tensor("i", [], INT64)], [output])
    session = sardonyx.InferenceSession(proto.SerializeToString(), options(log_severity_level=4))
    with pytest.raises(ExecutionError, match=message):
        session.run(None, feeds)


@pytest.mark.parametrize("place", [2, -3, 1 << 40])
def test_positions_are_checked(place: int) -> None:
    made = node("SequenceConstruct", ["x", "x"], ["s"])
    feeds = {"x": ITEMS[0], "i": np.array(place)}
    failing([made, node("SequenceAt", ["s", "i"], ["y"], "reader")], tensor("y", None), feeds, "reader.*outside")
    failing([made, node("SequenceErase", ["s", "i"], ["y"], "eraser")], sequence("y"), feeds, "eraser.*2 elements")
    if place != 2:
        failing([made, node("SequenceInsert", ["s", "x", "i"], ["y"])], sequence("y"), feeds, "outside")


def test_what_cannot_be_joined_or_split() -> None:
    feeds = {"x": ITEMS[0], "i": np.array(0)}
    empty = [node("SequenceEmpty", [], ["s"]), node("ConcatFromSequence", ["s"], ["y"], axis=0)]
    failing(empty, tensor("y", None), feeds, "without elements")
    unlike = [
        node("Concat", ["x", "x"], ["xx"], axis=1),
        node("SequenceConstruct", ["x", "xx"], ["s"]),
        node("ConcatFromSequence", ["s"], ["y"], axis=0),
    ]
    failing(unlike, tensor("y", None), feeds, "cannot be joined along axis 0")
    failing([node("SplitToSequence", ["x", "i"], ["y"])], sequence("y"), feeds, "must be positive")
    failing([node("SplitToSequence", ["x", "i"], ["y"])], sequence("y"), feeds | {"i": np.array(-1)}, "positive")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE), node("SequenceConstruct", ["x", "d"], ["y"])], "float"),
        ([node("SequenceConstruct", ["x"], ["s"]), node("SequenceConstruct", ["s"], ["y"])], r"is seq\(tensor"),
        ([node("SequenceAt", ["x", "i"], ["y"])], "seq"),
        ([node("SequenceEmpty", [], ["y"], dtype=77)], "77"),
    ],
)
def test_wrong_types(nodes: list[onnx.NodeProto], message: str) -> None:
    proto = model(nodes, [tensor("x", [2]), tensor("i", [], INT64)], [sequence("y")])
    with pytest.raises(InvalidModelError, match=message):
        sardonyx.InferenceSession(proto.SerializeToString())


def test_what_is_known_of_elements() -> None:
    nodes = [
        node("SequenceConstruct", ["x", "y"], ["s"]),
        node("SequenceAt", ["s", "i"], ["item"]),
        node("SplitToSequence", ["x", "two"], ["parts"], axis=1),
        node("SequenceErase", ["parts"], ["o"]),
        node("Neg", ["item"], ["z"]),
    ]
    inputs = [tensor("x", ["n", 4]), tensor("y", ["m", 4]), tensor("i", [], INT64)]
    proto = model(nodes, inputs, [sequence("o"), tensor("z", None)], {"two": np.array(2)})
    assert info_of(proto, "s").sequence == ElementInfo(dtypes.float32, (None, 4))
    item = info_of(proto, "item")
    assert item.shape is not None
    assert item.shape[1] == 4
    parts = info_of(proto, "parts").sequence
    assert parts is not None
    assert parts.shape is not None
    assert parts.shape[1] == 2


def test_joining_elements() -> None:
    empty, some = ElementInfo(dtypes.int64, empty=True), ElementInfo(dtypes.int64, (2, 3))
    assert join_elements(empty, some) == join_elements(some, empty) == some
    assert join_elements(some, ElementInfo(dtypes.int64, (2, 4))).shape == (2, None)
    assert join_elements(some, ElementInfo(dtypes.int64, (2,))).shape is None
    nested = ElementInfo(sequence=some)
    assert join_elements(nested, ElementInfo(sequence=empty)) == nested


def collecting() -> onnx.ModelProto:
    """The halves of x, quarters and so on, joined."""
    body = loop_body(
        [node("Mul", ["a", "half"], ["b"]), node("SequenceInsert", ["s", "b"], ["t"])],
        [tensor("a", None), sequence("s")],
        [tensor("b", None), sequence("t")],
        {"half": np.float32([0.5])},
    )
    nodes = [
        node("SequenceEmpty", [], ["e"]),
        node("Loop", ["count", "", "x", "e"], ["last", "all"], body=body),
        node("ConcatFromSequence", ["all"], ["joined"], axis=0),
        node("Neg", ["joined"], ["y"]),
    ]
    return model(nodes, [tensor("x", ["n", 3]), tensor("count", [], INT64)], [tensor("y", None), sequence("all")])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_loop_collects_a_sequence(threads: int) -> None:
    proto = collecting()
    check(proto, *({"x": ITEMS[0], "count": np.array(n)} for n in (1, 5)), intra_op_num_threads=threads)


def test_a_loop_over_a_sequence() -> None:
    body = loop_body(
        [
            node("SequenceAt", ["s", "number"], ["item"]),
            node("ReduceSum", ["item"], ["part"], keepdims=0),
            node("Add", ["a", "part"], ["b"]),
        ],
        [tensor("a", [])],
        [tensor("b", [])],
    )
    nodes = [node("SequenceLength", ["s"], ["n"]), node("Loop", ["n", "", "zero"], ["y"], body=body)]
    proto = model(nodes, [sequence("s", FLOAT, ["k", 3])], [tensor("y", [])], {"zero": np.float32(0)})
    check(proto, {"s": ITEMS}, {"s": ITEMS[:1]})


def test_sequences_pass_through_branches() -> None:
    then = graph([node("SequenceInsert", ["s", "x"], ["t"])], [], [sequence("t")])
    other = graph([node("SequenceErase", ["s"], ["e"])], [], [sequence("e")])
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    proto = model(nodes, [tensor("x", ["n", 3]), tensor("c", [], BOOL)], [sequence("y")])
    check(proto, *({"x": ITEMS[0], "c": np.array(c)} for c in (True, False)))


def test_map() -> None:
    body = graph(
        [
            node("Add", ["item", "row"], ["sum"]),
            node("Mul", ["sum", "captured"], ["out"]),
            node("Shape", ["item"], ["sizes"]),
        ],
        [tensor("item", ["n", 3]), tensor("row", [3])],
        [tensor("out", ["n", 3]), tensor("sizes", [2], INT64)],
    )
    nodes = [node("Exp", ["row"], ["captured"]), node("SequenceMap", ["s", "row"], ["y", "z"], "mapper", body=body)]
    proto = model(
        nodes,
        [sequence("s", FLOAT, [None, 3]), tensor("row", [3])],
        [sequence("y", FLOAT, [None, 3]), sequence("z", INT64, [2])],
    )
    row = np.float32([1, 2, 3])
    session = sardonyx.InferenceSession(proto.SerializeToString())
    assert session.program.python_steps == ()
    y, z = session.run(None, {"s": ITEMS, "row": row})
    for item, got, sizes in zip(ITEMS, y, z, strict=True):
        np.testing.assert_allclose(got, (item + row) * np.exp(row), rtol=1e-5)
        assert tuple(sizes) == item.shape
    assert session.run(None, {"s": [], "row": row}) == [[], []]


def test_results_are_the_callers_own() -> None:
    nodes = [node("SequenceConstruct", ["x", "w", "x"], ["s"]), node("Identity", ["s"], ["t"])]
    proto = model(nodes, [tensor("x", [2, 3])], [sequence("s"), sequence("t")], {"w": ITEMS[1]})
    session = sardonyx.InferenceSession(proto.SerializeToString())
    x = ITEMS[0].copy()
    first, second = session.run(None, {"x": x})
    for item in (*first, *second):
        item[...] = 7
    np.testing.assert_array_equal(x, ITEMS[0])
    same(session.run(None, {"x": x})[0], [ITEMS[0], ITEMS[1], ITEMS[0]])
    assert len({id(item) for item in (*first, *second)}) == 6


def optional(name: str, inner: onnx.TypeProto) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, helper.make_optional_type_proto(inner))


def test_optionals() -> None:
    kind = helper.make_tensor_type_proto(FLOAT, [None, 3])
    has = graph([node("OptionalGetElement", ["o"], ["t"])], [], [tensor("t", None)])
    lacks = graph([node("Exp", ["x"], ["e"])], [], [tensor("e", None)])
    nodes = [
        node("OptionalHasElement", ["o"], ["c"]),
        node("If", ["c"], ["i"], then_branch=has, else_branch=lacks),
        node("Neg", ["i"], ["y"]),
    ]
    proto = model(nodes, [optional("o", kind), tensor("x", ["n", 3])], [tensor("y", None), tensor("c", [], BOOL)])
    session = sardonyx.InferenceSession(proto.SerializeToString())
    assert session.program.python_steps == ()
    for given in (ITEMS[1], None):
        y, c = session.run(None, {"o": given, "x": ITEMS[0]})
        np.testing.assert_allclose(y, -(np.exp(ITEMS[0]) if given is None else given), rtol=1e-5)
        assert c == (given is not None)


def test_an_optional_of_something_known_costs_nothing() -> None:
    nodes = [
        node("Optional", ["x"], ["o"]),
        node("OptionalHasElement", ["x"], ["c"]),
        node("OptionalGetElement", ["o"], ["z"]),
        node("OptionalGetElement", ["x"], ["w"]),
        node("Add", ["z", "w"], ["y"]),
    ]
    proto = model(nodes, [tensor("x", ["n", 3])], [tensor("y", None), tensor("c", [], BOOL)])
    check(proto, {"x": ITEMS[0]})


def test_an_empty_optional_holds_nothing() -> None:
    kind = helper.make_tensor_type_proto(FLOAT, [2])
    nodes = [node("Optional", [], ["o"], type=kind), node("OptionalGetElement", ["o"], ["y"], "getter")]
    proto = model(nodes, [tensor("x", [2])], [tensor("y", [2])])
    session = sardonyx.InferenceSession(proto.SerializeToString())
    with pytest.raises(ExecutionError, match=r"getter.*holds nothing"):
        session.run(None, {"x": ITEMS[0][0, :2].copy()})


def test_sparse_constants_and_initializers() -> None:
    values = helper.make_tensor("w", FLOAT, [2], [3.0, 4.0])
    indices = helper.make_tensor("places", INT64, [2], [1, 5])
    sparse = helper.make_sparse_tensor(values, indices, [2, 3])
    constant = node("Constant", [], ["k"], sparse_value=sparse)
    proto = model(
        [constant, node("Add", ["x", "k"], ["z"]), node("Mul", ["z", "w"], ["y"])],
        [tensor("x", [2, 3])],
        [tensor("y", [2, 3])],
    )
    proto.graph.sparse_initializer.append(sparse)
    x = ITEMS[0][:2]
    dense = np.float32([[0, 3, 0], [0, 0, 4]])
    session = sardonyx.InferenceSession(proto.SerializeToString())
    np.testing.assert_allclose(session.run(None, {"x": x})[0], (x + dense) * dense)
    sparse.dims[:] = [1 << 30, 1 << 30]
    del proto.graph.sparse_initializer[:]
    proto.graph.sparse_initializer.append(sparse)
    with pytest.raises(InvalidModelError):
        sardonyx.InferenceSession(proto.SerializeToString())
