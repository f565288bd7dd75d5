"""Batches that exporters wrote into a model are opened from two exports."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from sardonyx.conversion.isolated.batches import SIZES, BakedBatchError, with_open_batch
from sardonyx.conversion.isolated.models import index_domains

F = TensorProto.FLOAT


def exported(rows: int, nodes: list[Any], outputs: dict[str, list[int]], weights: dict[str, Any]) -> onnx.ModelProto:
    """A model of x (rows, 3, 4); constants are initializers and, of names with a C, Constant nodes."""
    tensors = {name: numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()}
    constants = [helper.make_node("Constant", [], [n], value=t) for n, t in tensors.items() if n.startswith("C")]
    values = [helper.make_tensor_value_info(name, F, shape) for name, shape in outputs.items()]
    x = helper.make_tensor_value_info("x", F, [rows, 3, 4])
    kept = [tensor for name, tensor in tensors.items() if not name.startswith("C")]
    graph = helper.make_graph([*constants, *nodes], "g", [x], values, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def both(nodes: Any, outputs: Any, weights: Any) -> onnx.ModelProto:
    few, more = (exported(n, nodes, outputs(n), weights(n)) for n in SIZES)
    return with_open_batch(few, more, "batch")


def run(model: onnx.ModelProto, rows: int) -> list[Any]:
    x = np.arange(rows * 12, dtype=np.float32).reshape(rows, 3, 4)
    return [x, *sardonyx.InferenceSession(model.SerializeToString()).run(None, {"x": x})]


def test_new_shapes_are_computed() -> None:
    nodes = [helper.make_node("Reshape", ["x", "C"], ["flat"]), helper.make_node("Reshape", ["flat", "s"], ["y"])]
    model = both(nodes, lambda n: {"y": [2, 6 * n]}, lambda n: {"C": [3 * n, 4], "s": [2, 6 * n]})
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 3, 4]
    assert [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [2, 0]
    for rows in (1, 2, 9):
        x, y = run(model, rows)
        assert np.array_equal(y, x.reshape(2, -1))


def test_repeated_rows_and_numbers_of_other_types() -> None:
    row = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    nodes = [
        helper.make_node("Add", ["x", "state"], ["y"]),
        helper.make_node("Cast", ["count"], ["c"], to=F),
        helper.make_node("Mul", ["c", "one"], ["z"]),
    ]
    weights = {"one": np.ones(1, np.float32)}
    model = both(
        nodes,
        lambda n: {"y": [n, 3, 4], "z": [1]},
        lambda n: {"state": np.repeat(row, n, 0), "count": np.int32(2 * n - 1), **weights},
    )
    for rows in (1, 6):
        x, y, z = run(model, rows)
        assert np.array_equal(y, x + row)
        assert z == 2 * rows - 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda n: {"w": np.arange(n * 12, dtype=np.float32).reshape(n, 3, 4)}, "constant w has rows that differ"),
        (lambda n: {"w": np.full((1, 3, 4), n, np.float32)}, "constant w depends on the number of rows"),
        (lambda n: {"w": np.ones((n, n, 4), np.float32)}, "constant w depends on the number of rows"),
        (lambda n: {"w": np.ones((1, 3, 4), np.float32), f"v{n}": 1}, "constant v5 depends on the number of rows"),
    ],
)
def test_what_cannot_be_computed_is_named(weights: Any, message: str) -> None:
    with pytest.raises(BakedBatchError, match=message):
        both([helper.make_node("Add", ["x", "w"], ["y"])], lambda n: {"y": [n, 3, 4]}, weights)


def test_steps_that_depend_on_the_batch_are_named() -> None:
    def model(rows: int, count: int) -> onnx.ModelProto:
        nodes = [helper.make_node("Softmax", ["x"], ["y"], "s", axis=rows), *[helper.make_node("Relu", ["x"], ["z"])]]
        return exported(rows, nodes[:count], {"y": [rows, 3, 4]}, {})

    with pytest.raises(BakedBatchError, match=re.escape("its Softmax s depends")):
        with_open_batch(model(5, 1), model(7, 1), "batch")
    with pytest.raises(BakedBatchError, match="its steps depend"):
        with_open_batch(model(5, 1), model(7, 2), "batch")


def test_sizes_of_tables_bound_their_indices() -> None:
    ids, y = helper.make_tensor_value_info("ids", TensorProto.INT32, ["n"]), helper.make_tensor_value_info("y", F, None)
    nodes = [helper.make_node("Cast", ["ids"], ["i"], to=7), helper.make_node("Gather", ["table", "i"], ["y"])]
    table = numpy_helper.from_array(np.zeros((9, 2), np.float32), "table")
    assert index_domains(helper.make_model(helper.make_graph(nodes, "g", [ids], [y], [table]))) == {"ids": 9}
