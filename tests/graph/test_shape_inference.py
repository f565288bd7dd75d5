"""What onnx's inference says of one node, and whose faults count as "it cannot tell"."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from sardonyx import dtypes
from sardonyx.graph import shape_inference
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.shape_inference import onnx_output_shapes


def node(op_type: str, names: list[str], domain: str = "") -> ir.Node:
    proto = onnx.helper.make_node(op_type, names, ["y"], domain=domain)
    return ir.from_proto(proto)


def info(*shape: int) -> TensorInfo:
    return TensorInfo(dtypes.float32, shape)


def test_shapes_from_types_and_constants() -> None:
    shape = TensorInfo(dtypes.int64, (2,), const=np.array([3, -1]))
    assert onnx_output_shapes(node("Reshape", ["x", "s"]), [info(6, 2), shape], 21) == [(3, 4)]
    assert onnx_output_shapes(node("MatMul", ["x", "w"]), [info(6, 2), info(2, 5)], 21) == [(6, 5)]


@pytest.mark.parametrize(
    ("made", "inputs"),
    [
        (node("Nonsense", ["x"]), [info(2)]),
        (node("Relu", ["x"], "com.nobody"), [info(2)]),
        (node("MatMul", ["x", "w"]), [info(6, 2), info(3, 5)]),
        (node("MatMul", ["x", "w"]), [info(6, 2), TensorInfo(None)]),
        (node("MatMul", ["x", "w"]), [info(6, 2), None]),
        (node("Transpose", ["x"]), [TensorInfo(dtypes.float32, None)]),
    ],
)
def test_what_onnx_refuses_is_unknown(made: ir.Node, inputs: list[TensorInfo | None]) -> None:
    assert onnx_output_shapes(made, inputs, 21) == [None]


def test_sizes_beyond_the_format_are_unknown() -> None:
    assert onnx_output_shapes(node("Relu", ["x"]), [info(2**63, 2)], 21) == [(None, 2)]


def test_a_fault_of_ours_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise TypeError("a fault")

    monkeypatch.setattr(shape_inference, "normalize_domain", broken)
    with pytest.raises(TypeError, match="a fault"):
        onnx_output_shapes(node("Relu", ["x"]), [info(2)], 21)
