"""Every upgrade step, held against the old operator's meaning written in numpy, ONNX Runtime or the reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs, helper
from onnx.reference import ReferenceEvaluator

from graph.models import Array, assert_same, read, run_upgraded, single, value
from sardonyx.graph.upgrade import COMPATIBLE, is_current, steps

RNG = np.random.default_rng(7)
F = lambda *shape: RNG.standard_normal(shape).astype(np.float32)  # noqa: E731
INTS = lambda *numbers: np.array(numbers, np.int64)  # noqa: E731


def history() -> dict[tuple[str, str], list[defs.OpSchema]]:
    found: dict[tuple[str, str], list[defs.OpSchema]] = defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        found[schema.domain, schema.name].append(schema)
    return {key: sorted(schemas, key=lambda s: s.since_version) for key, schemas in found.items()}


def test_every_version_is_compatible_or_has_a_step() -> None:
    undecided = [
        f"{domain}:{name} {schema.since_version}"
        for (domain, name), schemas in history().items()
        for schema in schemas[1:]
        if not schema.deprecated
        and schema.since_version not in COMPATIBLE.get((domain, name), ())
        and schema.since_version not in steps(domain, name)
    ]
    assert not undecided, "decide whether these need a step: " + ", ".join(undecided)


def test_the_table_names_only_versions_that_exist() -> None:
    known = {key: {schema.since_version for schema in schemas} for key, schemas in history().items()}
    for key, versions in COMPATIBLE.items():
        assert versions <= known[key], key
        assert not versions & set(steps(*key)), key


@dataclass
class Case:
    name: str
    proto: onnx.ModelProto
    feeds: dict[str, Array]
    expected: Sequence[Array] | Callable[..., Sequence[Array]] | str
    tolerance: float = 1e-5
    runtime_opset: int | None = None

    def oracle(self) -> Sequence[Array]:
        """The expected outputs: given, or those of ONNX Runtime or the reference on the model as it is."""
        if self.expected == "onnxruntime":
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(
                self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return session.run(None, self.feeds)
        if self.expected == "reference":
            return ReferenceEvaluator(self.proto).run(None, self.feeds)
        assert not isinstance(self.expected, str)
        return self.expected(*self.feeds.values()) if callable(self.expected) else self.expected


CASES: list[Case] = []


def case(
    name: str,
    op_type: str,
    feeds: dict[str, Array],
    expected: Sequence[Array] | Callable[..., Sequence[Array]] | str,
    *,
    opset: int,
    tolerance: float = 1e-5,
    runtime_opset: int | None = None,
    **options: Any,
) -> None:
    proto = single(op_type, feeds, opset=opset, **options)
    CASES.append(Case(name, proto, feeds, expected, tolerance, runtime_opset))


def broadcast_cases() -> None:
    functions = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}
    a = np.abs(F(2, 3, 4, 5)) + 0.5
    b = np.abs(F(3, 4)) + 0.5
    for name, function in functions.items():
        expected = [function(a, b[:, :, None])]
        case(f"{name}_axis", name, {"a": a, "b": b}, expected, opset=6, broadcast=1, axis=1)
        case(f"{name}_v1", name, {"a": a, "b": b}, expected, opset=1, broadcast=1, axis=-3)
    for unknown in (False, True):
        feeds = {"a": a, "b": np.abs(F(2))}
        aligned = [a + feeds["b"][:, None, None, None]]
        case(f"Add_axis0_{unknown}", "Add", feeds, aligned, opset=6, broadcast=1, axis=0, unknown_rank=unknown)
        case(f"Add_neg_{unknown}", "Add", {"a": a, "b": b}, [a + b[:, :, None]], opset=6, broadcast=1, axis=-3,
             unknown_rank=unknown)  # fmt: skip
        scalar = {"a": a, "b": np.array(2, np.float32)}
        case(f"Mul_scalar_{unknown}", "Mul", scalar, [a * 2], opset=6, broadcast=1, axis=1, unknown_rank=unknown)
    case("Add_suffix", "Add", {"a": a, "b": F(4, 5)}, lambda a, b: [a + b], opset=6, broadcast=1)
    case("Add_consumed", "Add", {"a": a, "b": a}, lambda a, b: [a + b], opset=1, consumed_inputs=[0, 1])
    for name, function in {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}.items():
        p, q = RNG.random((2, 3, 4)) > 0.5, RNG.random(3) > 0.5
        case(f"{name}_axis", name, {"a": p, "b": q}, [function(p, q[:, None])], opset=1, broadcast=1, axis=1)
    for name, function in {"Greater": np.greater, "Less": np.less}.items():
        case(f"{name}_axis", name, {"a": a, "b": b}, [function(a, b[:, :, None])], opset=1, broadcast=1, axis=1,
             output_types={"y": 9})  # fmt: skip
    i, j = RNG.integers(0, 3, (2, 3)), RNG.integers(0, 3, 2)
    case("Equal_axis", "Equal", {"a": i, "b": j}, [i == j[:, None]], opset=1, broadcast=1, axis=0,
         output_types={"y": 9})  # fmt: skip
    for unknown in (False, True):
        x, slope = F(2, 3, 4, 5), F(3)
        expected = [np.where(x < 0, x * slope[:, None, None], x)]
        case(f"PRelu_{unknown}", "PRelu", {"x": x, "slope": slope}, expected, opset=6, unknown_rank=unknown)
        one = {"x": x, "slope": slope[:1]}
        case(f"PRelu_one_{unknown}", "PRelu", one, [np.where(x < 0, x * slope[0], x)], opset=6, unknown_rank=unknown)
    case("Gemm_6", "Gemm", {"a": F(2, 3), "b": F(3, 4), "c": F(4)}, lambda a, b, c: [a @ b + c], opset=6, broadcast=1)


def consumed_cases() -> None:
    positive = {"x": np.abs(F(2, 3)) + 0.5}
    unary = {
        "Abs": np.abs, "Ceil": np.ceil, "Exp": np.exp, "Floor": np.floor, "Log": np.log, "Neg": np.negative,
        "Reciprocal": np.reciprocal, "Sqrt": np.sqrt, "Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Relu": lambda x: np.maximum(x, 0), "LeakyRelu": lambda x: x, "Elu": lambda x: x,
        "HardSigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    }  # fmt: skip
    for name, function in unary.items():
        case(f"{name}_1", name, positive, [function(positive["x"]).astype(np.float32)], opset=1, consumed_inputs=[0])
    x = F(3, 4)
    selu = 1.0506999492645264 * np.where(x > 0, x, 1.673200011253357 * (np.exp(x) - 1))
    case("Selu_1", "Selu", {"x": x}, [selu.astype(np.float32)], opset=1, tolerance=1e-6)
    pair = {"a": F(2, 3), "b": F(2, 3)}
    for name, reduce in {"Max": np.maximum, "Min": np.minimum, "Sum": np.add}.items():
        case(f"{name}_1", name, pair, [reduce(*pair.values())], opset=1, consumed_inputs=[0, 0])
    case("Mean_1", "Mean", pair, lambda a, b: [(a + b) / 2], opset=1, consumed_inputs=[0, 0])
    feeds = {"x": F(2, 3, 4), "s": F(3), "b": F(3)}
    case("InstanceNormalization_1", "InstanceNormalization", feeds,
         lambda x, s, b: [(x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5) * s[:, None]
                          + b[:, None]], opset=1, consumed_inputs=[0], tolerance=1e-4)  # fmt: skip


def argument_cases() -> None:
    x = F(2, 1, 3)
    case("Squeeze_11", "Squeeze", {"x": x}, [x[:, 0]], opset=11, axes=[-2])
    case("Squeeze_all", "Squeeze", {"x": x}, [x[:, 0]], opset=1)
    case("Unsqueeze_11", "Unsqueeze", {"x": x}, [x[None, ..., None]], opset=11, axes=[0, -1])
    data = np.abs(F(2, 3, 4)) + 0.1
    reductions: dict[str, Callable[..., Array]] = {
        "ReduceSum": np.sum, "ReduceMean": np.mean, "ReduceMax": np.max, "ReduceMin": np.min, "ReduceProd": np.prod,
        "ReduceL1": lambda a, **k: np.sum(np.abs(a), **k), "ReduceSumSquare": lambda a, **k: np.sum(a * a, **k),
        "ReduceL2": lambda a, **k: np.sqrt(np.sum(a * a, **k)), "ReduceLogSum": lambda a, **k: np.log(np.sum(a, **k)),
        "ReduceLogSumExp": lambda a, **k: np.log(np.sum(np.exp(a), **k)),
    }  # fmt: skip
    for name, function in reductions.items():
        for opset in (1, 11):
            case(f"{name}_{opset}", name, {"x": data}, [function(data, axis=(0, 2), keepdims=True)], opset=opset,
                 axes=[0, 2])  # fmt: skip
        everything = [np.asarray(function(data), np.float32)]
        case(f"{name}_all", name, {"x": data}, everything, opset=11, keepdims=0)
    case("ReduceMean_17", "ReduceMean", {"x": data}, [data.mean(1)], opset=17, axes=[1], keepdims=0)
    for dtype in (np.float32, np.float16, np.float64):
        wide = np.array([-np.inf, -3e4, -1, 0.5, 7, np.inf], dtype)
        case(f"Clip_{np.dtype(dtype)}", "Clip", {"x": wide}, [np.clip(wide, dtype(-2), dtype(3))], opset=6, min=-2.0,
             max=3.0)  # fmt: skip
        case(f"Clip_1_{np.dtype(dtype)}", "Clip", {"x": wide}, [np.maximum(wide, dtype(-2))], opset=1, min=-2.0)
    case("Clip_defaults", "Clip", {"x": np.array([np.inf, -np.inf, 1], np.float32)}, "reference", opset=6)
    case("Clip_unknown_type", "Clip", {"x": data}, [np.clip(data, 0.5, 0.7)], opset=10, min=0.5, max=0.7)
    case("Slice_9", "Slice", {"x": data}, [data[:, 1:3, -2:]], opset=9, starts=[1, -2], ends=[3, 2**31], axes=[1, 2])
    case("Slice_noaxes", "Slice", {"x": data}, [data[1:2, :2]], opset=1, starts=[1, 0], ends=[2, 2])
    case("Pad_1", "Pad", {"x": x}, [np.pad(x, ((1, 0), (0, 2), (1, 1)), constant_values=1.5)], opset=1,
         paddings=[1, 0, 1, 0, 2, 1], value=1.5)  # fmt: skip
    case("Pad_2", "Pad", {"x": x}, [np.pad(x, ((0, 0), (0, 0), (1, 1)), "reflect")], opset=10, mode="reflect",
         pads=[0, 0, 1, 0, 0, 1])  # fmt: skip
    wide = F(2, 6)
    case("Split_2", "Split", {"x": wide}, np.split(wide, [1, 3], 1), opset=11, outputs=("a", "b", "c"), axis=1,
         split=[1, 2, 3])  # fmt: skip
    case("Split_equal", "Split", {"x": wide}, np.split(wide, 3, 1), opset=13, outputs=("a", "b", "c"), axis=1)
    case("Split_1", "Split", {"x": wide}, np.split(wide, [4], 1), opset=1, outputs=("a", "b"), axis=1,
         constants={"split": np.array([4, 2], np.float32)})  # fmt: skip
    case("TopK_1", "TopK", {"x": wide}, "reference", opset=1, outputs=("v", "i"), output_types={"i": 7}, k=2, axis=1)
    case("Dropout_7", "Dropout", {"x": wide}, [wide], opset=7, ratio=0.3)
    case("Dropout_test", "Dropout", {"x": wide}, [wide], opset=6, is_test=1)
    case("Dropout_7_mask", "Dropout", {"x": wide}, [wide, np.ones((2, 6), np.float32)], opset=7,
         outputs=("y", "m"))  # fmt: skip
    case("Dropout_10_mask", "Dropout", {"x": wide}, [wide, np.ones((2, 6), bool)], opset=10, outputs=("y", "m"),
         output_types={"m": 9})  # fmt: skip
    case("Reshape_1", "Reshape", {"x": wide}, [wide.reshape(3, 4)], opset=1, shape=[3, -1])
    for unknown in (False, True):
        tile = {"tiles": np.array(3, np.float32), "axis": np.array(1, np.float32)}
        case(f"Tile_1_{unknown}", "Tile", {"x": wide}, [np.tile(wide, (1, 3))], opset=1, constants=tile,
             unknown_rank=unknown)  # fmt: skip
    case("DFT_17", "DFT", {"x": F(2, 8, 1)}, "reference", opset=17)
    case("DFT_17_axis", "DFT", {"x": F(2, 5, 8, 2)}, "reference", opset=17, axis=2, inverse=1, tolerance=1e-4)
    case("Cast_1", "Cast", {"x": wide}, [wide.astype(np.int32)], opset=1, to="INT32", output_types={"y": 6})
    case("Concat_1", "Concat", {"a": wide, "b": wide}, [np.concatenate([wide, wide], 1)], opset=1)
    scatter = {"x": np.zeros((3, 3), np.float32), "i": INTS([1, 0, 2], [0, 2, 1]), "u": F(2, 3)}
    for opset in (9, 13):
        case(f"Scatter_{opset}", "Scatter", scatter, _scattered, opset=opset)
    depth, on_off = np.array(4, np.int64), np.array([2, 5], np.float32)
    for shape in ((4,), ()):
        indices = np.resize(INTS(-1, 0, 3, 9), shape)
        case(f"OneHot_9_{len(shape)}", "OneHot", {"i": indices, "d": depth, "v": on_off},
             [np.where(indices[..., None] == np.arange(4), on_off[1], on_off[0])], opset=9,
             output_types={"y": 1})  # fmt: skip


def _scattered(x: Array, i: Array, u: Array) -> list[Array]:
    out = x.copy()
    np.put_along_axis(out, i, u, 0)
    return [out]


def number_cases() -> None:
    def coerced(function: Callable[[Array], Array], x: Array, axis: int) -> Array:
        return function(x.reshape(int(np.prod(x.shape[:axis])), -1)).reshape(x.shape)

    def softmax(m: Array) -> Array:
        e = np.exp(m - m.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def hardmax(m: Array) -> Array:
        return (np.arange(m.shape[1]) == m.argmax(1)[:, None]).astype(m.dtype)

    x = F(2, 3, 4)
    functions = {"Softmax": softmax, "LogSoftmax": lambda m: np.log(softmax(m)), "Hardmax": hardmax}
    for name, function in functions.items():
        for axis in (0, 1, 2):
            for unknown in (False, True):
                case(f"{name}_{axis}_{unknown}", name, {"x": x}, [coerced(function, x, axis)], opset=11, axis=axis,
                     unknown_rank=unknown)  # fmt: skip
        case(f"{name}_default", name, {"x": x}, [coerced(function, x, 1)], opset=1)
        case(f"{name}_last", name, {"x": x}, [coerced(function, x, 2)], opset=12, axis=-1, unknown_rank=True)
    image = np.abs(F(1, 2, 5, 5))
    case("GlobalLpPool_1", "GlobalLpPool", {"x": image}, [np.sqrt((image**2).sum((2, 3), keepdims=True))], opset=1,
         p=2.0, runtime_opset=21)  # fmt: skip
    windows = np.lib.stride_tricks.sliding_window_view(image, (2, 2), (2, 3))
    case("LpPool_1", "LpPool", {"x": image}, [np.sqrt((windows**2).sum((4, 5)))], opset=1, p=2.0, kernel_shape=[2, 2])
    grid = (RNG.random((1, 3, 3, 2)) * 2 - 1).astype(np.float32)
    for mode in ("bilinear", "bicubic", "nearest"):
        case(f"GridSample_{mode}", "GridSample", {"x": image, "grid": grid}, "onnxruntime", opset=16, mode=mode,
             tolerance=1e-4)  # fmt: skip
    rois = np.array([[0, 0, 3, 3], [1, 1, 4, 4]], np.float32)
    case("RoiAlign_10", "RoiAlign", {"x": image, "rois": rois, "b": INTS(0, 0)}, "onnxruntime", opset=10,
         output_height=2, output_width=2, sampling_ratio=2)  # fmt: skip
    feeds = {"x": F(2, 6, 3), "s": F(2), "b": F(2)}

    def group_norm(x: Array, s: Array, b: Array) -> list[Array]:
        g = x.reshape(2, 2, -1)
        n = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + 1e-5)
        return [(n * s[:, None] + b[:, None]).reshape(x.shape)]

    case("GroupNormalization_18", "GroupNormalization", feeds, group_norm, opset=18, num_groups=2, tolerance=1e-4)


def window_cases() -> None:
    image = F(1, 2, 4, 6)
    case("Upsample_1", "Upsample", {"x": image}, [image.repeat(2, 2).repeat(3, 3)], opset=1, height_scale=2.0,
         width_scale=3.0)  # fmt: skip
    case(
        "Upsample_7", "Upsample", {"x": image}, [image.repeat(2, 2).repeat(2, 3)], opset=7, scales=[1.0, 1.0, 2.0, 2.0]
    )
    for scales in ([1, 1, 2, 1.5], [1, 1, 0.5, 0.6], [1, 1, 2, 0.5]):
        array = np.array(scales, np.float32)
        for mode in ("nearest", "linear"):
            name = f"{mode}_{scales[2]}_{scales[3]}"
            case(
                f"Resize_10_{name}", "Resize", {"x": image}, "onnxruntime", opset=10, constants={"s": array}, mode=mode
            )
            if min(scales) >= 1:
                case(f"Upsample_9_{name}", "Upsample", {"x": image}, "onnxruntime", opset=9, constants={"s": array},
                     mode=mode)  # fmt: skip
        case(f"Resize_10_fed_{scales[3]}", "Resize", {"x": image, "s": array}, "onnxruntime", opset=10)
    nn = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    sizes = {"roi": np.array([], np.float32), "scales": np.array([1, 1, 0.5, 2], np.float32)}
    case("Resize_11_nn", "Resize", {"x": image}, "onnxruntime", opset=11, constants=sizes, mode="nearest", **nn)
    sizes = {"r": np.array([], np.float32), "s": np.array([], np.float32), "sizes": INTS(1, 2, 8, 3)}
    case("Resize_11_sizes", "Resize", {"x": image}, "onnxruntime", opset=11, constants=sizes, mode="linear")


def layer_cases() -> None:
    x, scale, bias, mean, variance = F(2, 3, 4), F(3), F(3), F(3), np.abs(F(3)) + 0.5
    feeds = {"x": x, "s": scale, "b": bias, "m": mean, "v": variance}

    def normal(x: Array, s: Array, b: Array, m: Array, v: Array) -> Array:
        return (x - m[:, None]) / np.sqrt(v[:, None] + 1e-5) * s[:, None] + b[:, None]

    for opset, options in ((1, {"is_test": 1, "consumed_inputs": [0] * 5}), (6, {"is_test": 1}), (7, {}), (9, {})):
        case(
            f"BatchNormalization_{opset}", "BatchNormalization", feeds, lambda *a: [normal(*a)], opset=opset, **options
        )
    batch_mean, batch_variance = x.mean((0, 2)), x.var((0, 2))
    trained = normal(x, scale, bias, batch_mean, batch_variance)
    case("BatchNormalization_training", "BatchNormalization", feeds, [trained], opset=6)
    running = [trained, mean * 0.9 + batch_mean * 0.1, variance * 0.9 + batch_variance * 0.1]
    case("BatchNormalization_running", "BatchNormalization", feeds, running, opset=9, outputs=("y", "rm", "rv"),
         tolerance=1e-4)  # fmt: skip
    each = {"x": x, "s": F(3, 4), "b": F(3, 4), "m": F(3, 4), "v": np.abs(F(3, 4)) + 0.5}
    case("BatchNormalization_spatial0", "BatchNormalization", each,
         lambda x, s, b, m, v: [(x - m) / np.sqrt(v + 1e-5) * s + b], opset=7, spatial=0)  # fmt: skip
    feeds = {"x": F(4, 2, 3), "w": F(1, 20, 3), "r": F(1, 20, 5)}
    case("LSTM_1", "LSTM", feeds, "onnxruntime", opset=1, hidden_size=5, output_sequence=1, outputs=("y", "h", "c"),
         tolerance=1e-4)  # fmt: skip
    CASES[-1].proto = single("LSTM", feeds, opset=6, hidden_size=5, output_sequence=1, outputs=("y", "h", "c"))
    CASES[-1].expected = ReferenceEvaluator(single("LSTM", feeds, opset=7, hidden_size=5, outputs=("y", "h", "c"))).run(
        None, feeds
    )


def scan_case() -> None:
    """Running sums over the sequence of each sample, backwards."""
    state, sequence = F(2, 3), F(2, 4, 3)
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])],
        "body",
        [value("s", dtype=1, shape=[3]), value("e", dtype=1, shape=[3])],
        [value("t", dtype=1, shape=[3]), value("o", dtype=1, shape=[3])],
    )
    feeds = {"init": state, "seq": sequence}
    for directions in (None, [1]):
        extra = {} if directions is None else {"directions": directions}
        proto = single("Scan", feeds, opset=8, inputs=("", "init", "seq"), outputs=("final", "sums"), body=body,
                       num_scan_inputs=1, **extra)  # fmt: skip
        steps_in_order = sequence if directions is None else sequence[:, ::-1]
        sums = state[:, None] + np.cumsum(steps_in_order, 1)
        CASES.append(Case(f"Scan_8_{directions}", proto, feeds, [sums[:, -1], sums], runtime_opset=21))


def label_encoder_cases() -> None:
    classes = ["cat", "dog", "owl"]
    options = {"domain": "ai.onnx.ml", "opset": 1, "classes_strings": classes}
    words = np.array(["dog", "owl", "fox"], object)
    case("LabelEncoder_strings", "LabelEncoder", {"x": words}, [INTS(1, 2, -1)], output_types={"y": 7}, **options)
    case("LabelEncoder_ints", "LabelEncoder", {"x": INTS(2, 0, 5)}, [np.array(["owl", "cat", "?"], object)],
         output_types={"y": 8}, default_string="?", **options)  # fmt: skip


for collect in (
    *(broadcast_cases, consumed_cases, argument_cases, number_cases, window_cases, layer_cases, scan_case),
    label_encoder_cases,
):
    collect()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_step(case: Case) -> None:
    read_back = read(case.proto)
    assert all(is_current(node) for node in read_back.graph.all_nodes())
    got = run_upgraded(case.proto, case.feeds, case.runtime_opset)
    expected = [np.asarray(e) for e in case.oracle()]
    if expected[0].dtype.kind in "SUO":
        assert [list(map(str, g)) for g in got] == [list(map(str, e)) for e in expected]
    else:
        assert_same(got, expected, case.tolerance)


def test_every_step_has_a_case() -> None:
    covered = {(node.domain, node.op_type) for case in CASES for node in case.proto.graph.node}
    with_steps = {key for key in history() if steps(*key)}
    with_steps = {key for key in with_steps if key[0] != "ai.onnx.ml"}  # whole models of these are in ops/ml
    elsewhere = {("", "RNN"), ("", "GRU"), ("", "TfIdfVectorizer")}  # the step of LSTM; models in ops/text
    assert with_steps - covered <= elsewhere
