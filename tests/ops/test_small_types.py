"""Casts, quantisation and movement of the types of eight bits and less, bit by bit against onnx's reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from ops.cases import Case, combined
from sardonyx import dtypes

Array = npt.NDArray[Any]
NEWEST = 28
FLOAT8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
FLOATS = [*FLOAT8, "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
INTEGERS = ["int4", "uint4", "int2", "uint2"]
SMALL = [*FLOATS, "float8_e8m0fnu", *INTEGERS]
LARGE = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "uint16", "bool"]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def every(name: str) -> Array:
    """All finite numbers of a type."""
    dtype = dtypes.from_name(name)
    codes = np.arange(1 << dtype.bits, dtype=np.uint8).view(dtype.numpy)
    return codes[np.isfinite(codes.astype(np.float32))]


def numbers(name: str, shape: Sequence[int] = (6, 21)) -> Array:
    """Numbers that all types hold but for rounding and the two-bit ones' range."""
    drawn = np.random.default_rng(2).uniform(0, 3, shape)
    return (
        drawn.round().astype(dtypes.from_name(name).numpy)
        if name == "bool"
        else drawn.astype(dtypes.from_name(name).numpy)
    )


def run(cases: Sequence[Case]) -> list[Array]:
    model, feeds = combined(cases)
    return list(sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True)).run(None, feeds))


def check(cases: Sequence[Case]) -> None:
    for case, got in zip(cases, run(cases), strict=True):
        (expected,) = case.expected()
        label = f"{case} {case.attributes} {[None if x is None else (x.dtype, x.shape) for x in case.inputs]}"
        assert got.dtype == expected.dtype, label
        np.testing.assert_array_equal(got.view(np.uint8), expected.view(np.uint8), err_msg=label)


@pytest.mark.parametrize("source", [*SMALL, *LARGE])
def test_casts_to_every_small_type(source: str) -> None:
    x = numbers(source) if source in LARGE else every(source)
    if source in FLOATS:
        x = x[x.astype(np.float32) >= 0]  # of negative numbers unsigned types and powers of two say nothing
        x = x[(x.astype(np.float32) < 4) & (x.astype(np.float32) >= 2.0**-14)]
    if source == "float8_e8m0fnu":
        x = x[(x.astype(np.float32) < 4) & (x.astype(np.float32) > 2.0**-127)]  # onnx's helper rounds that one up
    cases = [Case("Cast", [x], {"to": dtypes.from_name(name).onnx}, opset=NEWEST) for name in SMALL]
    wide = x.astype(np.float32) if source in SMALL else x  # numpy knows no casts between the small types
    expected = [Case("Cast", [wide], case.attributes, opset=NEWEST).expected()[0] for case in cases]
    for case, got, wanted in zip(cases, run(cases), expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.view(np.uint8), wanted.view(np.uint8), err_msg=str(case.attributes))


@pytest.mark.parametrize("source", SMALL)
def test_casts_from_every_small_type(source: str) -> None:
    x = every(source)
    if source in [*FLOATS, "float8_e8m0fnu"]:
        x = x[np.abs(x.astype(np.float32)) < 120]
    signed = [x for name in LARGE if not name.startswith("uint")]
    check(
        [
            Case("Cast", [given], {"to": dtypes.from_name(name).onnx}, opset=NEWEST)
            for given, name in zip(signed, [n for n in LARGE if not n.startswith("uint")], strict=True)
        ]
    )


@pytest.mark.parametrize("saturate", [0, 1])
def test_saturation_and_round_modes(saturate: int) -> None:
    x = np.asarray([0, 1, -3.3, 1e9, -1e9, np.inf, -np.inf, np.nan, 460, 448, 240, 250, 6e4], np.float32)
    cases = []
    for name in FLOAT8:
        to = dtypes.from_name(name)
        for wide in (np.float32, np.float16, ml_dtypes.bfloat16, np.float64):
            cases.append(Case("Cast", [x.astype(wide)], {"to": to.onnx, "saturate": saturate}, opset=NEWEST))
            like = np.zeros(1, to.numpy)
            cases.append(Case("CastLike", [x.astype(wide), like], {"saturate": saturate}, opset=NEWEST))
    powers = np.asarray([1, 1.1, 1.5, 1.75, 3e38, 7e-12], np.float32)
    for mode in ("up", "down", "nearest"):
        attributes = {"to": TensorProto.FLOAT8E8M0, "saturate": saturate, "round_mode": mode}
        cases.append(Case("Cast", [powers], attributes, opset=NEWEST))
    check(cases)


def test_round_mode_is_checked() -> None:
    case = Case("Cast", [numbers("float32")], {"to": TensorProto.FLOAT8E8M0, "round_mode": "away"}, opset=NEWEST)
    with pytest.raises(sardonyx.InvalidModelError, match="round_mode"):
        sardonyx.InferenceSession(case.model())


def scales(shape: Sequence[int], name: str) -> Array:
    drawn = np.random.default_rng(3).uniform(0.1, 2, shape)
    if name == "float8_e8m0fnu":
        drawn = 2.0 ** np.round(np.log2(drawn))
    return drawn.astype(dtypes.from_name(name).numpy)


LAYOUTS: list[tuple[tuple[int, ...], dict[str, int]]] = [
    ((), {}),
    ((21,), {"axis": -1}),
    ((6,), {"axis": 0}),
    ((6, 4), {"axis": 1, "block_size": 6}),
    ((2, 21), {"axis": 0, "block_size": 3}),
]


def quantised(target: str) -> Iterator[Case]:
    dtype = dtypes.from_name(target)
    x = np.random.default_rng(4).uniform(-9, 9, (6, 21))
    for shape, attributes in LAYOUTS:
        for name in ("float32", "float16", "bfloat16") if shape in ((), (6, 4)) else ("float32",):
            scale = scales(shape, name)
            given = {**attributes, "output_dtype": dtype.onnx}
            yield Case("QuantizeLinear", [x.astype(dtypes.from_name(name).numpy), scale], given, opset=NEWEST)
        scale = scales(shape, "float32")
        if dtype.is_integer:
            zero = np.random.default_rng(5).integers(0, 2, shape).astype(dtype.numpy)
            yield Case("QuantizeLinear", [x.astype(np.float32), scale, zero], attributes, opset=NEWEST)
            if shape == (6,):
                yield Case("QuantizeLinear", [np.round(x).astype(np.int32), scale, zero], attributes, opset=NEWEST)
        elif target in FLOAT8 and shape == ():
            given = {**attributes, "output_dtype": dtype.onnx, "saturate": 0}
            yield Case("QuantizeLinear", [x.astype(np.float32) * 99, scale], given, opset=NEWEST)
    halved = {"output_dtype": dtype.onnx, "precision": TensorProto.FLOAT16}
    yield Case("QuantizeLinear", [x.astype(np.float32), np.float32(0.37)], halved, opset=NEWEST)
    power = np.asarray(0.5, ml_dtypes.float8_e8m0fnu)
    given = {"output_dtype": dtype.onnx, "precision": TensorProto.FLOAT}
    yield Case("QuantizeLinear", [x.astype(np.float32), power], given, opset=NEWEST)


@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, "int8", "uint8", "int16", "uint16"])
def test_quantize(target: str) -> None:
    check(list(quantised(target)))


def dequantised(source: str) -> Iterator[Case]:
    dtype = dtypes.from_name(source)
    codes = np.random.default_rng(6).integers(0, 1 << min(dtype.bits, 16), (6, 21))
    kind = np.int32 if dtype.bits == 32 else np.uint16 if dtype.bits == 16 else np.uint8
    x = codes.astype(kind).view(dtype.numpy)
    for shape, attributes in LAYOUTS:
        for name in ("float32", "float16", "bfloat16", "float8_e8m0fnu") if shape in ((), (6, 4)) else ("float32",):
            given = dict(attributes)
            if name == "float8_e8m0fnu":
                given["output_dtype"] = TensorProto.FLOAT
            yield Case("DequantizeLinear", [x, scales(shape, name)], given, opset=NEWEST)
        if dtype.is_integer and dtype.bits < 32:
            zero = np.random.default_rng(5).integers(0, 2, shape).astype(dtype.numpy)
            given = {**attributes, "output_dtype": TensorProto.FLOAT16}
            yield Case("DequantizeLinear", [x, scales(shape, "float32"), zero], given, opset=NEWEST)


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, "int8", "uint8", "int16", "uint16", "int32"])
def test_dequantize(source: str) -> None:
    cases = list(dequantised(source))
    for case, got in zip(cases, run(cases), strict=True):
        (expected,) = case.expected()
        label = f"{case.attributes} {[x.dtype for x in case.inputs if x is not None]}"
        assert got.dtype == expected.dtype, label
        wide = got.astype(np.float32), expected.astype(np.float32)
        np.testing.assert_allclose(*wide, rtol=1e-6, atol=1e-30, equal_nan=True, err_msg=label)


def test_blocks_are_checked() -> None:
    x, scale = np.zeros((6, 21), np.float32), np.ones((6, 5), np.float32)
    case = Case("QuantizeLinear", [x, scale], {"block_size": 6}, opset=NEWEST)
    with pytest.raises(sardonyx.InvalidModelError, match=r"blocks of 6.*\[6, 4\]"):
        sardonyx.InferenceSession(case.model(symbolic=False))
    session = sardonyx.InferenceSession(case.model(symbolic=True))
    with pytest.raises(sardonyx.InvalidInputError, match="blocks of 6"):
        session.run(None, case.feeds())


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float4_e2m1fn", "int4", "uint2"])
def test_packed_weights_feed_a_product(name: str) -> None:
    """A weight of blocked four-bit numbers, as language models have them, before a MatMul."""
    dtype = dtypes.from_name(name)
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 1 << dtype.bits, (32, 24)).astype(np.uint8).view(dtype.numpy)
    codes[~np.isfinite(codes.astype(np.float32))] = 0
    scale = rng.uniform(0.5, 1, (4, 24)).astype(np.float32)
    x = rng.standard_normal((5, 32)).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale"], ["full"], axis=0, block_size=8),
        helper.make_node("MatMul", ["x", "full"], ["p"]),
        helper.make_node("Relu", ["p"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 24])],
        [onnx.numpy_helper.from_array(codes, "w"), onnx.numpy_helper.from_array(scale, "scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", NEWEST)], ir_version=13)
    got = sardonyx.InferenceSession(model, sardonyx.SessionOptions(strict=True)).run(None, {"x": x})[0]
    full = codes.astype(np.float32) * np.repeat(scale, 8, axis=0)
    np.testing.assert_allclose(got, np.maximum(x @ full, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("float6")])
def test_movement_keeps_every_bit(name: str) -> None:
    dtype = dtypes.from_name(name)
    x = (np.arange(256) % (1 << dtype.bits)).astype(np.uint8).view(dtype.numpy).reshape(8, 32)
    if name == "float8_e5m2":
        x[np.isnan(x)] = np.nan  # of NaN only the sign is kept
    ints = {key: np.asarray(value, np.int64) for key, value in {"shape": [4, -1], "pads": [1, 0, 0, 2]}.items()}
    cases = [
        Case("Transpose", [x], opset=NEWEST),
        Case("Reshape", [x, ints["shape"]], constant=[1], opset=NEWEST),
        Case("Pad", [x, ints["pads"], x[1, 1:2].reshape(())], constant=[1], opset=NEWEST),
        Case("Identity", [x], opset=NEWEST),
        Case("ConstantOfShape", [np.asarray([3, 5])], {"value": onnx.numpy_helper.from_array(x[0, 3:4])}, [0]),
    ]
    padded = np.full((9, 34), x[1, 1], dtype.numpy)
    padded[1:, :32] = x
    expected = [x.T, x.reshape(4, -1), padded, x, np.full((3, 5), x[0, 3], dtype.numpy)]
    for case, got, wanted in zip(cases, run(cases), expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.view(np.uint8), np.ascontiguousarray(wanted).view(np.uint8), err_msg=case.op)
