"""Contrib convolutions and pools against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ops.contrib.oracle import check, feeds_of, node_model, numbers, reference

ACTIVATIONS: list[dict[str, Any]] = [
    {},
    {"activation": "Relu"},
    {"activation": "LeakyRelu", "activation_params": [0.2]},
    {"activation": "Clip", "activation_params": [-0.5, 1.5]},
    {"activation": "HardSigmoid", "activation_params": [0.3, 0.4]},
    {"activation": "Tanh"},
    {"activation": "Sigmoid"},
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda one: one.get("activation", "none"))
@pytest.mark.parametrize("added", [False, True])
def test_fused_conv(activation: dict[str, Any], added: bool) -> None:
    inputs = [numbers(2, 4, 9, 7), numbers(6, 2, 3, 3), numbers(6), numbers(2, 6, 5, 7) if added else None]
    attributes = {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1], "kernel_shape": [3, 3], **activation}
    check("FusedConv", inputs, attributes, constant=[1, 2], fixed=[0, 3])
    if not activation:
        check("FusedConv", inputs, attributes, constant=[1, 2])


def test_nhwc_fused_conv() -> None:
    first = [numbers(2, 4, 9, 7), numbers(6, 4, 3, 3), numbers(6), numbers(2, 6, 9, 7)]
    attributes = {"pads": [1, 1, 1, 1], "activation": "Relu"}
    (want,) = reference(node_model("FusedConv", first, attributes), feeds_of(first))
    x, z = (np.ascontiguousarray(np.moveaxis(first[place], 1, -1)) for place in (0, 3))
    expected = [np.moveaxis(want, 1, -1)]
    check("NhwcFusedConv", [x, *first[1:3], z], attributes, constant=[1, 2], expected=expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 2]])
def test_nhwc_max_pool(dtype: type, pads: list[int]) -> None:
    x = numbers(2, 9, 7, 5, dtype=dtype, low=0, high=127)
    check("NhwcMaxPool", [x], {"kernel_shape": [3, 3], "pads": pads, "strides": [2, 1]}, fixed=[0])


@pytest.mark.parametrize("bias", [False, True])
def test_conv_transpose_with_dynamic_pads(bias: bool) -> None:
    inputs = [numbers(2, 4, 5, 6), numbers(4, 3, 3, 3), np.array([1, 0, 1, 2]), numbers(3) if bias else None]
    check("ConvTransposeWithDynamicPads", inputs, {"strides": [2, 1]}, constant=[1, 2, 3])
