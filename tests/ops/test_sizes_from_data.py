"""Sizes, places and axes that only a run can read: natively, without compiling again, against onnx's reference."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import sardonyx
from ops.cases import Array, Case, floats, i64

f32 = np.float32

SERIES: dict[str, list[Case]] = {}


def series(name: str, *cases: Case) -> None:
    """Cases of one node that differ in what is fed only."""
    SERIES[name] = list(cases)


def each(op: str, first: list[Array | None], *rest: list[Array | None], outputs: int = 1, **attributes: object) -> None:
    label = "-".join([op, *(f"{key}={value}" for key, value in attributes.items())])
    series(
        f"{label}-{len(SERIES)}",
        *(Case(op, inputs, attributes, outputs=outputs) for inputs in (first, *rest)),
    )


X = floats(2, 3, 4)
each("Reshape", [X, i64(4, 6)], [X, i64(-1, 2)], [X, i64(0, -1)], [X, i64(24, 1)], [X, i64(0, 12)])
each("Reshape", [X, i64(0, 0, 2, 2)], [X, i64(1, 0, -1, 1)], [X, i64(2, -1, 3, 4)])
each("Reshape", [floats(0, 3), i64(3, 0)], [floats(0, 3), i64(0, 5)], [floats(2, 3), i64(3, 2)], allowzero=1)
each("Reshape", [X, i64(24)], [X, i64(-1)])
each("Expand", [floats(3, 1), i64(2, 1, 4)], [floats(3, 1), i64(1, 3, 1)], [floats(1, 1), i64(0, 5, 2)])
each("Expand", [f32(2), i64(2, 3)], [f32(2), i64(1, 1)])
each("Tile", [X, i64(1, 2, 3)], [X, i64(2, 1, 1)], [X, i64(1, 0, 2)])
each("ConstantOfShape", [i64(2, 3)], [i64(0, 3)], [i64(7, 1)])
each("TopK", [floats(3, 9), i64(4)], [floats(3, 9), i64(0)], [floats(3, 9), i64(9)], outputs=2)
each("OneHot", [i64(0, 3, -1), np.array(5), floats(2)], [i64(0, 3, -4), np.array(4), floats(2)])
each(
    "Range",
    *([np.array(a) for a in t] for t in ((3, 20, 4), (100, -90, -1), (3, 3, 4), (5, 0, 1), (2**62, 2**62 + 5, 2))),
)
each("Split", [X, i64(1, 3)], [X, i64(4, 0)], [X, i64(2, 2)], outputs=2, axis=2)
each("Trilu", [X, np.array(-1)], [X, np.array(2)], [X, np.array(-9)], [X, np.array(9)], upper=0)
each("CumSum", [X, np.array(0)], [X, np.array(1)], [X, np.array(-1)], [X, np.array(-3)])
each("CumSum", [X, np.array(0)], [X, np.array(-2)], exclusive=1, reverse=1)
each("Unsqueeze", [X, i64(0)], [X, i64(2)], [X, i64(-1)], [X, i64(-4)])
each("Unsqueeze", [X, i64(0, 4)], [X, i64(3, 1)], [X, i64(-1, -2)], [X, i64(2, 0)])
each("Squeeze", [floats(1, 3, 1, 2), i64(0)], [floats(1, 3, 1, 2), i64(2)], [floats(4, 3, 2, 1), i64(-1)])
each("Squeeze", [floats(1, 3, 1, 2), i64(0, 2)], [floats(4, 3, 1, 1), i64(-1, 2)], [floats(1, 1, 5, 0), i64(1, 0)])
LIMITS = np.iinfo(np.int64)
each(
    "Slice",
    [floats(9), i64(2), i64(7)],
    [floats(9), i64(-3), i64(LIMITS.max)],
    [floats(9), i64(LIMITS.min), i64(-1)],
    [floats(9), i64(100), i64(-100)],
    [floats(0), i64(0), i64(5)],
)
each(
    "Slice",
    [floats(7, 9), i64(1), i64(7), i64(1), i64(2)],
    [floats(7, 9), i64(-1), i64(LIMITS.min), i64(0), i64(-1)],
    [floats(7, 9), i64(-2), i64(1), i64(-1), i64(-3)],
    [floats(7, 9), i64(0), i64(9), i64(1), i64(LIMITS.max)],
    [floats(7, 9), i64(8), i64(-100), i64(1), i64(LIMITS.min)],
)
each(
    "Slice",
    [X, i64(0, 1), i64(1, 3), i64(0, 2)],
    [X, i64(1, 0), i64(9, -1), i64(2, 1)],
    [X, i64(0, 0), i64(0, 2), i64(-1, -2)],
)
each("Pad", [X, i64(0, 1, 2, 2, 1, 0), f32(2.5)], [X, i64(0, 0, 0, 0, 2, 0), f32(1)], [X, i64(*[0] * 6), f32(0)])
for mode in ("edge", "reflect", "wrap"):
    each("Pad", [X, i64(0, 1, 2, 1, 1, 0)], [X, i64(0, 0, 0, 0, 2, 3)], mode=mode)
each("Pad", [X, i64(1, 2), None, i64(1)], [X, i64(0, 3), None, i64(-1)], [X, i64(2, 0), None, i64(0)])
for mode in ("nearest", "linear", "cubic"):
    each(
        "Resize",
        [floats(1, 2, 4, 5), None, None, i64(1, 2, 8, 3)],
        [floats(1, 2, 4, 5), None, None, i64(1, 2, 2, 9)],
        mode=mode,
    )
SCALES = [np.array(s, f32) for s in ((1, 1, 2.5, 0.6), (1, 1, 1, 3), (1, 1, 0.5, 1.2))]
for mode in ("nearest", "linear", "cubic"):
    each("Resize", *([floats(1, 2, 4, 5), None, scales] for scales in SCALES), mode=mode)
    each("Resize", *([floats(1, 2, 4, 5), None, scales[2:]] for scales in SCALES), mode=mode, axes=[2, 3])
each("Resize", *([floats(1, 2, 9, 8), None, scales] for scales in SCALES), mode="linear", antialias=1)
for kind in (f32, np.float64):
    each("Range", *([np.array(n, kind) for n in t] for t in ((0.5, 7, 0.25), (3, -1, -0.5), (1, 0, 1), (0, 8, 3))))
each("OneHot", *([i64(0, 3, -1), np.array(depth, f32), floats(2)] for depth in (5, 1, 7)))
each(
    "Resize",
    [floats(1, 2, 4, 5), None, None, i64(7, 8)],
    [floats(1, 2, 4, 5), None, None, i64(3, 9)],
    mode="linear",
    axes=[2, 3],
    keep_aspect_ratio_policy="not_larger",
)


def model(case: Case) -> onnx.ModelProto:
    """The node, where only the number of sizes or places is known ahead."""
    made = case.model()
    for value in made.graph.input:
        array = case.feeds()[value.name]
        if array.dtype == np.int64 or (case.op, value.name) == ("Resize", "x2"):
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, array.shape))
    return made


@pytest.mark.parametrize("name", SERIES)
def test_results_are_the_reference_s(name: str) -> None:
    cases = SERIES[name]
    session = sardonyx.InferenceSession(model(cases[0]), sardonyx.SessionOptions(strict=True))
    for case in cases:
        for result, real in zip(session.run(None, case.feeds()), case.expected(), strict=True):
            assert result.dtype == real.dtype
            assert result.shape == real.shape, case.inputs[1:]
            np.testing.assert_allclose(result, real, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_negative_pads_crop_first(mode: str) -> None:
    """What is cropped away on one side is not reflected on the other; numpy knows no negative pads."""
    session = sardonyx.InferenceSession(model(Case("Pad", [X, i64(*[0] * 6)], {"mode": mode})))
    for pads in ((0, -1, 1, 0, 0, -2), (-1, 0, 0, 0, 2, -1), (0, 1, -2, 0, -1, 1)):
        before, after = np.array(pads[:3]), np.array(pads[3:])
        cropped = X[tuple(slice(max(-b, 0), n - max(-a, 0)) for b, a, n in zip(before, after, X.shape, strict=True))]
        real = np.pad(cropped, [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)], mode=mode)
        np.testing.assert_array_equal(session.run(None, {"x0": X, "x1": i64(*pads)})[0], real)


@pytest.mark.parametrize(("start", "end", "step"), [(-1, -(2**31), -2), (-3, -1, 1), (0, -1, 1)])
def test_the_axis_alone_is_known_at_run_time(start: int, end: int, step: int) -> None:
    """The others' whole range is none of the numbers that are known to be negative."""
    proto = model(Case("Slice", [X, i64(start), i64(end), i64(0), i64(step)]))
    for number, array in ((1, i64(start)), (2, i64(end)), (4, i64(step))):
        del proto.graph.input[[value.name for value in proto.graph.input].index(f"x{number}")]
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, f"x{number}"))
    session = sardonyx.InferenceSession(proto.SerializeToString(), sardonyx.SessionOptions(strict=True))
    for axis in range(-3, 3):
        real = np.moveaxis(np.moveaxis(X, axis, 0)[start:end:step], 0, axis)
        np.testing.assert_array_equal(session.run(None, {"x0": X, "x3": i64(axis)})[0], real)


def refused(case: Case, *wrong: list[Array | None]) -> None:
    options = sardonyx.SessionOptions(strict=True, memory_limit=1 << 28)
    session = sardonyx.InferenceSession(model(case), options)
    for inputs in wrong:
        with pytest.raises(sardonyx.SardonyxError):
            session.run(None, {f"x{k}": array for k, array in enumerate(inputs) if array is not None})
    session.run(None, case.feeds())


HUGE = (2**31, 2**32, 2**47, 2**62, 2**63 - 1, -1, -2, -(2**31), -(2**63))


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        (
            Case("Reshape", [X, i64(4, 6)]),
            [i64(*s) for s in ((5, 5), (-1, -1), (-2, 12), (24, 0), (2**32, 2**32), (-(2**63), 1), (7, -1))],
        ),
        (Case("Expand", [floats(3, 1), i64(3, 4)]), [i64(2, 4), i64(-1, 4), *(i64(3, n) for n in HUGE)]),
        (Case("Tile", [floats(3), i64(2)]), [i64(n) for n in HUGE]),
        (Case("ConstantOfShape", [i64(2, 3)]), [i64(n, n) for n in HUGE] + [i64(2**32, 2**32), i64(0, -1)]),
        (Case("TopK", [floats(9), i64(4)], outputs=2), [i64(10), *(i64(n) for n in HUGE)]),
        (Case("OneHot", [i64(1), np.array(5), floats(2)]), [np.array(n) for n in HUGE]),
        (Case("Split", [floats(6), i64(2, 4)], outputs=2), [i64(*s) for s in ((2, 5), (-1, 7), (2**63 - 1, 7))]),
        (Case("CumSum", [X, np.array(1)]), [np.array(n) for n in (3, -4, *HUGE) if n not in (-1, -2)]),
        (Case("Unsqueeze", [X, i64(0)]), [i64(n) for n in (4, -5, *HUGE) if n not in (-1, -2)]),
        (Case("Unsqueeze", [X, i64(0, 1)]), [i64(*s) for s in ((0, 0), (1, -4), (9, 0), (2**62, -(2**63)))]),
        (Case("Squeeze", [floats(1, 3), i64(0)]), [i64(n) for n in (1, 2, *HUGE) if n != -2]),
        (Case("Slice", [X, i64(0), i64(2), i64(0), i64(1)]), []),
    ],
    ids=lambda x: str(x) if isinstance(x, Case) else "",
)
def test_hostile_numbers_are_refused(case: Case, wrong: list[Array]) -> None:
    refused(
        case, *([*case.inputs[:1], array, *case.inputs[2:]] if len(case.inputs) > 1 else [array] for array in wrong)
    )


def test_hostile_axes_and_steps_of_a_slice_are_refused() -> None:
    case = Case("Slice", [X, i64(0), i64(2), i64(0), i64(1)])
    axes = [[X, i64(0), i64(2), i64(n), i64(1)] for n in (3, -4, 2**62, -(2**63))]
    refused(case, *axes, [X, i64(0), i64(2), i64(0), i64(0)])


def test_hostile_pads_are_refused() -> None:
    for mode in ("constant", "edge", "reflect", "wrap"):
        case = Case("Pad", [floats(4), i64(1, 1)], {"mode": mode})
        wrong = [i64(*s) for s in ((-5, 0), (-2, -3), (2**62, 2**62), (2**63 - 1, 1), (-(2**63), 9))]
        refused(case, *([floats(4), pads] for pads in wrong))


def test_sizes_that_kernels_compute() -> None:
    """The step ends where a shape is computed; the next one reads it. -1 in a Concat is still known to be one."""
    nodes = [
        onnx.helper.make_node("ReduceMax", ["lengths"], ["longest"], keepdims=1),
        onnx.helper.make_node("Concat", ["minus", "longest"], ["shape"], axis=0),
        onnx.helper.make_node("Mul", ["x", "x"], ["square"]),
        onnx.helper.make_node("Reshape", ["square", "shape"], ["rows"]),
        onnx.helper.make_node("ReduceSum", ["rows", "one"], ["sums"], keepdims=0),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "computed",
        [
            onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"]),
            onnx.helper.make_tensor_value_info("lengths", onnx.TensorProto.INT64, ["k"]),
        ],
        [onnx.helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(i64(-1), "minus"), onnx.numpy_helper.from_array(i64(1), "one")],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    session = sardonyx.InferenceSession(made, sardonyx.SessionOptions(strict=True))
    assert len(session.program.steps) == 2
    for length in range(1, 13):
        x = floats(12 * length)
        sums = session.run(None, {"x": x, "lengths": i64(1, length, 0)})[0]
        np.testing.assert_allclose(sums, (x * x).reshape(-1, length).sum(axis=1), rtol=1e-5)
    with pytest.raises(sardonyx.InvalidInputError, match="has not as many elements"):
        session.run(None, {"x": floats(7), "lengths": i64(2)})


def test_the_declared_rank_tells_the_length_of_a_shape() -> None:
    for case in (Case("Reshape", [X, i64(4, 6)]), Case("ConstantOfShape", [i64(2, 3)])):
        made = case.model()  # the length of the shape is open
        made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, ["a", "b"]))
        session = sardonyx.InferenceSession(made, sardonyx.SessionOptions(strict=True))
        np.testing.assert_array_equal(session.run(None, case.feeds())[0], case.expected()[0])
        for wrong in (i64(24), i64(2, 3, 4)):
            with pytest.raises(sardonyx.InvalidInputError):
                session.run(None, {**case.feeds(), f"x{len(case.inputs) - 1}": wrong})
