"""Types, sizes and symbolic contents of elementwise operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sardonyx.ops  # noqa: F401  # registers the records
from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.registry import decode
from sardonyx.symbols import Dim, evaluate, free_symbols, symbol

N, M = symbol("n"), symbol("m")
F32, F64, I32, I64, U8, BOOL = (
    dtypes.float32,
    dtypes.float64,
    dtypes.int32,
    dtypes.int64,
    dtypes.uint8,
    dtypes.bool_,
)


def infer(op: str, *inputs: TensorInfo | None, **attributes: Any) -> TensorInfo:
    record = decode(op, "", attributes, "the node")
    assert isinstance(record, Elementwise)
    (info,) = record.infer(InferContext("the node", op, inputs, 1, symbol))
    return info


def of(*values: Dim, dtype: DType = I64) -> TensorInfo:
    return TensorInfo(dtype, (len(values),), values)


def scalar(value: Dim, dtype: DType = I64) -> TensorInfo:
    return TensorInfo(dtype, (), (value,))


def truncated(a: int, b: int) -> int:
    return int(np.trunc(np.longdouble(a) / b)) if b else 0


REFERENCES: dict[str, tuple[int, Callable[..., int]]] = {
    "Add": (2, lambda a, b: a + b),
    "Sub": (2, lambda a, b: a - b),
    "Mul": (2, lambda a, b: a * b),
    "Div": (2, truncated),
    "Mod": (2, lambda a, b: a % b if b else 0),
    "Neg": (1, lambda a: -a),
    "Abs": (1, abs),
    "Sign": (1, lambda a: (a > 0) - (a < 0)),
    "Min": (3, min),
    "Max": (3, max),
    "Equal": (2, lambda a, b: int(a == b)),
    "Less": (2, lambda a, b: int(a < b)),
    "Greater": (2, lambda a, b: int(a > b)),
    "LessOrEqual": (2, lambda a, b: int(a <= b)),
    "GreaterOrEqual": (2, lambda a, b: int(a >= b)),
}

dims = st.one_of(
    st.integers(-9, 9),
    st.builds(lambda a, b, c: a * N + b * M + c, st.integers(-2, 3), st.integers(-1, 3), st.integers(-4, 4)),
    st.builds(lambda a, b: (N * a) // b, st.integers(0, 4), st.integers(1, 4)),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_contents_are_those_of_the_run(data: st.DataObject) -> None:
    op = data.draw(st.sampled_from(sorted(REFERENCES)))
    arity, reference = REFERENCES[op]
    length = data.draw(st.integers(1, 4))
    counts = [data.draw(st.sampled_from([1, length])) for _ in range(arity)]
    inputs = [data.draw(st.lists(dims, min_size=c, max_size=c)) for c in counts]
    info = infer(op, *(of(*values) for values in inputs))
    if info.values is None:
        return
    env = {"n": data.draw(st.integers(0, 20)), "m": data.draw(st.integers(0, 20))}
    numbers = np.broadcast_arrays(*(np.asarray([evaluate(v, env) for v in values], object) for values in inputs))
    expected = [reference(*(int(x) for x in row)) for row in zip(*numbers, strict=True)]
    assert [evaluate(v, env) for v in info.values] == expected


@pytest.mark.parametrize(
    ("op", "inputs", "expected"),
    [
        ("Add", [of(N, 3), scalar(1)], (N + 1, 4)),
        ("Mul", [of(N, 3), of(M, 2)], (N * M, 6)),
        ("Div", [of(N * 6, 7), scalar(2)], (N * 3, 3)),
        ("Div", [of(-7), scalar(2)], (-3,)),
        ("Div", [of(N - M), scalar(2)], None),
        ("Mod", [of(N, -7), scalar(4)], (N % 4, 1)),
        ("Min", [of(N), of(4)], None),
        ("Where", [of(1, 0, dtype=BOOL), of(N, 5), of(7, M)], (N, M)),
        ("Equal", [of(N, -1, 3), scalar(-1)], (0, 1, 0)),
        ("Equal", [of(N), of(3)], None),
        ("Greater", [of(N + 1), scalar(0)], (1,)),
        ("Not", [of(1, 0, dtype=BOOL)], (0, 1)),
        ("Add", [of(200, dtype=U8), of(100, dtype=U8)], None),
        ("Sub", [of(N, dtype=U8), of(M, dtype=U8)], None),
        ("Add", [TensorInfo(F32, (2,)), TensorInfo(F32, (2,))], None),
        ("Add", [TensorInfo(I64, (2, 2)), TensorInfo(I64, (2, 2))], None),
    ],
)
def test_contents(op: str, inputs: Sequence[TensorInfo], expected: tuple[Dim, ...] | None) -> None:
    info = infer(op, *inputs)
    if op == "Min":
        assert info.values is not None
        assert evaluate(info.values[0], {"n": 9}) == 4
    else:
        assert info.values == expected


def test_the_expand_idiom_of_exporters() -> None:
    """Where(Equal(shape, -1), ones, shape): a dimension of -1 is to stay as it is."""
    shape = of(N, -1, 64)
    mask = infer("Equal", shape, scalar(-1))
    assert infer("Where", mask, of(1, 1, 1), shape).values == (N, 1, 64)


def test_constants_are_followed() -> None:
    constant = TensorInfo.of_array(np.asarray([2, 3]), I64)
    assert infer("Mul", of(N, M), constant).values == (N * 2, M * 3)
    flags = TensorInfo.of_array(np.asarray([True, False]), BOOL)
    assert infer("Where", flags, of(N, N), of(M, M)).values == (N, M)


def test_growth_is_bounded() -> None:
    values = of(*(symbol(f"a{k}") + symbol(f"b{k}") + 1 for k in range(4)))
    for _ in range(12):
        values = infer("Mul", values, values)
        if values.values is None:
            break
    assert values.values is None or all(len(free_symbols(v)) <= 2 for v in values.values)


@pytest.mark.parametrize("to", [F32, I32, BOOL, dtypes.float16])
def test_cast(to: DType) -> None:
    info = infer("Cast", of(N, 3), to=to.onnx)
    assert info.dtype is to
    assert info.values == {I32: (N, 3)}.get(to)
    like = infer("CastLike", of(N, 3), TensorInfo(to, (M, 7)))
    assert (like.dtype, like.shape) == (to, (2,))


def test_shapes_and_types() -> None:
    a, b = TensorInfo(F32, (N, 1, 3)), TensorInfo(F32, (M, 1))
    assert infer("Add", a, b) == TensorInfo(F32, (N, M, 3))
    assert infer("Less", a, b) == TensorInfo(BOOL, (N, M, 3))
    assert infer("Add", a, TensorInfo(F32, None)).shape is None
    assert infer("Pow", a, TensorInfo(I64, ())) == TensorInfo(F32, (N, 1, 3))
    assert infer("PRelu", a, TensorInfo(F32, (3,))).shape == (N, 1, 3)
    assert infer("Where", TensorInfo(BOOL, (4, 1)), TensorInfo(F64, (5,)), TensorInfo(F64, ())).shape == (4, 5)
    assert infer("QuantizeLinear", a, TensorInfo(F32, ()), TensorInfo(dtypes.int8, ())).dtype is dtypes.int8
    assert infer("QuantizeLinear", a, TensorInfo(F32, ())).dtype is U8
    assert infer("DequantizeLinear", TensorInfo(U8, (N, 4)), TensorInfo(F32, (4,))) == TensorInfo(F32, (N, 4))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Add", [TensorInfo(F32, (3,)), TensorInfo(F64, (3,))], {}, "one element type"),
        ("Add", [TensorInfo(F32, (3,))], {}, "input 1 is required"),
        ("Add", [TensorInfo(F32, (3,)), TensorInfo(F32, (4,))], {}, "do not broadcast"),
        ("Where", [TensorInfo(F32, (3,)), TensorInfo(F32, (3,)), TensorInfo(F32, (3,))], {}, "must be bool"),
        ("PRelu", [TensorInfo(F32, (3,)), TensorInfo(F32, (3, 3))], {}, "slope"),
        ("Cast", [TensorInfo(F32, (3,))], {"to": 99}, "'to' is 99"),
        ("Gelu", [TensorInfo(F32, (3,))], {"approximate": "sine"}, "'approximate'"),
        ("BitShift", [TensorInfo(U8, (3,)), TensorInfo(U8, (3,))], {"direction": "UP"}, "'direction'"),
        ("Celu", [TensorInfo(F32, (3,))], {"alpha": 0.0}, "'alpha'"),
        ("QuantizeLinear", [TensorInfo(F32, (2, 3)), TensorInfo(F32, (4,))], {}, "the scale has 4 numbers"),
        ("QuantizeLinear", [TensorInfo(F32, (2, 3)), TensorInfo(F32, (3,))], {"axis": 2}, "'axis' is 2"),
        ("DequantizeLinear", [TensorInfo(U8, (2, 3)), TensorInfo(F32, (2, 3))], {}, "at most one dimension"),
        ("DequantizeLinear", [TensorInfo(U8, (3,)), TensorInfo(F32, ())], {"output_dtype": 99}, "'output_dtype' is 99"),
    ],
)
def test_errors(op: str, inputs: Sequence[TensorInfo], attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message) as caught:
        infer(op, *inputs, **attributes)
    assert "node 'the node'" in str(caught.value)


@pytest.mark.parametrize(
    ("op", "inputs", "lowered"),
    [
        ("Add", [F32, F32], True),
        ("Add", [dtypes.float16, dtypes.float16], True),
        ("Equal", [dtypes.string, dtypes.string], False),
        ("Cast", [dtypes.float8_e5m2], True),
        ("Cast", [dtypes.int4], True),
        ("And", [I64, I64], False),
        ("Pow", [F32, U8], True),
        ("Where", [BOOL, dtypes.string, dtypes.string], False),
        ("QuantizeLinear", [F32, F32, dtypes.int4], True),
        ("DequantizeLinear", [dtypes.float8_e4m3fn, F32], True),
    ],
)
def test_what_is_lowered(op: str, inputs: Sequence[DType], lowered: bool) -> None:
    record = decode(op, "", {"to": 1} if op == "Cast" else {}, "node")
    assert isinstance(record, Elementwise)
    assert record.lowers(inputs) is lowered


def test_omitted_inputs() -> None:
    clip = decode("Clip", "", {}, "node")
    assert isinstance(clip, Elementwise)
    assert clip.specialise([F32, None, F32])[1] == (0, 2)
    assert clip.specialise([F32, F32])[1] == (0, 1)
    assert clip.specialise([F32])[1] == (0,)
