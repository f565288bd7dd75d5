"""The comparison of conformance results."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from conformance.compare import Mismatch, compare

ONE = np.ones((2, 3), np.float32)


def same(got, expected, **settings) -> bool:
    try:
        compare(got, expected, **({"rtol": 1e-3, "atol": 1e-7} | settings))
    except Mismatch:
        return False
    return True


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ONE * 1.0005, ONE),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
        (np.array(["a", "b"]), np.array([b"a", "b"], object)),
        ([ONE, None], [ONE, None]),
        ({"k": ONE}, {"k": ONE}),
        (ONE.astype(ml_dtypes.bfloat16), ONE.astype(ml_dtypes.bfloat16)),
    ],
)
def test_equal(got, expected) -> None:
    assert same(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ONE * 1.01, ONE),
        (ONE[:1], ONE),
        (ONE.astype(np.float64), ONE),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array(["a"]), np.array(["b"])),
        (None, ONE),
        (ONE, None),
        ([ONE], [ONE, ONE]),
        (ONE, [ONE]),
        ({"k": ONE}, {"l": ONE}),
    ],
)
def test_different(got, expected) -> None:
    assert not same(got, expected)


def test_random_outputs_compare_shape_and_dtype_only() -> None:
    assert same(ONE * 2, ONE, values=False)
    assert not same(ONE[:1], ONE, values=False)
    assert not same(ONE.astype(np.float16), ONE, values=False)
