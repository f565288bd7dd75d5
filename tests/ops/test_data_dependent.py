"""Operators whose output sizes only the data can tell, against onnx's reference implementation and ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import sardonyx
from ops.cases import Array, Case, floats, i64, integers

f32 = np.float32


def sparse(*shape: int, dtype: type = np.float32) -> Array:
    return integers(*shape, low=-1, high=2).astype(dtype)


CASES = [
    *(Case("NonZero", [sparse(3, 4, dtype=t)]) for t in (f32, np.float64, np.float16, np.int8, np.uint8, np.int64)),
    Case("NonZero", [sparse(3, 4) != 0]),
    Case("NonZero", [np.array([0.0, -0.0, np.nan, np.inf], f32)]),
    Case("NonZero", [sparse(40, 50, 30)]),
    Case("NonZero", [np.zeros((3, 4), f32)]),
    Case("NonZero", [np.zeros((0, 4), f32)]),
    Case("NonZero", [sparse(3, 0, 4)]),
    *(Case("Compress", [floats(3, 4, 5), sparse(n) > 0], {"axis": axis}) for n, axis in ((3, 0), (4, 1), (5, -1))),
    Case("Compress", [floats(3, 4, 5), np.array([False, True])], {"axis": 1}),
    Case("Compress", [floats(3, 4, 5), sparse(60) > 0]),
    Case("Compress", [floats(300, 70).astype(np.float16), sparse(300) > 0], {"axis": 0}),
    Case("Compress", [floats(9000) > 0, sparse(9000) > 0]),
    Case("Compress", [floats(3, 4), np.zeros(3, bool)], {"axis": 0}),
    Case("Compress", [floats(0, 4), np.zeros(0, bool)], {"axis": 0}),
    *(
        Case("Unique", [integers(*shape, low=-3, high=4).astype(t)], {"sorted": s}, outputs=4)
        for s in (0, 1)
        for shape, t in (((50,), f32), ((63,), np.int64), ((40,), np.uint8), ((1,), np.float64), ((30,), np.int8))
    ),
    *(
        Case("Unique", [integers(*shape, low=0, high=2).astype(f32)], {"axis": axis}, outputs=4)
        for shape, axis in (((12, 2), 0), ((2, 12), 1), ((2, 9, 2), 1), ((2, 9, 2), -2))
    ),
    Case("Unique", [np.array([2.0, np.nan, -np.inf, np.nan, -0.0, 0.0], f32)], outputs=4),
    Case("Unique", [integers(7, 9, low=0, high=40)], outputs=4),
    Case("Unique", [integers(5000, low=0, high=900)], outputs=4),
    Case("Unique", [floats(3000)], {"sorted": 0}, outputs=4),
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=[f"{case}-{k}" for k, case in enumerate(CASES)])
def test_results_are_the_reference_s(case: Case, threads: int) -> None:
    options = sardonyx.SessionOptions(strict=True, intra_op_num_threads=threads)
    results = sardonyx.InferenceSession(case.model(), options).run(None, case.feeds())
    for result, real in zip(results, case.expected(), strict=True):
        assert result.dtype == real.dtype
        assert result.shape == real.shape
        np.testing.assert_array_equal(result, real)


def suppression(**attributes: int) -> onnx.ModelProto:
    """NonMaxSuppression with every size and limit left open."""
    kinds = {"boxes": ["b", "n", "four"], "scores": ["b", "c", "n"], "most": [1], "overlap": [1], "least": [1]}
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.INT64 if name == "most" else onnx.TensorProto.FLOAT, shape
        )
        for name, shape in kinds.items()
    ]
    node = onnx.helper.make_node("NonMaxSuppression", list(kinds), ["rows"], **attributes)
    rows = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.INT64, None)
    graph = onnx.helper.make_graph([node], "suppression", inputs, [rows])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8)


def some_boxes(images: int, classes: int, boxes: int, seed: int) -> tuple[Array, Array]:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 4, (images, boxes, 4))
    scores = draw.integers(0, 20, (images, classes, boxes)) / 20  # with ties
    return corners.astype(f32), scores.astype(f32)


@pytest.mark.parametrize("centered", [0, 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_suppression_is_onnxruntime_s(centered: int, threads: int) -> None:
    model = suppression(center_point_box=centered)
    options = sardonyx.SessionOptions(strict=True, intra_op_num_threads=threads)
    session = sardonyx.InferenceSession(model, options)
    real = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for seed, (images, classes, boxes) in enumerate([(1, 1, 1), (2, 3, 50), (1, 4, 300), (3, 1, 0), (0, 2, 5)]):
        for most, overlap, least in (
            (3, 0.5, 0.4),
            (1000, 0.3, -1.0),
            (0, 0.5, 0.0),
            (-4, 0.5, 0.0),
            (2**62, 0.0, 2.0),
        ):
            corners, scores = some_boxes(images, classes, boxes, seed)
            feeds = {
                "boxes": corners,
                "scores": scores,
                "most": i64(most),
                "overlap": np.array([overlap], f32),
                "least": np.array([least], f32),
            }
            np.testing.assert_array_equal(session.run(None, feeds)[0], real.run(None, feeds)[0])


def test_a_detector_is_a_few_native_steps() -> None:
    """The kept boxes are gathered natively behind the suppression; nothing runs in Python."""
    model = suppression()
    graph = model.graph
    made = [
        onnx.helper.make_node("Slice", ["rows", "two", "three", "one"], ["place"]),
        onnx.helper.make_node("Squeeze", ["place", "one"], ["places"]),
        onnx.helper.make_node("Squeeze", ["boxes", "zero"], ["all"]),
        onnx.helper.make_node("Gather", ["all", "places"], ["kept"], axis=0),
        onnx.helper.make_node("Cast", ["rows"], ["numbers"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Concat", ["kept", "numbers"], ["out"], axis=1),
    ]
    graph.node.extend(made)
    for name, value in (("zero", 0), ("one", 1), ("two", 2), ("three", 3)):
        graph.initializer.append(onnx.numpy_helper.from_array(i64(value), name))
    graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None))
    model.opset_import[0].version = 13
    session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
    assert len(session.program.steps) == 2
    real = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for seed in range(3):
        corners, scores = some_boxes(1, 2, 40, seed)
        limits = {"most": i64(5), "overlap": np.array([0.4], f32), "least": np.array([0.3], f32)}
        feeds = {"boxes": corners, "scores": scores, **limits}
        np.testing.assert_array_equal(session.run(None, feeds)[0], real.run(None, feeds)[0])


def test_wrong_shapes_of_boxes_are_refused() -> None:
    session = sardonyx.InferenceSession(suppression())
    limits = {"most": i64(5), "overlap": np.array([0.4], f32), "least": np.array([0.3], f32)}
    for boxes, scores in (((1, 5, 3), (1, 1, 5)), ((1, 5, 4), (1, 1, 6)), ((2, 5, 4), (1, 1, 5))):
        with pytest.raises(sardonyx.InvalidInputError):
            session.run(None, {"boxes": floats(*boxes), "scores": floats(*scores), **limits})
