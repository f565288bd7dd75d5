"""DynamicQuantizeLinear against onnx's reference implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext
from sardonyx.ops.quantised.dynamic import DynamicQuantizeLinear


def wanted(x: npt.NDArray[np.float32]) -> tuple[Any, Any, Any]:
    low, high = np.float32(min(0, x.min(initial=0))), np.float32(max(0, x.max(initial=0)))
    scale = np.float32(1 if low == high else high - low) / np.float32(255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8), scale, zero.astype(np.uint8)


@pytest.mark.parametrize("shape", [(), (1,), (7, 9), (3, 40, 50), (2, 100, 333), (0, 4)])
@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
def test_scale_zero_point_and_numbers(shape: tuple[int, ...], shift: float) -> None:
    x = (np.random.default_rng(1).standard_normal(shape) + shift).astype(np.float32)
    symbolic = [(0, axis) for axis in range(len(shape))]
    for how in ({}, {"splits": 3}, {"symbolic": symbolic}):
        made = RunContext(DynamicQuantizeLinear(), [np.asarray(x)], outputs=3, **how)
        for place, expected in enumerate(wanted(x)):
            np.testing.assert_array_equal(made.results[place], expected)


def test_nothing_but_zero() -> None:
    made = RunContext(DynamicQuantizeLinear(), [np.zeros((3, 4), np.float32)], outputs=3)
    for place, expected in enumerate(wanted(np.zeros((3, 4), np.float32))):
        np.testing.assert_array_equal(made.results[place], expected)
