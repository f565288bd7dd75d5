"""Convolutions of 8-bit integers whose weights are known, and whose weights' zero point is an input."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

import sardonyx
from ops.cases import Case


@pytest.mark.parametrize("channels", [1, 8])
def test_known_weights_of_unknown_zero_point(channels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, channels, 5, 6), np.uint8)
    w = rng.integers(-9, 9, (3, channels, 3, 2), np.int8)
    proto = Case("ConvInteger", [x, w, np.array(5, np.uint8), np.array(3, np.int8)]).model()
    del proto.graph.input[[value.name for value in proto.graph.input].index("x1")]
    proto.graph.initializer.append(numpy_helper.from_array(w, "x1"))
    session = sardonyx.InferenceSession(proto.SerializeToString())
    for zero in (3, -2, 0):
        feeds = {"x0": x, "x2": np.array(5, np.uint8), "x3": np.array(zero, np.int8)}
        windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int32) - 5, (3, 2), (2, 3))
        real = np.einsum("nchwij,ocij->nohw", windows, w.astype(np.int32) - zero)
        np.testing.assert_array_equal(session.run(None, feeds)[0], real)
