"""Shape and data-movement operators against onnx's reference implementation: sizes, contents, errors and results."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ops.cases import Case, floats, i64, integers
from ops.run_record import run_record
from sardonyx import dtypes
from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, Indexed, InferContext, Read, View
from sardonyx.ops.registry import decode
from sardonyx.symbols import evaluate, free_symbols, symbol, to_text

f32 = np.float32


def cases() -> list[Case]:
    x = floats(2, 3, 4)
    image = floats(2, 8, 4, 6)
    return [
        Case("Shape", [x]),
        Case("Shape", [x], {"start": -2}),
        Case("Shape", [x], {"start": 1, "end": -1}),
        Case("Shape", [x], {"start": 9, "end": -9}),
        Case("Size", [x]),
        Case("Reshape", [x, i64(4, 6)], constant=[1], label="constant", opset=23),
        Case("Reshape", [x, i64(0, -1)], constant=[1]),
        Case("Reshape", [x, i64(0, 0, 2, 2)], constant=[1]),
        Case("Reshape", [x, i64(-1)], constant=[1]),
        Case("Reshape", [x, i64(1, 0, -1, 1)], constant=[1]),
        Case("Reshape", [floats(0, 3), i64(3, 0)], {"allowzero": 1}, constant=[1]),
        Case("Flatten", [x]),
        *(Case("Flatten", [x], {"axis": axis}) for axis in (0, 2, 3, -1, -3)),
        Case("Squeeze", [floats(1, 3, 1, 2), i64(0, -2)], constant=[1]),
        Case("Unsqueeze", [x, i64(0, -1)], constant=[1]),
        Case("Unsqueeze", [x, i64(4, 2)], constant=[1]),
        Case("Unsqueeze", [f32(3), i64(0)], constant=[1]),
        Case("Identity", [x]),
        Case("Transpose", [x]),
        Case("Transpose", [x], {"perm": [1, 0, 2]}),
        Case("Transpose", [x], {"perm": [2, 0, 1]}),
        Case("Expand", [floats(3, 1), i64(2, 1, 4)], constant=[1]),
        Case("Expand", [floats(3, 4), i64(1, 1)], constant=[1]),
        Case("Expand", [f32(2), i64(2, 3)], constant=[1]),
        Case("Slice", [x, i64(0, 1), i64(1, 3), i64(0, 2)], constant=[1, 2, 3]),
        Case("Slice", [x, i64(1), i64(2**63 - 1)], constant=[1, 2]),
        Case("Slice", [x, i64(-1), i64(-(2**63)), i64(-1), i64(-1)], constant=[1, 2, 3, 4]),
        Case("Slice", [floats(20, 10), i64(0, 3), i64(19, -1), i64(0, 1), i64(3, 2)], constant=[1, 2, 3, 4]),
        Case("Slice", [floats(20), i64(100), i64(-100), i64(0), i64(-7)], constant=[1, 2, 3, 4]),
        Case("Slice", [floats(5), i64(-100), i64(-2)], constant=[1, 2]),
        Case("Slice", [floats(5), i64(3), i64(1)], constant=[1, 2], label="empty"),
        Case("Slice", [floats(0), i64(0), i64(-100), i64(0), i64(-1)], constant=[1, 2, 3, 4], label="of empty"),
        Case("Slice", [x, i64(1), i64(9), i64(1)], constant=[1, 2, 3]),
        Case("Split", [x, i64(1, 3)], {"axis": 2}, constant=[1], outputs=2),
        Case("Split", [x, i64(1, 0, 2)], {"axis": -2}, constant=[1], outputs=3),
        Case("Split", [floats(7, 2)], {"num_outputs": 3}, outputs=3),
        Case("Split", [floats(6, 2)], {"num_outputs": 2, "axis": 1}, outputs=2),
        Case("Concat", [x, floats(2, 5, 4)], {"axis": 1}),
        Case("Concat", [x, floats(2, 3, 1), floats(2, 3, 0), floats(2, 3, 9)], {"axis": -1}),
        Case("Concat", [integers(3), integers(4)], {"axis": 0}),
        Case("Concat", [x], {"axis": 0}),
        Case("Tile", [x, i64(1, 2, 3)], constant=[1]),
        Case("Tile", [floats(4, 1), i64(2, 5)], constant=[1]),
        Case("Tile", [floats(4), i64(0)], constant=[1]),
        *pad_cases(),
        *gather_cases(),
        *scatter_cases(),
        *(Case("DepthToSpace", [image], {"blocksize": 2, "mode": mode}) for mode in ("DCR", "CRD")),
        Case("SpaceToDepth", [image], {"blocksize": 2}),
        Case("OneHot", [integers(3, 4, low=-5, high=5), np.array(5), floats(2)], constant=[1]),
        Case("OneHot", [integers(3, 4, low=-7, high=7), np.array(5), floats(2)], {"axis": 1}, constant=[1]),
        Case("OneHot", [integers(6).astype(f32), np.array(20), integers(2)], {"axis": 0}, constant=[1]),
        *(Case("Trilu", [x], {"upper": upper}) for upper in (0, 1)),
        *(Case("Trilu", [x, np.array(k)], {"upper": u}, constant=[1]) for k, u in itertools.product((-1, 2), (0, 1))),
        Case("Range", [np.array(3), np.array(20), np.array(4)], constant=[0, 1, 2]),
        Case("Range", [np.array(100), np.array(-90), np.array(-1)], constant=[0, 1, 2]),
        Case("Range", [f32(0.5), f32(7), f32(0.25)], constant=[0, 1, 2]),
        Case("Range", [np.array(3), np.array(3), np.array(4)], constant=[0, 1, 2]),
        Case("ConstantOfShape", [i64(2, 3)], constant=[0]),
        Case("ConstantOfShape", [i64(70)], {"value": tensor(np.array([7]))}, constant=[0]),
        Case("ConstantOfShape", [i64()], {"value": tensor(np.array([True]))}, constant=[0]),
        Case("EyeLike", [floats(4, 5)]),
        Case("EyeLike", [integers(5, 3, dtype=np.int32)], {"k": -1, "dtype": 11}),
        Case("ReverseSequence", [floats(4, 3, 2), i64(1, 4, 0)]),
        Case("ReverseSequence", [floats(3, 5), i64(1, 5, 2)], {"batch_axis": 0, "time_axis": 1}),
        *(
            Case("CumSum", [x, np.array(axis)], {"exclusive": e, "reverse": r}, constant=[1])
            for axis, e, r in itertools.product((0, 1, -1), (0, 1), (0, 1))
        ),
        Case("CumSum", [integers(5, 70, dtype=np.int32), np.array(0)], constant=[1]),
        Case("Dropout", [x]),
        *resize_cases(),
        *tensor_scatter_cases(),
    ]


def tensor(array):
    import onnx

    return onnx.numpy_helper.from_array(array)


def pad_cases() -> list[Case]:
    x = floats(3, 4, 5)
    result = [
        Case("Pad", [x, i64(1, 0, 2, 0, 3, 1), f32(7)], constant=[1, 2]),
        Case("Pad", [x, i64(1, 0, 2, 0, 3, 1), f32(7)], constant=[1], label="fill from data"),
        Case("Pad", [x, i64(2, 1, 1, 0), None, i64(-1, 0)], constant=[1, 3]),
        Case("Pad", [integers(4), i64(1, 2), np.array(3)], constant=[1, 2]),
    ]
    for mode, large in (("edge", 9), ("reflect", 2), ("wrap", 9), ("reflect", 7)):
        pads = i64(1, 0, large, 0, 2, 1)
        result.append(Case("Pad", [x, pads], {"mode": mode}, constant=[1], label=f"{mode} {large}"))
    return result


def gather_cases() -> list[Case]:
    x = floats(3, 4, 5)
    return [
        Case("Gather", [x, i64(0, -1)]),
        Case("Gather", [x, i64([1, 2], [3, -4])], {"axis": 1}),
        Case("Gather", [x, np.array(2)], {"axis": -1}),
        Case("Gather", [x, i64(1, 3)], {"axis": 1}, constant=[1]),
        Case("Gather", [x, integers(7, low=0, high=3, dtype=np.int32)]),
        Case("Gather", [x, integers(0, 2, low=0, high=3)]),
        Case("GatherElements", [x, integers(3, 4, 5, low=-3, high=3)]),
        Case("GatherElements", [x, integers(3, 9, 5, low=-4, high=4)], {"axis": 1}),
        Case("GatherElements", [x, integers(3, 4, 2, low=0, high=5, dtype=np.int32)], {"axis": 2}),
        Case("GatherND", [x, i64([0, 1], [2, -1])], constant=[1]),
        Case("GatherND", [x, i64([[0, 1, 2]], [[2, 3, -1]])], constant=[1]),
        Case("GatherND", [x, i64([1], [0], [-1])], {"batch_dims": 1}, constant=[1]),
    ]


def scatter_cases() -> list[Case]:
    x = floats(3, 4, 5)
    result = [
        Case("ScatterElements", [x, integers(2, 3, 5, low=0, high=3), floats(2, 3, 5)], {"axis": 0}),
        Case("ScatterElements", [floats(6), i64(1, -1), floats(2)]),
        Case("ScatterND", [x, i64([0, 1], [2, 3]), floats(2, 5)], constant=[1]),
        Case("ScatterND", [x, i64([[0], [2]]), floats(1, 2, 4, 5)], constant=[1]),
        Case("ScatterND", [floats(8), i64([1], [-3]), floats(2)], constant=[1]),
    ]
    for reduction in ("add", "mul", "min", "max"):
        attributes = {"axis": 1, "reduction": reduction}
        indices = integers(3, 4, 5, low=-4, high=4)
        result.append(Case("ScatterElements", [x, indices, floats(3, 4, 5, seed=1)], attributes, label=reduction))
        nd = [x, i64([0, 1], [2, 3], [0, 1]), floats(3, 5)]
        result.append(Case("ScatterND", nd, {"reduction": reduction}, constant=[1], label=reduction))
    return result


def tensor_scatter_cases() -> list[Case]:
    cache, update = floats(2, 3, 6, 4), floats(2, 3, 2, 4)
    return [
        Case("TensorScatter", [cache, update, i64(1, 4)], opset=24),
        Case("TensorScatter", [cache, update], opset=24),
        Case("TensorScatter", [cache, update, i64(5, 4)], {"mode": "circular"}, opset=24),
        Case("TensorScatter", [floats(2, 6), floats(2, 2), i64(0, 3)], {"axis": 1}, opset=24),
    ]


def resize_cases() -> list[Case]:
    image = floats(2, 3, 5, 7)
    scales, sizes = np.array([1, 1, 1.6, 0.6], f32), i64(2, 3, 9, 4)
    result: list[Case] = []
    transforms = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
    for mode, transform in itertools.product(("nearest", "linear", "cubic"), transforms):
        attributes = {"mode": mode, "coordinate_transformation_mode": transform}
        result.append(Case("Resize", [image, None, scales], attributes, [2], label=f"{mode} {transform} scales"))
        result.append(Case("Resize", [image, None, None, sizes], attributes, [3], label=f"{mode} {transform} sizes"))
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        attributes = {"nearest_mode": nearest}
        two = np.array([1, 1, 2, 0.5], f32)
        result.append(Case("Resize", [image, None, two], attributes, [2], label=f"nearest {nearest}"))
    for mode in ("linear", "cubic"):
        attributes = {"mode": mode, "antialias": 1}
        result.append(Case("Resize", [image, None, scales], attributes, [2], label=f"{mode} antialias scales"))
        result.append(Case("Resize", [image, None, None, sizes], attributes, [3], label=f"{mode} antialias sizes"))
        attributes = {"mode": mode, "exclude_outside": 1}
        result.append(Case("Resize", [image, None, scales], attributes, [2], label=f"{mode} exclude outside"))
        crop = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 10.0}
        roi = np.array([0, 0, 0.4, -0.25, 1, 1, 0.6, 1.3], f32)
        result.append(Case("Resize", [image, roi, None, i64(2, 3, 3, 6)], crop, [3], label=f"{mode} crop"))
    for policy, mode in itertools.product(("not_larger", "not_smaller"), ("nearest", "linear", "cubic")):
        attributes = {
            "mode": mode,
            "keep_aspect_ratio_policy": policy,
            "axes": [2, 3],
            "antialias": int(mode != "nearest"),
        }
        inputs = [image, None, None, i64(9, 6)]
        result.append(Case("Resize", inputs, attributes, [3], label=f"{mode} {policy}"))
        inputs = [image, None, None, i64(2, 3)]
        result.append(Case("Resize", inputs, attributes, [3], label=f"{mode} {policy} down"))
    axes = {"mode": "linear", "axes": [3, 2]}
    result.append(Case("Resize", [image, None, None, i64(4, 9)], axes, [3], label="axes"))
    result.append(
        Case(
            "Resize",
            [integers(1, 1, 4, 4, low=0, high=255, dtype=np.uint8), None, scales],
            {"mode": "linear"},
            [2],
            label="uint8",
        )
    )
    return result


CASES = cases()
IDS = [f"{k}-{case}" for k, case in enumerate(CASES)]


def context(case: Case, *, known: bool = False) -> tuple[InferContext, dict[str, int], list[tuple]]:
    """The infos of a case, the sizes of its symbols, and the checks that inference leaves for the run."""
    infos: list[TensorInfo | None] = []
    env: dict[str, int] = {}
    for k, array in enumerate(case.inputs):
        if array is None:
            infos.append(None)
        elif k in case.constant:
            infos.append(TensorInfo.of_array(np.asarray(array), dtypes.from_numpy(array.dtype)))
        else:
            shape = tuple(symbol(f"d{k}_{axis}") for axis in range(array.ndim))
            env.update({f"d{k}_{axis}": size for axis, size in enumerate(array.shape)})
            infos.append(TensorInfo(dtypes.from_numpy(array.dtype), array.shape if known else shape))
    checks: list[tuple] = []
    counter = itertools.count()
    ctx = InferContext(
        "node",
        case.op,
        tuple(infos),
        case.outputs,
        lambda hint: symbol(f"{hint}#{next(counter)}"),
        lambda a, b, message: checks.append((a, b, message)),
    )
    return ctx, env, checks


def record_of(case: Case):
    attributes = {}
    for name, value in case.attributes.items():
        if hasattr(value, "SerializeToString"):
            import onnx

            value = onnx.numpy_helper.to_array(value)
        attributes[name] = tuple(value) if isinstance(value, list) else value
    record = decode(case.op, "", attributes, "node")
    assert record is not None
    return record


@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_inferred_sizes_are_the_real_ones(case, known):
    expected = case.expected()
    ctx, env, checks = context(case, known=known)
    infos = record_of(case).infer(ctx)
    assert len(infos) == case.outputs
    for info, real in zip(infos, expected, strict=True):
        assert info.dtype is dtypes.from_numpy(real.dtype)
        assert info.shape is not None
        assert all(free_symbols(size) <= env.keys() for size in info.shape), list(map(to_text, info.shape))
        assert tuple(evaluate(size, env) for size in info.shape) == real.shape
        if info.values is not None:
            assert [evaluate(value, env) for value in info.values] == real.reshape(-1).tolist()
    for a, b, message in checks:
        assert evaluate(a, env) == evaluate(b, env), message


VIEWS = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), View)]


@pytest.mark.parametrize("case", [case for case, _ in VIEWS], ids=[name for _, name in VIEWS])
@pytest.mark.parametrize("order", ["dense", "transposed"])
def test_views_show_the_right_elements(case, order):
    expected = case.expected()
    ctx, env, _ = context(case)
    record = record_of(case)
    infos = record.infer(ctx)
    array = np.asarray(case.inputs[0])
    shape = ctx.input(0).shape
    strides = row_major(shape)
    if order == "transposed":
        strides = tuple(reversed(row_major(tuple(reversed(shape)))))
        array = np.asfortranarray(array)
    source = Operand(0, ctx.input(0).dtype, shape, strides)
    views = record.view(ctx, infos, source)
    if views is None:
        assert order == "transposed"
        return
    memory = array.ravel(order="K")
    for view, real in zip(views, expected, strict=True):
        sizes = [evaluate(size, env) for size in view.shape]
        steps = [evaluate(stride, env) for stride in view.strides]
        start = evaluate(view.offset, env)
        assert tuple(sizes) == real.shape
        places = [start + sum(k * step for k, step in zip(index, steps, strict=True)) for index in np.ndindex(*sizes)]
        np.testing.assert_array_equal(memory[places] if places else memory[:0], real.reshape(-1))


INDEXED = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), Indexed)]


class Reading:
    """An IndexContext that reads at once."""

    def __init__(self, case: Case, ctx: InferContext, outputs, env: dict[str, int]) -> None:
        self.case, self.infer, self.outputs, self.env = case, ctx, outputs, env

    def number(self, dim) -> int:
        return evaluate(dim, self.env)

    def load_index(self, input, index, bound):
        place = int(self.case.inputs[input][tuple(map(self.number, index))])
        bound = self.number(bound)
        assert -bound <= place < bound
        return place + bound if place < 0 else place

    def value(self, read):
        if not isinstance(read, Read):
            return read
        if any(self.number(condition) < 0 for condition in read.conditions):
            fill = read.fill
            return self.value(replace(fill, conditions=()) if isinstance(fill, Read) else fill)
        index = tuple(map(self.number, read.index))
        array = self.case.inputs[read.input]
        assert all(0 <= place < size for place, size in zip(index, array.shape, strict=True))
        return array[index]


@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", [case for case, _ in INDEXED], ids=[name for _, name in INDEXED])
def test_indices_name_the_right_elements(case, known):
    (expected,) = case.expected()
    ctx, env, _ = context(case, known=known)
    record = record_of(case)
    reading = Reading(case, ctx, record.infer(ctx), env)
    assert record.lowers(ctx)
    for position in np.ndindex(*expected.shape):
        assert reading.value(record.index(reading, position)) == expected[position]


ANCHORS = [(case, name) for case, name in zip(CASES, IDS, strict=True) if isinstance(record_of(case), Anchor)]


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "constant"])
@pytest.mark.parametrize("case", [case for case, _ in ANCHORS], ids=[name for _, name in ANCHORS])
def test_kernels_compute_the_right_elements(case, known, splits):
    (expected,) = case.expected()
    places = [(k, axis) for k, array in enumerate(case.inputs) if array is not None for axis in range(array.ndim)]
    symbolic = [] if known else [place for place in places if place[0] not in case.constant]
    arrays = [None if array is None else np.asarray(array) for array in case.inputs]
    result = run_record(record_of(case), arrays, constant=case.constant, symbolic=symbolic, splits=splits)
    assert result.dtype == expected.dtype
    # The reference rounds cubic weights to float32; a resized integer may lie at the border of two.
    loose = 1e-5 if case.attributes.get("mode") == "cubic" else 2e-6
    tolerance = loose if expected.dtype.kind == "f" else float(case.op == "Resize")
    np.testing.assert_allclose(result.astype(np.float64), expected.astype(np.float64), rtol=loose, atol=tolerance)


def test_pad_crops():
    x = floats(3, 4, 5)
    case = Case("Pad", [x, i64(-1, 0, 2, 0, -2, 1)], constant=[1])
    ctx, env, _ = context(case)
    record = record_of(case)
    reading = Reading(case, ctx, record.infer(ctx), env)
    expected = np.pad(x[1:, :2], ((0, 0), (0, 0), (2, 1)))
    assert tuple(evaluate(size, env) for size in reading.outputs[0].shape) == expected.shape
    for position in np.ndindex(*expected.shape):
        assert reading.value(record.index(reading, position)) == expected[position]


@pytest.mark.parametrize(
    "case",
    [
        Case("ScatterElements", [floats(4), i64(0, 4), floats(2)]),
        Case("ScatterElements", [floats(4), i64(-5, 1), floats(2)]),
        Case("ScatterND", [floats(4, 3), i64([0, 0], [1, 3]), floats(2)], constant=[1]),
        Case("ScatterND", [floats(4, 3), i64([0, 0], [-5, 1]), floats(2)], constant=[1]),
    ],
    ids=str,
)
def test_an_index_out_of_range_is_refused_before_it_is_used(case):
    with pytest.raises(AssertionError):  # the harness asserts a status of 0
        run_record(record_of(case), list(case.inputs), constant=case.constant)


BAD = [
    (Case("Reshape", [floats(2, 3), i64(4, 2)], constant=[1]), "elements"),
    (Case("Reshape", [floats(2, 3), i64(-1, -1)], constant=[1]), "more than once"),
    (Case("Reshape", [floats(2, 3), i64(1, 1, 0, -1)], constant=[1]), "rank 2"),
    (Case("Reshape", [floats(2, 3), i64(-2, 3)], constant=[1]), "negative"),
    (Case("Reshape", [floats(2, 3), i64(4, -1)], constant=[1]), "elements"),
    (Case("Flatten", [floats(2, 3)], {"axis": 3}), "axis 3"),
    (Case("Squeeze", [floats(2, 3), i64(0)], constant=[1]), "not 1"),
    (Case("Squeeze", [floats(1, 3), i64(0, -2)], constant=[1]), "twice"),
    (Case("Unsqueeze", [floats(1, 3), i64(4)], constant=[1]), "axis 4"),
    (Case("Transpose", [floats(1, 3)], {"perm": [0, 0]}), "perm"),
    (Case("Expand", [floats(3), i64(4)], constant=[1]), "broadcast"),
    (Case("Slice", [floats(3), i64(0), i64(1), i64(0), i64(0)], constant=[1, 2, 3, 4]), "step of 0"),
    (Case("Slice", [floats(3), i64(0), i64(1), i64(1)], constant=[1, 2, 3]), "axis 1"),
    (Case("Split", [floats(3), i64(1, 1)], constant=[1], outputs=2), "add up"),
    (Case("Split", [floats(3), i64(1, 2)], constant=[1], outputs=3), "outputs"),
    (Case("Concat", [floats(3, 2), floats(2, 2)], {"axis": 1}), "axis 0"),
    (Case("Concat", [floats(3, 2), floats(2)], {"axis": 0}), "rank"),
    (Case("Tile", [floats(3, 2), i64(1)], constant=[1]), "repeats"),
    (Case("Pad", [floats(3, 2), i64(1)], constant=[1]), "pads"),
    (Case("Pad", [floats(3), i64(-2, -2)], constant=[1]), "crop"),
    (Case("Gather", [floats(3), i64(3)], constant=[1]), "outside"),
    (Case("Gather", [f32(3), i64(0)], constant=[1]), "scalar"),
    (Case("GatherND", [floats(3), i64([0, 0])], constant=[1]), "tuples"),
    (Case("ScatterElements", [floats(3), i64(0, 1), floats(3)]), "axis 0"),
    (Case("ScatterND", [floats(3), i64([0], [1]), floats(3)], constant=[1]), "updates"),
    (Case("DepthToSpace", [floats(1, 3, 2, 2)], {"blocksize": 2}), "multiple"),
    (Case("Resize", [floats(3)]), "scales and sizes"),
    (Case("Resize", [floats(3), None, np.array([1, 2], f32)], constant=[2]), "2 scales"),
    (Case("Resize", [floats(3), None, np.array([-1], f32)], constant=[2]), "positive"),
    (Case("Resize", [floats(3), None, np.array([1], f32)], {"mode": "area"}, constant=[2]), "mode"),
    (Case("OneHot", [i64(0), i64(2), floats(3)], constant=[1]), "two elements"),
    (Case("Range", [np.array(0), np.array(3), np.array(0)], constant=[0, 1, 2]), "delta"),
    (Case("EyeLike", [floats(3)]), "rank 2"),
    (Case("Trilu", [floats(3)]), "rank 2"),
    (Case("CumSum", [floats(3), np.array(1)], constant=[1]), "axis 1"),
]


@pytest.mark.parametrize(("case", "message"), BAD, ids=[f"{k}-{case.op}" for k, (case, _) in enumerate(BAD)])
def test_bad_inputs_are_named(case, message):
    ctx, _, _ = context(case, known=True)
    with pytest.raises(InvalidModelError, match=message) as caught:
        record_of(case).infer(ctx)
    assert "'node'" in str(caught.value)


def test_shape_arithmetic_stays_symbolic():
    batch, seq = symbol("batch"), symbol("seq")
    x = TensorInfo(dtypes.float32, (batch, seq, 768))
    shape = run("Shape", [x])
    assert shape.values == (batch, seq, 768)
    first = run("Gather", [shape, constant(np.array(0))])
    assert first.values == (batch,)
    assert first.shape == ()
    lifted = run("Unsqueeze", [first, constant(i64(0))])
    tail = run("Slice", [shape, constant(i64(1)), constant(i64(2))])
    target = run("Concat", [lifted, tail, constant(i64(12, -1))], {"axis": 0})
    assert target.values == (batch, seq, 12, -1)
    split = run("Reshape", [x, target])
    assert split.shape == (batch, seq, 12, 64)
    heads = run("Transpose", [split], {"perm": (0, 2, 1, 3)})
    assert heads.shape == (batch, 12, seq, 64)
    positions = run("Range", [constant(np.array(0)), run("Squeeze", [tail]), constant(np.array(1))])
    assert positions.shape == (seq,)
    assert run("Reshape", [heads, constant(i64(-1, 64))]).shape == (batch * seq * 12, 64)


def constant(array) -> TensorInfo:
    return TensorInfo.of_array(np.asarray(array), dtypes.from_numpy(np.asarray(array).dtype))


def run(op, inputs, attributes=None) -> TensorInfo:
    def refuse(*args):
        raise AssertionError(f"nothing is left to check or unknown here: {args}")

    record = decode(op, "", attributes or {}, "node")
    assert record is not None
    return record.infer(InferContext("node", op, tuple(inputs), 1, refuse, refuse))[0]


def test_unknown_sizes_become_fresh_symbols():
    unknown = TensorInfo(dtypes.int64, (3,))
    data = TensorInfo(dtypes.float32, (4, 5, 6))
    for op, inputs, attributes in [
        ("Reshape", [data, unknown], {}),
        ("Expand", [data, unknown], {}),
        ("Tile", [data, unknown], {}),
        ("ConstantOfShape", [unknown], {}),
    ]:
        ctx = InferContext("node", op, tuple(inputs), 1, lambda hint: symbol(f"{hint}#"))
        record = decode(op, "", attributes, "node")
        assert record is not None
        (info,) = record.infer(ctx)
        assert len(info.shape) == 3
        assert all(free_symbols(size) for size in info.shape)
