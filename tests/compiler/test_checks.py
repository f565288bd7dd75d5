"""Sizes that only a run can compare: a clear error instead of a wrong result or a read out of bounds."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sardonyx.compiler import compile_model
from sardonyx.errors import ExecutionError, InvalidInputError, MemoryLimitError
from sardonyx.runtime.pool import team
from sardonyx.runtime.program import Program


def program(model: ModelProto, memory_limit: int = 1 << 30) -> Program:
    made = compile_model(model)
    made.load(team(1), memory_limit)
    return made


def model(
    nodes: list[NodeProto], inputs: dict[str, tuple[int, list[str | int]]], **constants: np.ndarray
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_operands_that_do_not_broadcast() -> None:
    node = helper.make_node("Add", ["x", "y"], ["out"], name="sum")
    made = program(model([node], {"x": (TensorProto.FLOAT, ["n"]), "y": (TensorProto.FLOAT, ["m"])}))
    assert made.run([ones(5), ones(1)])[0].shape == (5,)
    with pytest.raises(InvalidInputError, match=r"node 'sum' \(Add\).*do not broadcast"):
        made.run([ones(5), ones(3)])


def test_inputs_that_share_a_symbol() -> None:
    node = helper.make_node("Add", ["x", "y"], ["out"])
    made = program(model([node], {"x": (TensorProto.FLOAT, ["n"]), "y": (TensorProto.FLOAT, ["n"])}))
    with pytest.raises(InvalidInputError, match="'y'"):
        made.run([ones(5), ones(3)])


def test_an_index_out_of_range() -> None:
    node = helper.make_node("Gather", ["table", "i"], ["out"], name="look")
    made = program(model([node], {"i": (TensorProto.INT64, ["n"])}, table=ones(10, 4)))
    assert made.run([np.array([-10, 9])])[0].shape == (2, 4)
    for wrong in (10, -11, 2**62, -(2**63)):
        with pytest.raises(ExecutionError, match=r"'look'.*index"):
            made.run([np.array([0, wrong])])


def test_a_result_above_the_memory_limit() -> None:
    node = helper.make_node("Add", ["x", "y"], ["out"])
    inputs = {"x": (TensorProto.FLOAT, ["n", 1]), "y": (TensorProto.FLOAT, ["m"])}
    made = program(model([node], inputs), memory_limit=1 << 20)
    assert made.run([ones(100, 1), ones(100)])[0].shape == (100, 100)
    with pytest.raises(MemoryLimitError, match="memory_limit"):
        made.run([ones(1000, 1), ones(1000)])


def test_a_size_beyond_any_memory() -> None:
    nodes = [helper.make_node("Concat", [f"t{k}", f"t{k}"], [f"t{k + 1}"], axis=0) for k in range(45)]
    nodes[0].input[:] = ["x", "x"]
    nodes[-1].output[:] = ["out"]
    made = program(model(nodes, {"x": (TensorProto.FLOAT, ["n"])}))
    with pytest.raises(MemoryLimitError):
        made.run([ones(1000)])
