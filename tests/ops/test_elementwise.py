"""Elementwise operators, compiled and run, against onnx's reference implementation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto

import sardonyx
from ops.cases import Case, combined
from sardonyx import dtypes
from sardonyx.ops.base import Elementwise
from sardonyx.ops.registry import records

Array = npt.NDArray[Any]
FLOATS = ["float32", "float64", "float16"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
INTEGERS = ["int32", "int8", "int64", "uint8", "uint64"]  # test_integers.py of lang has them all
UNARY_SHAPES: list[tuple[int, ...]] = [(1,), (0,), (37,), (2, 0, 3), (7, 5)]
BINARY_SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 17), (3, 17)),
    ((), (4, 3)),
    ((2, 3, 4), (3, 1)),
    ((0, 3), (1, 3)),
]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 1e30, -1e30]


def numbers(shape: tuple[int, ...], dtype: str, seed: int, low: float = -4, high: float = 4) -> Array:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, 9, shape).astype(dtype)
    if np.dtype(dtype).kind == "i":
        return rng.integers(-9, 9, shape).astype(dtype)
    return rng.uniform(low, high, shape).astype(dtype)


def unary(
    op: str, kinds: list[str] = FLOATS, low: float = -4, high: float = 4, opset: int = 23, **attributes: Any
) -> Iterator[Case]:
    for seed, shape in enumerate(UNARY_SHAPES):
        for dtype in kinds if shape == (37,) else kinds[:1]:
            yield Case(op, [numbers(shape, dtype, seed, low, high)], attributes, opset=opset)


def special(op: str, **attributes: Any) -> Iterator[Case]:
    for dtype in FLOATS[:2]:
        yield Case(op, [np.asarray(SPECIAL, dtype)], attributes)


def binary(op: str, kinds: list[str] = FLOATS + INTEGERS, opset: int = 23, **attributes: Any) -> Iterator[Case]:
    for seed, (left, right) in enumerate(BINARY_SHAPES):
        for dtype in kinds if seed == 0 else kinds[:1]:
            y = numbers(right, dtype, seed + 50)
            if op in ("Div", "Mod") and y.dtype.kind in "iu":
                y = np.where(y == 0, y.dtype.type(3), y)
            yield Case(op, [numbers(left, dtype, seed), y], attributes, opset=opset)


def variadic(op: str, kinds: list[str]) -> Iterator[Case]:
    for dtype in kinds:
        shapes: list[tuple[int, ...]] = [(3, 5), (3, 1), (1, 5), ()]
        for count in (1, 2, 4):
            yield Case(op, [numbers(s, dtype, k) for k, s in enumerate(shapes[:count])])


def clips() -> Iterator[Case]:
    for dtype in ["float32", "float16", "int8", "uint64"]:
        x, low, high = numbers((3, 7), dtype, 1), np.asarray(2, dtype), np.asarray(5, dtype)
        for limits in ([low, high], [low], [None, high], [], [high, low]):
            yield Case("Clip", [x, *limits])
    yield Case("Clip", [np.asarray(SPECIAL, np.float32), np.float32(-1), np.float32(1)])


def wheres() -> Iterator[Case]:
    for dtype in ["float32", "float16", "int64", "uint8", "bool", "float64"]:
        yield Case("Where", [numbers((3, 1), "bool", 0), numbers((5,), dtype, 1), numbers((3, 5), dtype, 2)])
        yield Case("Where", [numbers((2, 3), "bool", 0), numbers((), dtype, 1), numbers((2, 3), dtype, 2)])


def casts() -> Iterator[Case]:
    every = ["float32", "int64", "float16", "uint8", "bool", "float64", "int32"]  # lang's tests have all pairs
    for source in every:
        x = numbers((5, 7), "uint8" if np.dtype(source).kind == "f" else source, 3).astype(source)
        for target in every:
            yield Case("Cast", [x], {"to": dtypes.from_name(target).onnx})
    for target in every:
        yield Case("CastLike", [numbers((5, 7), "float32", 3, 0), numbers((2,), target, 4)])


def powers() -> Iterator[Case]:
    base = np.abs(numbers((4, 9), "float32", 5)) + np.float32(0.1)
    for dtype in ["float32", "float64", "int32", "int64", "float16"]:
        yield Case("Pow", [base, numbers((9,), dtype, 6)])
    for exponent in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 2.5):
        yield Case("Pow", [base, np.float32(exponent)], constant=[1])
    for dtype in ("int32", "int64"):
        yield Case("Pow", [numbers((4, 9), dtype, 7), np.abs(numbers((9,), dtype, 8))])
    yield Case("Pow", [np.abs(numbers((4, 9), "int32", 7)), np.abs(numbers((9,), "float32", 8))])


def quantised() -> Iterator[Case]:
    x = numbers((2, 3, 5), "float32", 9, -40, 40)
    per_axis = np.asarray([0.5, 0.25, 1.5], np.float32)
    for dtype in ("uint8", "int8", "uint16", "int16"):
        zero = np.asarray([1, 2, 3], dtype)
        yield Case("QuantizeLinear", [x, np.float32(0.3), np.asarray(3, dtype)])
        yield Case("QuantizeLinear", [x, per_axis, zero])
        stored = numbers((2, 3, 5), dtype, 10)
        yield Case("DequantizeLinear", [stored, np.float32(0.3), np.asarray(3, dtype)])
        yield Case("DequantizeLinear", [stored, per_axis, zero], {"axis": -2})
        yield Case("DequantizeLinear", [stored, np.float32(0.3)])
    yield Case("QuantizeLinear", [x, np.float32(0.3)])
    yield Case("QuantizeLinear", [x, np.asarray([0.5, 2], np.float32)], {"axis": 0, "output_dtype": TensorProto.INT8})
    yield Case("DequantizeLinear", [numbers((4,), "int32", 11), np.float32(0.1)])


SINGLE = {"Erf", "HardSwish", "LeakyRelu", "HardSigmoid", "Gelu", "Swish", "Selu", "Elu"}
"""Of these the reference gives no more than float32, or takes attributes as float32."""

GROUPS: dict[str, list[Case]] = {
    **{op: [*unary(op, FLOATS + SIGNED), *special(op)] for op in ("Neg", "Relu")},
    **{op: [*unary(op, FLOATS + INTEGERS), *special(op)] for op in ("Abs", "Sign")},
    **{op: [*unary(op), *special(op)] for op in ("Floor", "Ceil", "Round", "Exp", "Erf", "Tanh", "Sigmoid", "IsNaN")},
    **{op: [*unary(op)] for op in ("Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "HardSwish", "Softsign")},
    **{op: [*unary(op, low=-1, high=1)] for op in ("Asin", "Acos", "Atanh")},
    **{op: [*unary(op, low=0.1)] for op in ("Sqrt", "Log", "Reciprocal")},
    "Acosh": [*unary("Acosh", low=1)],
    "LeakyRelu": [*unary("LeakyRelu"), *unary("LeakyRelu", alpha=0.3)],
    "ThresholdedRelu": [*unary("ThresholdedRelu"), *unary("ThresholdedRelu", alpha=2.0)],
    "HardSigmoid": [*unary("HardSigmoid"), *unary("HardSigmoid", alpha=0.5, beta=0.1)],
    "Elu": [*unary("Elu"), *unary("Elu", alpha=2.0)],
    "Celu": [*unary("Celu", ["float32"]), *unary("Celu", ["float32"], alpha=0.5)],
    "Selu": [*unary("Selu"), *unary("Selu", alpha=1.0, gamma=2.0)],
    "Gelu": [*unary("Gelu"), *unary("Gelu", approximate="tanh")],
    "Mish": [*unary("Mish")],
    "Softplus": [*unary("Softplus")],
    "Swish": [*unary("Swish", opset=24), *unary("Swish", opset=24, alpha=1.7)],
    "Shrink": [*unary("Shrink", FLOATS + SIGNED), *unary("Shrink", lambd=1.5, bias=1.0)],
    "IsInf": [*special("IsInf"), *special("IsInf", detect_negative=0), *special("IsInf", detect_positive=0)],
    "Not": [*unary("Not", ["bool"])],
    "BitwiseNot": [*unary("BitwiseNot", INTEGERS)],
    **{op: [*binary(op)] for op in ("Add", "Sub", "Mul", "Div", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")},
    "Equal": [*binary("Equal", FLOATS + INTEGERS + ["bool"])],
    "Mod": [*binary("Mod", INTEGERS), *binary("Mod", fmod=1)],
    **{op: [*binary(op, ["bool"])] for op in ("And", "Or", "Xor")},
    **{op: [*binary(op, INTEGERS)] for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "BitShift": [
        case for way in ("LEFT", "RIGHT") for case in binary("BitShift", UNSIGNED, direction=way) if case.inputs
    ],
    "PRelu": [
        Case("PRelu", [numbers((2, 3, 4), dtype, 1), numbers(slope, dtype, 2)])
        for dtype in ["float32", "float16", "int32"]
        for slope in [(3, 1), (1,), (2, 3, 4), (4,)]
    ],
    **{op: [*variadic(op, FLOATS)] for op in ("Sum", "Mean")},
    **{op: [*variadic(op, ["float32", "float16", "int32", "uint64"])] for op in ("Min", "Max")},
    "Clip": [*clips()],
    "Where": [*wheres()],
    "Cast": [case for case in casts() if case.op == "Cast"],
    "CastLike": [case for case in casts() if case.op == "CastLike"],
    "Pow": [*powers()],
    "QuantizeLinear": [case for case in quantised() if case.op == "QuantizeLinear"],
    "DequantizeLinear": [case for case in quantised() if case.op == "DequantizeLinear"],
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE_DIR", str(tmp_path))


FAMILIES = [list(GROUPS)[k::8] for k in range(8)]  # one model compiles faster than one for each operator


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of overflow and the like in the reference
@pytest.mark.parametrize("family", FAMILIES, ids="-".join)
def test_results_are_the_reference_s(family: list[str]) -> None:
    cases = [case for op in family for case in GROUPS[op]]
    for opset in sorted({case.opset for case in cases}):
        of_opset = [case for case in cases if case.opset == opset]
        model, feeds = combined(of_opset)
        session = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True))
        for case, result in zip(of_opset, session.run(None, feeds), strict=True):
            check(case, result, case.expected()[0])


def check(case: Case, result: Array, real: Array) -> None:
    label = f"{case} {case.attributes} {[None if x is None else (x.dtype, x.shape) for x in case.inputs]}"
    assert result.dtype == real.dtype, label
    assert result.shape == real.shape, label
    if real.dtype.kind != "f":
        np.testing.assert_array_equal(result, real, err_msg=label)
        return
    tolerance = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-13}[real.dtype.name]
    if case.op in SINGLE:
        tolerance = max(tolerance, 1e-6)
    np.testing.assert_allclose(result, real, rtol=tolerance, atol=tolerance, err_msg=label)


def test_every_record_is_tested() -> None:
    standard = {name for (domain, name), cls in records().items() if domain == "" and issubclass(cls, Elementwise)}
    assert standard - set(GROUPS) <= {"Dropout", "BatchNormalization"}  # which have tests of their own


def test_bitcast() -> None:
    x = numbers((3, 5), "float32", 0)
    case = Case("BitCast", [x], {"to": TensorProto.INT32}, opset=26)
    session = sardonyx.InferenceSession(case.model(), sardonyx.SessionOptions(strict=True))
    np.testing.assert_array_equal(session.run(None, case.feeds())[0], x.view(np.int32))


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", SIGNED + UNSIGNED)
def test_shifts_beyond_the_width(dtype: str, direction: str) -> None:
    bits, limits = np.dtype(dtype).itemsize * 8, np.iinfo(dtype)
    counts = [0, 1, bits - 1, bits, bits + 1, limits.max] + ([-1, limits.min] if limits.min else [])
    x, y = (
        a.ravel() for a in np.meshgrid(np.asarray([limits.min, 1, 77, limits.max], dtype), np.asarray(counts, dtype))
    )
    case = Case("BitShift", [x, y], {"direction": direction}, opset=28)
    result = sardonyx.InferenceSession(case.model()).run(None, case.feeds())[0]
    expected = [shifted(int(a), int(b), bits, direction) for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(result, np.asarray(expected, np.uint64).astype(dtype))


def shifted(a: int, b: int, bits: int, direction: str) -> int:
    inside = 0 <= b < bits
    if direction == "LEFT":
        return (a << b) % 2**bits if inside else 0
    return (a >> b if inside else -(a < 0)) % 2**64


@pytest.mark.parametrize("dtype", SIGNED + UNSIGNED)
def test_division_cannot_trap(dtype: str) -> None:
    limits = np.iinfo(dtype)
    y = np.asarray([0, -1 if limits.min else 0, 1, limits.min, limits.max, 7], dtype)
    x = np.full(y.shape, limits.min, dtype)
    cases = [Case("Div", [x, y]), Case("Mod", [x, y]), Case("Mod", [x, y], {"fmod": 1})]
    model, feeds = combined(cases)
    quotient, modulus, remainder = sardonyx.InferenceSession(model).run(None, feeds)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(modulus, np.mod(x, y))
        np.testing.assert_array_equal(remainder, np.fmod(x, y))
        np.testing.assert_array_equal(quotient, np.where(y == 0, 0, (x - np.fmod(x, y)) // np.where(y == 0, 1, y)))


def test_half_precision_is_rounded_by_a_cast_in_between() -> None:
    x = np.linspace(0, 7, 999).astype(np.float32)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
            onnx.helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT),
        ],
        "casts",
        [info("x", TensorProto.FLOAT, ["n"])],
        [info("y", TensorProto.FLOAT, ["n"])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    result = sardonyx.InferenceSession(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(result, x.astype(np.float16).astype(np.float32))
