"""GridSample, RoiAlign, MaxRoiPool and Det against ONNX Runtime and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import TensorProto, helper

import sardonyx
from sardonyx.errors import ExecutionError

Array = npt.NDArray[Any]


def model(op_type: str, inputs: dict[str, tuple[int, list[Any]]], opset: int, **attributes: Any) -> bytes:
    """One node; the sizes of its inputs are symbolic where they are names."""
    graph = helper.make_graph(
        [helper.make_node(op_type, list(inputs), ["y"], **attributes)],
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("y", next(iter(inputs.values()))[0], None)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return made.SerializeToString()


def ours(proto: bytes, feeds: dict[str, Array], threads: int = 1) -> Array:
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    session = sardonyx.InferenceSession(proto, options)
    assert not session.program.python_steps
    (result,) = session.run(None, feeds)
    return np.asarray(result)


def check(proto: bytes, feeds: dict[str, Array], tolerance: float = 1e-4) -> None:
    (want,) = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"]).run(None, feeds)
    got = ours(proto, feeds)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(got, ours(proto, feeds, threads=2))


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(mode: str, padding: str, align: int) -> None:
    rng = np.random.default_rng(0)
    inputs = {"x": (TensorProto.FLOAT, ["n", "c", "h", "w"]), "grid": (TensorProto.FLOAT, ["n", "p", "q", 2])}
    proto = model("GridSample", inputs, 20, mode=mode, padding_mode=padding, align_corners=align)
    for shape, places in (((2, 3, 5, 7), (4, 9)), ((1, 1, 4, 3), (40, 33)), ((2, 2, 3, 3), (0, 4))):
        x = rng.standard_normal(shape, np.float32)
        grid = rng.uniform(-1.6, 1.6, (shape[0], *places, 2)).astype(np.float32)
        check(proto, {"x": x, "grid": grid})


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_grid_sample_of_volumes(mode: str) -> None:
    rng = np.random.default_rng(1)
    inputs = {"x": (TensorProto.FLOAT, ["n", 2, "d", "h", "w"]), "grid": (TensorProto.FLOAT, ["n", "a", "b", "c", 3])}
    x = rng.standard_normal((2, 2, 4, 5, 6), np.float32)
    grid = rng.uniform(-1.3, 1.3, (2, 3, 4, 5, 3)).astype(np.float32)
    check(model("GridSample", inputs, 20, mode=mode), {"x": x, "grid": grid})


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_of_anything_stays_inside(mode: str, padding: str) -> None:
    inputs = {"x": (TensorProto.FLOAT, [1, 1, 3, 3]), "grid": (TensorProto.FLOAT, [1, 1, "p", 2])}
    proto = model("GridSample", inputs, 20, mode=mode, padding_mode=padding)
    wild = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3.4e38, 1e9, -7e18], np.float32)
    grid = np.stack(np.meshgrid(wild, wild), -1).reshape(1, 1, -1, 2)
    assert ours(proto, {"x": np.ones((1, 1, 3, 3), np.float32), "grid": grid}).shape == (1, 1, 1, 64)


@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align(mode: str, transform: str, samples: int) -> None:
    rng = np.random.default_rng(2)
    inputs = {
        "x": (TensorProto.FLOAT, ["n", "c", "h", "w"]),
        "rois": (TensorProto.FLOAT, ["r", 4]),
        "batch": (TensorProto.INT64, ["r"]),
    }
    sizes = {"output_height": 3, "output_width": 2, "sampling_ratio": samples, "spatial_scale": 0.5}
    proto = model("RoiAlign", inputs, 16, mode=mode, coordinate_transformation_mode=transform, **sizes)
    for channels in (1, 9, 16):
        low = rng.uniform(-3, 20, (5, 2))
        rois = np.concatenate([low, low + rng.uniform(0.5, 16, (5, 2))], 1).astype(np.float32)
        x = rng.standard_normal((3, channels, 11, 13), np.float32)
        check(proto, {"x": x, "rois": rois, "batch": rng.integers(0, 3, 5)})


@pytest.mark.parametrize("wrong", ["batch", "size", "nan"])
def test_roi_align_refuses(wrong: str) -> None:
    inputs = {
        "x": (TensorProto.FLOAT, [1, 1, 4, 4]),
        "rois": (TensorProto.FLOAT, ["r", 4]),
        "batch": (TensorProto.INT64, ["r"]),
    }
    proto = model("RoiAlign", inputs, 16)
    rois = {"batch": [0, 0, 1, 1], "size": [0, 0, 1e30, 1], "nan": [0, 0, np.nan, 1]}[wrong]
    feeds = {"rois": np.array([rois], np.float32), "batch": np.array([7 if wrong == "batch" else 0])}
    with pytest.raises(ExecutionError, match="roi_align"):
        ours(proto, {"x": np.zeros((1, 1, 4, 4), np.float32), **feeds})


def test_max_roi_pool() -> None:
    rng = np.random.default_rng(3)
    inputs = {"x": (TensorProto.FLOAT, ["n", "c", "h", "w"]), "rois": (TensorProto.FLOAT, ["r", 5])}
    proto = model("MaxRoiPool", inputs, 16, pooled_shape=[3, 2], spatial_scale=0.5)
    low = rng.uniform(0, 18, (6, 2))
    batch = rng.integers(0, 2, (6, 1))
    rois = np.concatenate([batch, low, low + rng.uniform(0, 14, (6, 2))], 1).astype(np.float32)
    check(proto, {"x": rng.standard_normal((2, 3, 11, 13), np.float32), "rois": rois})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_det(dtype: type) -> None:
    rng = np.random.default_rng(4)
    kind = TensorProto.FLOAT if dtype is np.float32 else TensorProto.DOUBLE
    proto = model("Det", {"x": (kind, ["n", 2, "m", "m"])}, 22)
    for shape in ((3, 2, 5, 5), (1, 2, 1, 1), (0, 2, 3, 3), (2, 2, 0, 0)):
        x = rng.standard_normal(shape).astype(dtype)
        np.testing.assert_allclose(ours(proto, {"x": x}), np.linalg.det(x.astype(np.float64)), rtol=1e-3, atol=1e-5)
    singular = np.ones((1, 2, 4, 4), dtype)
    np.testing.assert_array_equal(ours(proto, {"x": singular}), np.zeros((1, 2), dtype))
