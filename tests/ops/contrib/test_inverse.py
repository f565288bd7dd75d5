"""Inverse against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from ops.contrib.oracle import check, compiled, node_model, numbers
from sardonyx.compiler import compile_model
from sardonyx.errors import InvalidModelError


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (2, 3, 4, 4), (0, 3, 3), (2, 0, 0), (33, 33)])
@pytest.mark.parametrize("fixed", [False, True])
def test_inverse(shape: tuple[int, ...], fixed: bool) -> None:
    x = numbers(*shape, dtype=np.float64) + 3 * np.eye(shape[-1])
    expected = [np.linalg.inv(x)]
    check("Inverse", [x], expected=expected, tolerance=1e-9, fixed=[0] if fixed else [])
    check("Inverse", [x.astype(np.float32)], expected=[expected[0].astype(np.float32)], tolerance=2e-4)


def test_rows_are_swapped() -> None:
    x = np.array([[0, 2, 1], [1, 0, 0], [0, 0, 4]], np.float32)
    check("Inverse", [x])
    check("Inverse", [x.astype(np.float16)], tolerance=1e-3)


def test_a_singular_matrix_is_no_crash() -> None:
    (got,) = compiled(node_model("Inverse", [np.zeros((2, 2), np.float32)], {})).run([np.zeros((2, 2), np.float32)])
    assert not np.isfinite(got).all()


def test_not_square() -> None:
    with pytest.raises(InvalidModelError, match="not square"):
        compile_model(node_model("Inverse", [numbers(2, 3)], {}, fixed=[0]))
