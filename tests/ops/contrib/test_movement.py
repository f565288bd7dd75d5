"""Contrib operators that ONNX has under other signatures, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import check, numbers
from sardonyx.compiler import compile_model
from sardonyx.runtime.pool import team

CASES: list[tuple[str, list[Any], dict[str, Any], list[int]]] = [
    ("Trilu", [numbers(2, 4, 5)], {}, []),
    ("Trilu", [numbers(4, 5), np.array(-1)], {"upper": 0}, [1]),
    ("Pad", [numbers(3, 4), np.array([1, 0, 2, 1]), np.array([2.5], np.float32)], {}, [1]),
    ("Pad", [numbers(3, 4), np.array([[1, 0, 2, 1]])], {"mode": "reflect"}, [1]),
    ("ExpandDims", [numbers(3, 4), np.array(-1, np.int32)], {}, [1]),
    ("Range", [np.array(1, np.int32), np.array([9], np.int32)], {}, [0, 1]),
    ("Range", [np.array([9.0], np.float32), np.array(1.0, np.float32), np.array(-1.5, np.float32)], {}, [0, 1, 2]),
    ("Range", [np.array(3), np.array(11), np.array([2])], {}, [2]),
    ("GatherND", [numbers(3, 4, 5), np.array([[0, 1], [2, 3]], np.int32)], {}, [1]),
    ("GridSample", [numbers(2, 3, 5, 6), numbers(2, 4, 3, 2, low=-1, high=1)], {"padding_mode": "border"}, []),
    ("GridSample", [numbers(2, 3, 5, 6), numbers(2, 4, 3, 2, low=-1, high=1)], {"mode": "bicubic"}, []),
    ("UnfoldTensor", [numbers(2, 9, 3)], {"dim": 1, "size": 3, "step": 2}, []),
    ("UnfoldTensor", [numbers(2, 9)], {"size": 4}, []),
    ("SampleOp", [numbers(3, 4)], {}, []),
    ("CDist", [numbers(5, 7), numbers(4, 7)], {"metric": "euclidean"}, []),
    ("CDist", [numbers(5, 7, dtype=np.float64), numbers(4, 7, dtype=np.float64)], {"metric": "sqeuclidean"}, []),
]


@pytest.mark.parametrize(("name", "inputs", "attributes", "constant"), CASES)
def test_cases(name: str, inputs: list[Any], attributes: dict[str, Any], constant: list[int]) -> None:
    fixed = [0, 1] if name in ("GridSample", "ExpandDims", "GatherND", "Trilu") else []
    check(name, inputs, attributes, constant=constant, fixed=fixed)


def test_sums_of_bytes() -> None:
    x = numbers(3, 4, 5, dtype=np.uint8, low=0, high=255)
    want = x.sum((0, 2), dtype=np.uint32)
    check("ReduceSumInteger", [x], {"axes": [0, 2], "keepdims": 0}, expected=[want], fixed=[0])


def test_complex_products() -> None:
    a, b = numbers(3, 4, 2), numbers(3, 4, 2)[::-1].copy()
    x, y = (array.view(np.complex64) for array in (a, b))
    for name, want in (("ComplexMul", x * y), ("ComplexMulConj", x * y.conj())):
        check(name, [a, b], {}, expected=[want.view(np.float32)], fixed=[0, 1])


NUMBERS = [np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("attributes", [{}, {"seed": 77, "positive": 0}])
def test_hash_of_numbers(dtype: type, attributes: dict[str, int]) -> None:
    check("MurmurHash3", [numbers(3, 5, dtype=np.float64, low=0, high=1e9).astype(dtype)], attributes)


@pytest.mark.parametrize("attributes", [{}, {"seed": 77, "positive": 0}])
def test_hash_of_strings(attributes: dict[str, int]) -> None:
    from ops.contrib.oracle import feeds_of, node_model, reference

    x = np.array([["", "a", "ab"], ["abc", "abcd", "żółw żaba"]], dtype=object)
    model = node_model("MurmurHash3", [x], attributes)
    (want,) = reference(model, feeds_of([x]))
    program = compile_model(model)
    program.load(team(1), 1 << 30)
    (got,) = program.run([x])
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_unique() -> None:
    x = np.array([3, 1, 3, 2, 1, 7], np.float32)
    check("Unique", [x], outputs=(True, True, True))
