"""Col2Im and DeformConv against onnx's reference implementation and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import sardonyx

Array = npt.NDArray[Any]


def check(op_type: str, inputs: dict[str, Array], constants: tuple[str, ...], opset: int, **attributes: Any) -> None:
    """The node with a symbolic batch, on one thread and two, against the reference."""
    feeds = {name: x for name, x in inputs.items() if name not in constants}
    graph = helper.make_graph(
        [helper.make_node(op_type, list(inputs), ["y"], **attributes)],
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *x.shape[1:]]) for name, x in feeds.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(inputs[name], name) for name in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    (want,) = ReferenceEvaluator(model).run(None, feeds)
    results = []
    for threads in (1, 2):
        options = sardonyx.SessionOptions()
        options.intra_op_num_threads = threads
        session = sardonyx.InferenceSession(model.SerializeToString(), options)
        assert not session.program.python_steps
        results.append(session.run(None, feeds)[0])
    np.testing.assert_allclose(results[0], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(
    ("image", "window", "attributes"),
    [
        ((5, 5), (1, 5), {}),
        ((5, 5), (3, 3), {"strides": [2, 2]}),
        ((6, 7), (2, 3), {"pads": [1, 0, 1, 2], "dilations": [2, 1]}),
        ((4, 5, 3), (2, 2, 2), {}),
    ],
)
def test_col2im(image: tuple[int, ...], window: tuple[int, ...], attributes: dict[str, list[int]]) -> None:
    rank = len(image)
    pads = attributes.get("pads", [0] * (2 * rank))
    dilations, strides = attributes.get("dilations", [1] * rank), attributes.get("strides", [1] * rank)
    blocks = 1
    for k in range(rank):
        blocks *= (image[k] + pads[k] + pads[rank + k] - dilations[k] * (window[k] - 1) - 1) // strides[k] + 1
    x = np.random.default_rng(0).standard_normal((3, 2 * int(np.prod(window)), blocks), np.float32)
    inputs = {"x": x, "image": np.array(image, np.int64), "window": np.array(window, np.int64)}
    check("Col2Im", inputs, ("image", "window"), 18, **attributes)


@pytest.mark.parametrize(
    ("group", "offset_group", "masked"), [(1, 1, False), (2, 1, True), (1, 2, True), (2, 2, False)]
)
def test_deform_conv(group: int, offset_group: int, masked: bool) -> None:
    rng = np.random.default_rng(1)
    height, width = 6, 5
    x = rng.standard_normal((2, 4, 7, 6), np.float32)
    inputs = {
        "x": x,
        "w": rng.standard_normal((6, 4 // group, 2, 2), np.float32),
        "offset": rng.uniform(-2, 2, (2, offset_group * 8, height, width)).astype(np.float32),
        "bias": rng.standard_normal(6, np.float32),
    }
    if masked:
        inputs["mask"] = rng.random((2, offset_group * 4, height, width), np.float32)
    check("DeformConv", inputs, ("w", "bias"), 19, group=group, offset_group=offset_group, kernel_shape=[2, 2])
