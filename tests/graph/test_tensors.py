"""Tensors of the file against onnx's own reading of them, in every type and every field."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graph.models import model, value
from sardonyx import dtypes
from sardonyx.errors import InvalidModelError, ModelTooLargeError
from sardonyx.graph import read_model

RNG = np.random.default_rng(11)
NUMERIC = [dtype for dtype in dtypes.ALL if dtype.kind != "s"]
NAMES = [dtype.name for dtype in NUMERIC]


def read_tensor(tensor: TensorProto) -> np.ndarray:
    proto = model([], [], [value(tensor.name, dtype=tensor.data_type, shape=None)])
    proto.graph.initializer.append(tensor)
    return read_model(proto).graph.initializers[tensor.name].const_value.numpy()


def random_tensor(dtype: dtypes.DType, shape: tuple[int, ...], *, raw: bool) -> TensorProto:
    count = int(np.prod(shape))
    if dtype.kind == "b":
        numbers = RNG.integers(0, 2, count).astype(bool)
    elif dtype.kind in "iu":
        top = 2 ** min(dtype.bits - (dtype.kind == "i"), 62)
        numbers = RNG.integers(-top if dtype.kind == "i" else 0, top, count)
    else:
        numbers = RNG.integers(-2, 3, count).astype(np.float64)
    array = numbers.astype(dtype.numpy)
    if raw:
        return numpy_helper.from_array(array.reshape(shape), "w")
    return helper.make_tensor("w", dtype.onnx, shape, array.astype(numbers.dtype if dtype.kind != "c" else dtype.numpy))


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 7), (41, 33)], ids=str)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("dtype", NUMERIC, ids=NAMES)
def test_every_type(dtype: dtypes.DType, raw: bool, shape: tuple[int, ...]) -> None:
    tensor = random_tensor(dtype, shape, raw=raw)
    got = read_tensor(tensor)
    assert got.dtype == dtype.numpy
    assert got.shape == shape
    assert bits(got) == bits(numpy_helper.to_array(tensor).astype(dtype.numpy))


def test_strings() -> None:
    texts = ["", "a", "käse\0", "日本"]
    tensor = TensorProto(name="w", data_type=8, dims=[2, 2], string_data=[text.encode() for text in texts])
    got = read_tensor(tensor)
    assert got.tolist() == [texts[:2], texts[2:]]
    tensor.string_data[0] = b"\xff"
    with pytest.raises(InvalidModelError, match="UTF-8"):
        read_tensor(tensor)


def test_bools_are_zero_or_one() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.BOOL, dims=[4], raw_data=bytes([0, 1, 2, 255]))
    assert bits(read_tensor(tensor)) == bytes([0, 1, 1, 1])


Change = Callable[[TensorProto], None]
HUGE = 2**63 - 1


def raw(size: int) -> Change:
    return lambda t: setattr(t, "raw_data", bytes(size))


@pytest.mark.parametrize(
    ("dims", "data_type", "fill", "error"),
    [
        ([2, 3], 1, raw(8), InvalidModelError),
        ([2, 3], 1, raw(100), InvalidModelError),
        ([2, 3], 1, raw(23), InvalidModelError),
        ([2, 3], 1, raw(0), InvalidModelError),
        ([2, 3], 1, lambda t: None, InvalidModelError),
        ([2, 3], 1, lambda t: t.float_data.append(1), InvalidModelError),
        ([2, 3], 1, lambda t: t.int32_data.extend(range(6)), InvalidModelError),
        ([-2, -3], 1, raw(24), InvalidModelError),
        ([-6], 1, raw(24), InvalidModelError),
        ([2**32, 2**32], 1, raw(0), InvalidModelError),
        ([2**62], 1, raw(0), InvalidModelError),
        ([2**62, 4], 1, raw(24), InvalidModelError),
        ([HUGE], 1, raw(24), InvalidModelError),
        ([HUGE, HUGE, HUGE], 21, raw(24), InvalidModelError),
        ([2, 3], 0, raw(24), InvalidModelError),
        ([2, 3], 999, raw(24), InvalidModelError),
        ([2, 3], -1, raw(24), InvalidModelError),
        ([2, 3], 8, raw(24), InvalidModelError),
        ([2, 3], 8, lambda t: t.string_data.append(b"one"), InvalidModelError),
        ([1] * 100, 1, raw(4), ModelTooLargeError),
        ([1] * 100_000, 1, raw(4), ModelTooLargeError),
        ([0, 2**62], 1, raw(0), ModelTooLargeError),
    ],
)
def test_data_that_does_not_fit(dims: list[int], data_type: int, fill: Change, error: type[Exception]) -> None:
    tensor = TensorProto(name="w", dims=dims, data_type=data_type)
    fill(tensor)
    proto = model([], [], [value("w", dtype=1, shape=None)])
    proto.graph.initializer.append(tensor)
    with pytest.raises(error, match="initializer 'w'"):
        read_model(proto)


def sparse_model(values: list[float], indices: object, dims: list[int]) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["w"], ["y"])
    proto = model([node], [], [value("y", dtype=1, shape=None)])
    sparse = proto.graph.sparse_initializer.add(dims=dims)
    sparse.values.CopyFrom(numpy_helper.from_array(np.array(values, np.float32), "w"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64)))
    return proto


def test_sparse_tensors_become_dense() -> None:
    expected = np.zeros((2, 3), np.float32)
    expected[0, 1], expected[1, 2] = 5, 7
    for indices in ([1, 5], [[0, 1], [1, 2]]):
        read = read_model(sparse_model([5, 7], indices, [2, 3]))
        np.testing.assert_array_equal(read.graph.initializers["w"].const_value.numpy(), expected)
    empty = read_model(sparse_model([], [], [0, 2**40]))
    assert empty.graph.initializers["w"].const_value.shape.numpy() == (0, 2**40)


@pytest.mark.parametrize(
    ("indices", "dims", "error"),
    [
        ([0, 10**6], [2, 3], InvalidModelError),
        ([-(10**6), 4], [2, 3], InvalidModelError),
        ([4, 4], [2, 3], InvalidModelError),
        ([4, 1], [2, 3], InvalidModelError),
        ([[0, 0, 0], [0, 0, 0]], [2, 3], InvalidModelError),
        ([0], [2, 3], InvalidModelError),
        ([[0, 0], [7, 9]], [2, 3], InvalidModelError),
        ([[0, 0], [-1, 2]], [2, 3], InvalidModelError),
        ([0, 1], [0, 3], InvalidModelError),
        ([0, 1], [2**20, 2**20], ModelTooLargeError),
        ([0, 1], [2**32, 2**32], ModelTooLargeError),
        ([0, 1], [-2, -3], InvalidModelError),
    ],
)
def test_broken_sparse_tensors(indices: object, dims: list[int], error: type[Exception]) -> None:
    with pytest.raises(error, match="initializer 'w'"):
        read_model(sparse_model([1, 2], indices, dims))


def test_constant_nodes_are_initializers() -> None:
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(numpy_helper.from_array(np.array([9], np.int64)))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([2], np.int64)))
    forms = {
        "value": (numpy_helper.from_array(np.eye(2, dtype=np.float16)), np.eye(2, dtype=np.float16)),
        "value_int": (3, np.array(3)),
        "value_ints": ([3, 4], np.array([3, 4])),
        "value_float": (0.5, np.float32(0.5)),
        "value_floats": ([0.5, 1], np.array([0.5, 1], np.float32)),
        "value_string": ("text", np.array("text", object)),
        "value_strings": (["a", "b"], np.array(["a", "b"], object)),
        "sparse_value": (sparse, np.array([0, 0, 9, 0])),
    }
    nodes = [helper.make_node("Constant", [], [name], **{name: given}) for name, (given, _) in forms.items()]
    read = read_model(model(nodes, [], [value(n, np.asarray(e), 8 if e.dtype == object else None)
                                        for n, (_, e) in forms.items()]))  # fmt: skip
    assert len(read.graph) == 0
    for output, (_, expected) in zip(read.graph.outputs, forms.values(), strict=True):
        got = output.const_value.numpy()
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(got, expected)
