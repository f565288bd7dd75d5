"""CropAndResize against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from ops.contrib.oracle import check, compiled, feeds_of, node_model, numbers
from sardonyx.errors import ExecutionError

PARTS = np.array(
    [[0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], [-0.2, 0.1, 0.5, 1.3], [0.7, 0.6, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5]], np.float32
)
IMAGES = np.array([0, 1, 1, 0, 1], np.int32)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(3, 2), (1, 4), (6, 6), (2, 1)])
@pytest.mark.parametrize("constant", [False, True])
def test_crop_and_resize(mode: str, size: tuple[int, int], constant: bool) -> None:
    inputs = [numbers(2, 3, 5, 7), PARTS, IMAGES, np.array(size, np.int32)]
    attributes = {"mode": mode, "extrapolation_value": -1.0}
    check("CropAndResize", inputs, attributes, constant=[3] if constant else [], fixed=[3])


def test_an_image_that_does_not_exist() -> None:
    inputs = [numbers(2, 3, 5, 7), PARTS, IMAGES + 1, np.array([3, 3], np.int32)]
    program = compiled(node_model("CropAndResize", inputs, {}, constant=[3]))
    feeds = feeds_of(inputs, [3])
    with pytest.raises(ExecutionError):
        program.run([feeds[value.name] for value in program.inputs])
