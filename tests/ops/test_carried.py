"""Strings and complex numbers in the operators that only move elements: natively, in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx

Array = npt.NDArray[Any]
node = helper.make_node


def texts(*rows: Sequence[str] | str) -> Array:
    return np.asarray(rows, object)


def run(
    nodes: list[onnx.NodeProto], feeds: Mapping[str, Array], outputs: Sequence[str], constants: Mapping[str, Array]
) -> list[Array]:
    """A model whose sizes are symbols, which must be one native step."""

    def declared(name: str, array: Array) -> onnx.ValueInfoProto:
        kind = TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, [f"{name}{axis}" for axis in range(array.ndim)])

    def stored(name: str, array: Array) -> onnx.TensorProto:
        if array.dtype != object:
            return onnx.numpy_helper.from_array(array, name)
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.ravel()])

    graph = helper.make_graph(
        nodes,
        "moves",
        [declared(name, array) for name, array in feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [stored(name, array) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
    assert len(session.program.native_steps) == 1
    assert not session.program.host_steps
    return list(session.run(None, dict(feeds)))


X = {
    "string": texts(["a", "bb", "", "ä"], ["a", "c", "bb", "end\0"]),
    "complex64": (np.arange(8) - 1j * np.arange(8)[::-1]).reshape(2, 4).astype(np.complex64),
    "complex128": (np.arange(8) + 1j * np.arange(8)[::-1]).reshape(2, 4).astype(np.complex128),
}


@pytest.mark.parametrize("kind", X)
def test_movement(kind: str) -> None:
    x = X[kind]
    other = x[:, :1]
    condition, index = np.asarray([[True], [False]]), np.asarray([0, -1, 2])
    places, scattered = np.asarray([[0, 1, 1, 0]]), np.where([[True], [False]], x, x)
    scattered[[0, 1, 1, 0], [0, 1, 2, 3]] = x[1]
    by_tuple = x.copy()
    by_tuple[1, 2] = x[0, 0]
    nodes_and_results: list[tuple[onnx.NodeProto, Array]] = [
        (node("Transpose", ["x"], ["transposed"]), x.T),
        (node("Gather", ["x", "index"], ["gathered"], axis=1), x[:, index]),
        (node("GatherND", ["x", "one_place"], ["gathered_nd"]), x[1:2, 2]),
        (node("Concat", ["x", "other"], ["joined"], axis=1), np.concatenate([x, other], axis=1)),
        (node("Pad", ["x", "pads", "filler"], ["padded"]), np.pad(x, [(1, 0), (0, 1)], constant_values=x[0, 1])),
        (node("Where", ["condition", "x", "other"], ["chosen"]), np.where(condition, x, other)),
        (node("ScatterElements", ["x", "places", "updates"], ["scattered"]), scattered),
        (node("ScatterND", ["x", "one_place", "one"], ["scattered_nd"]), by_tuple),
        (node("Slice", ["x", "start", "stop", "axis", "step"], ["sliced"]), x[:, ::-2]),
        (node("Tile", ["x", "repeats"], ["tiled"]), np.tile(x, (2, 3))),
        (node("Expand", ["other", "wide"], ["expanded"]), np.broadcast_to(other, (2, 4))),
        (node("Reshape", ["transposed", "flat"], ["reshaped"]), x.T.reshape(-1)),
        (node("OneHot", ["index", "depth", "pair"], ["hot"]), x[0, np.eye(4, dtype=int)[[0, 3, 2]]]),
    ]
    constants = {
        "pads": np.asarray([1, 0, 0, 1]),
        "filler": x[0, 1:2].reshape(()),
        "other": other,
        **{k: np.asarray([v]) for k, v in {"start": -1, "stop": -9, "axis": 1, "step": -2, "flat": -1}.items()},
        "repeats": np.asarray([2, 3]),
        "wide": np.asarray([2, 4]),
        "depth": np.asarray(4),
        "one_place": np.asarray([[1, 2]]),
        "pair": x[0, :2],
    }
    feeds = {
        "x": x,
        "condition": condition,
        "index": index,
        "places": places,
        "updates": x[1:],
        "one": x[0, :1],
    }
    nodes = [made for made, _ in nodes_and_results]
    got = run(nodes, feeds, [made.output[0] for made in nodes], constants)
    for made, result, (_, expected) in zip(nodes, got, nodes_and_results, strict=True):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        assert result.tolist() == expected.tolist(), made.op_type


def test_equality_of_strings() -> None:
    x, y = X["string"], texts("a", "bb", "bb", "ä")
    nodes = [
        node("Equal", ["x", "y"], ["same"]),
        node("Equal", ["x", "constant"], ["known"]),
        node("Equal", ["y", "y"], ["itself"]),
    ]
    got = run(nodes, {"x": x, "y": y}, ["same", "known", "itself"], {"constant": texts("bb")})
    np.testing.assert_array_equal(got[0], x == y)
    np.testing.assert_array_equal(got[1], x == "bb")
    assert got[2].all()


def test_missing_strings_are_empty() -> None:
    (got,) = run([node("Pad", ["x", "pads"], ["y"])], {"x": texts("a")}, ["y"], {"pads": np.asarray([1, 2])})
    assert got.tolist() == ["", "a", "", ""]


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_sizes_at_the_edge(shape: tuple[int, ...]) -> None:
    x = np.full(shape, "text", object)
    got = run([node("Identity", ["x"], ["y"]), node("Equal", ["x", "x"], ["e"])], {"x": x}, ["y", "e"], {})
    assert got[0].shape == got[1].shape == shape
    assert got[0].tolist() == x.tolist()


def test_many_strings_are_told_apart() -> None:
    x = np.asarray([f"word {k % 1000}" for k in range(20_000)], object)
    (got,) = run([node("Gather", ["x", "i"], ["y"])], {"x": x, "i": np.arange(20_000)[::-1].copy()}, ["y"], {})
    assert got.tolist() == x[::-1].tolist()


def cast(x: Array, to: int) -> Array:
    kind = TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [node("Cast", ["x"], ["y"], to=to)],
        "cast",
        [helper.make_tensor_value_info("x", kind, ["n"])],
        [helper.make_tensor_value_info("y", to, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
    return np.asarray(session.run(None, {"x": x})[0])


def test_numbers_become_text() -> None:
    floats = np.asarray([0.1, 1, -0.0, 1e10, 3.14159274, np.nan, np.inf, -np.inf])
    expected = ["0.1", "1", "-0", "1e+10", "3.1415927", "NaN", "INF", "-INF"]
    assert cast(floats.astype(np.float32), TensorProto.STRING).tolist() == expected
    assert cast(floats, TensorProto.STRING).tolist() == expected
    assert cast(np.asarray([True, False]), TensorProto.STRING).tolist() == ["1", "0"]
    assert cast(np.asarray([2**64 - 1], np.uint64), TensorProto.STRING).tolist() == ["18446744073709551615"]


def test_text_becomes_numbers() -> None:
    x = texts("1", "-2.5", "1e5", "INF", "-inf", "NaN", " 3", "+INF")
    expected = [1, -2.5, 1e5, np.inf, -np.inf, np.nan, 3, np.inf]
    np.testing.assert_array_equal(cast(x, TensorProto.FLOAT), np.asarray(expected, np.float32))
    np.testing.assert_array_equal(cast(x, TensorProto.DOUBLE), expected)
    np.testing.assert_array_equal(cast(texts("300", "2.7", "-1"), TensorProto.INT8), np.asarray([44, 2, -1], np.int8))
    np.testing.assert_array_equal(cast(texts("-1", "7"), TensorProto.UINT64), np.asarray([2**64 - 1, 7], np.uint64))
    assert float(cast(texts("1e9"), TensorProto.FLOAT8E4M3FN)[0]) == 448
    with pytest.raises(sardonyx.ExecutionError, match="could not convert"):
        cast(texts("many"), TensorProto.FLOAT)


def test_selection_of_strings() -> None:
    """Operators whose output sizes only the data can tell."""
    x = X["string"]
    nodes = [
        node("Compress", ["x", "condition"], ["compressed"], axis=1),
        node("NonZero", ["x"], ["places"]),
        node("Unique", ["x"], ["unique", "first", "which", "count"], sorted=0),
    ]
    outputs = ["compressed", "places", "unique", "first", "which", "count"]
    condition = np.asarray([True, False, True])
    compressed, places, unique, first, which, count = run(nodes, {"x": x, "condition": condition}, outputs, {})
    assert compressed.tolist() == x[:, [0, 2]].tolist()
    np.testing.assert_array_equal(places, np.nonzero(x != ""))
    assert unique.tolist() == ["a", "bb", "", "ä", "c", "end\0"]
    assert first.tolist() == [0, 1, 2, 3, 5, 7]
    assert which.tolist() == [0, 1, 2, 3, 0, 4, 1, 5]
    assert count.tolist() == [2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("axis", [None, 0])
def test_sorted_strings(axis: int | None) -> None:
    x = texts(["b", "a"], ["b", "a"], ["a", "c"])
    attributes = {} if axis is None else {"axis": axis}
    graph = helper.make_graph(
        [node("Unique", ["x"], ["y", "first", "which", "count"], **attributes)],
        "unique",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["n", 2])],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "first", "which", "count")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    got = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True)).run(None, {"x": x})
    wanted = np.unique(x.astype("U1"), True, True, True, axis)
    for result, expected in zip(got, wanted, strict=True):
        assert result.tolist() == expected.reshape(np.shape(result)).tolist()


def test_strings_carried_through_a_loop() -> None:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Identity", ["go"], ["on"]),
            node("Concat", ["given", "given"], ["twice"], axis=0),
            node("Gather", ["twice", "places"], ["turned"]),
        ],
        "body",
        [info("trip", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("given", TensorProto.STRING, [3])],
        [info("on", TensorProto.BOOL, []), info("turned", TensorProto.STRING, [3])],
        [onnx.numpy_helper.from_array(np.asarray([1, 2, 3]), "places")],
    )
    graph = helper.make_graph(
        [node("Loop", ["n", "", "x"], ["y"], body=body)],
        "loop",
        [info("n", TensorProto.INT64, []), info("x", TensorProto.STRING, [3])],
        [info("y", TensorProto.STRING, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
    got = session.run(None, {"n": np.asarray(100), "x": texts("a", "b", "c")})[0]
    assert got.tolist() == ["b", "c", "a"]


def test_constants_of_strings() -> None:
    nodes = [
        node("Constant", [], ["c"], value_strings=[b"a", b"b"]),
        node("Constant", [], ["d"], value_string=b"z"),
        node("Concat", ["x", "c"], ["y"], axis=0),
        node("Equal", ["x", "d"], ["e"]),
    ]
    y, e = run(nodes, {"x": texts("q", "z")}, ["y", "e"], {})
    assert y.tolist() == ["q", "z", "a", "b"]
    assert e.tolist() == [False, True]
