"""Products of flattened tensors."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from passes.oracle import check, model, op_types, optimised

RANDOM = np.random.default_rng(5)
W, C = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((8, 6), (6,)))


def flattened(restored: list[int], **attributes: float) -> list[object]:
    node = helper.make_node
    return [
        node("Reshape", ["x", "flat"], ["rows"]),
        node("Gemm", ["rows", "w", "c"], ["product"], **attributes),
        node("Reshape", ["product", "restored"], ["y0"]),
        node("Relu", ["y0"], ["y"]),
    ]


def case(restored: list[int], c: np.ndarray = C, **attributes: float) -> object:
    constants = {"flat": np.array([-1, 8]), "restored": np.array(restored), "w": W, "c": c}
    return model(flattened(restored, **attributes), {"x": ["b", 4, 8]}, ["y"], constants)


def test_flattening_goes() -> None:
    proto = case([-1, 4, 6])
    assert op_types(optimised(proto)[0]) == ["Add", "MatMul", "Relu"]
    check(proto, {"x": RANDOM.standard_normal((3, 4, 8)).astype(np.float32)})


@pytest.mark.parametrize(
    ("restored", "c", "attributes"),
    [([4, -1, 6], C, {}), ([-1, 4, 6], C, {"alpha": 2.0}), ([-1, 2, 12], C, {}), ([-1, 4, 6], C[:1], {"beta": 0.5})],
)
def test_what_is_something_else_stays(restored: list[int], c: np.ndarray, attributes: dict[str, float]) -> None:
    proto = case(restored, c, **attributes)
    assert "Gemm" in op_types(optimised(proto)[0])
    check(proto, {"x": RANDOM.standard_normal((3, 4, 8)).astype(np.float32)})
