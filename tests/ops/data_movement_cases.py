"""Example nodes of the shape and data-movement operators."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import onnx

from ops.cases import Case, floats, i64, integers

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
        *(
            Case("CumProd", [x, np.array(axis)], {"exclusive": e, "reverse": r}, constant=[1], opset=26)
            for axis, e, r in itertools.product((0, 2), (0, 1), (0, 1))
        ),
        Case("Dropout", [x]),
        *dtype_cases(),
        *resize_cases(),
        *tensor_scatter_cases(),
    ]


def tensor(array):
    return onnx.numpy_helper.from_array(array)


def dtype_cases() -> list[Case]:
    """Kernels that load and store elements, for every kind of element."""
    result = []
    for dtype in (np.float16, np.float64, np.int8, np.uint16, np.int32, np.uint64, ml_dtypes.bfloat16, np.bool_):
        name = np.dtype(dtype).name
        x, y = (integers(4, 33, low=0, high=5, dtype=np.int64).astype(dtype) for _ in range(2))
        rows = i64([0], [3], [0])
        result += [
            Case("Concat", [x, y], {"axis": 1}, label=name),
            Case("Gather", [x, i64(2, 0)], {"axis": 0}, label=name),
            Case("Pad", [x, i64(0, 1, 1, 0)], constant=[1], label=name),
            Case("ScatterND", [x, rows, y[:3]], constant=[1], label=name),
            Case("ScatterElements", [x, integers(4, 33, low=0, high=4), y], {"axis": 0}, label=name),
            Case("Trilu", [x], label=name),
            Case("Tile", [x, i64(2, 2)], constant=[1], label=name),
        ]
        if dtype is not np.bool_:
            attributes = {"axis": 0, "reduction": "add"}
            result += [
                Case("ScatterElements", [x, integers(4, 33, low=0, high=4), y], attributes, label=f"add {name}"),
                Case("Resize", [x[None, None], None, None, i64(1, 1, 8, 10)], {"mode": "linear"}, [3], label=name),
                Case("Resize", [x[None, None], None, None, i64(1, 1, 9, 10)], {}, [3], label=f"nearest {name}"),
            ]
        if dtype in (np.float16, np.float64, np.int32):
            one_hot = [integers(5, low=0, high=4), np.array(4), x[0, :2]]
            result.append(Case("OneHot", one_hot, constant=[1], label=name))
            result.append(Case("CumSum", [x, np.array(1)], constant=[1], label=name))
    return result


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
        Case("TensorScatter", [cache, update, i64(2**40 + 1, 6)], {"mode": "circular"}, opset=24),
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
