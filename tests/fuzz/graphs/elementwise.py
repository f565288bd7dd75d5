"""Pointwise operators, casts and quantisation."""

from __future__ import annotations

import numpy as np
from onnx import helper

from fuzz.graphs.tracks import Value
from fuzz.graphs.writer import Writer, step

F, D, H = np.float32, np.float64, np.float16
INTS = (np.int32, np.int64, np.int8, np.uint8)
WIDE = (np.int32, np.int64)
RARE = (np.int16, np.uint16, np.uint32, np.uint64)
FLOATY = (F, F, F, D, H)
NUMBERS = (*FLOATY, *INTS)
ALL = (*NUMBERS, np.bool_)

SMOOTH = [
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Elu",
    "Erf",
    "Sin",
    "Cos",
    "Softsign",
    "HardSigmoid",
    "HardSwish",
    "Mish",
    "Selu",
]
SMOOTH += ["Celu", "Gelu", "Exp", "Sqrt", "Log", "Reciprocal", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh"]
SMOOTH += ["Acosh", "Atanh"]
EXACT = ["Relu", "Neg", "Abs", "Floor", "Ceil", "Round", "Sign", "Identity", "ThresholdedRelu", "IsNaN", "IsInf"]
ATTRIBUTES = {
    "Elu": ["alpha"], "Celu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Selu": ["alpha", "gamma"],
    "LeakyRelu": ["alpha"], "ThresholdedRelu": ["alpha"],
}  # fmt: skip


def attributes(w: Writer, op_type: str, dtype: np.dtype) -> dict[str, object]:
    """Given for float64, where a default of 0.1 may be a float32's or a float64's."""
    given = w.chance(0.5) or dtype == D
    made: dict[str, object] = {name: w.choose([0.1, 0.5, 1.5]) for name in ATTRIBUTES.get(op_type, []) if given}
    if op_type == "Gelu" and w.chance(0.5):
        made["approximate"] = "tanh"
    return made


@step(3, calm=True)
def smooth(w: Writer) -> bool:
    op_type = w.choose([*SMOOTH, "LeakyRelu"])
    value = w.tensor(FLOATY)
    return w.propose(op_type, [value.name], **attributes(w, op_type, value.dtype))


@step(1.5)
def exact_unary(w: Writer) -> bool:
    op_type = w.choose(EXACT)
    dtypes = NUMBERS if op_type in ("Relu", "Neg", "Abs", "Sign", "Identity") else FLOATY
    value = w.tensor(dtypes)
    return w.propose(op_type, [value.name], exact=True, **attributes(w, op_type, value.dtype))


@step(0.5)
def negation(w: Writer) -> bool:
    if w.chance(0.6):
        return w.propose("Not", [w.tensor([np.bool_]).name], exact=True)
    return w.propose("BitwiseNot", [w.tensor(INTS).name], exact=True)


@step(4, calm=True)
def binary(w: Writer) -> bool:
    value = w.tensor(NUMBERS if w.chance(0.4) else FLOATY)
    operands = [value.name, w.partner(value)]
    if w.chance(0.3):
        operands.reverse()
    return w.propose(w.choose(["Add", "Sub", "Mul"]), operands)


@step(1.5, calm=True)
def extreme(w: Writer) -> bool:
    value = w.tensor(NUMBERS)
    operands = [value.name] + [w.partner(value) for _ in range(w.integer(0, 2))]
    return w.propose(w.choose(["Max", "Min"]), operands, exact=True)


@step(0.7, calm=True)
def variadic(w: Writer) -> bool:
    value = w.tensor(FLOATY)
    return w.propose(w.choose(["Sum", "Mean"]), [value.name] + [w.partner(value) for _ in range(w.integer(0, 2))])


@step(1.5)
def divide(w: Writer) -> bool:
    value = w.tensor(NUMBERS)
    shape = [1 if size is None or w.chance(0.3) else size for size in value.shape]
    if value.is_float:
        if w.chance(0.4):
            other = w.partner(value)
            return w.find(other).within(1e-2, 1e4) and w.propose("Div", [value.name, other])
        divisor = w.constant(np.asarray(w.rng.uniform(0.5, 3, shape), value.dtype), given=0.1)
        return w.propose("Div", [value.name, divisor])
    divisor = w.constant(np.asarray(w.rng.integers(1, 8, shape), value.dtype), given=0.1)
    if w.chance(0.5):
        return value.within(0, np.iinfo(value.dtype).max) and w.propose("Div", [value.name, divisor])
    return w.propose("Mod", [value.name, divisor], exact=True, fmod=w.integer(0, 1))


@step(0.6)
def power(w: Writer) -> bool:
    value = w.tensor(FLOATY if w.chance(0.8) else WIDE)
    if value.is_float and value.within(1e-3, 20) and w.chance(0.5):
        return w.propose("Pow", [value.name, w.partner(value)])
    exponent = w.constant(np.array(w.choose([0, 1, 2, 3]), w.choose([value.dtype, np.int64, F])), given=0.05)
    return w.propose("Pow", [value.name, exponent])


@step(1)
def compare(w: Writer) -> bool:
    value = w.tensor(NUMBERS)
    op_type = w.choose(["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"])
    return w.propose(op_type, [value.name, w.partner(value)], exact=True)


@step(0.8)
def logic(w: Writer) -> bool:
    value = w.tensor([np.bool_])
    return w.propose(w.choose(["And", "Or", "Xor"]), [value.name, w.partner(value)], exact=True)


@step(0.5)
def bits(w: Writer) -> bool:
    value = w.tensor(INTS)
    if w.chance(0.3):
        unsigned = w.tensor([np.uint8])
        shift = w.constant(np.array(w.integer(0, 7), np.uint8))
        return w.propose("BitShift", [unsigned.name, shift], exact=True, direction=w.choose(["LEFT", "RIGHT"]))
    op_type = w.choose(["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
    return w.propose(op_type, [value.name, w.partner(value)], exact=True)


@step(1.2)
def where(w: Writer) -> bool:
    value = w.tensor(ALL)
    condition = w.partner(value, np.bool_)
    operands = [value.name, w.partner(value)]
    if w.chance(0.3):
        operands.reverse()
    return w.propose("Where", [condition, *operands], exact=True)


@step(0.8, calm=True)
def clip(w: Writer) -> bool:
    value = w.tensor(NUMBERS)
    low, high = w.constant(np.array(1, value.dtype)), w.constant(np.array(4, value.dtype))
    return w.propose("Clip", [value.name, *w.choose([[low, high], [low], ["", high]])], exact=True)


@step(0.5, calm=True)
def prelu(w: Writer) -> bool:
    value = w.tensor(FLOATY, 1)
    shape = [w.choose([1, size]) if size else 1 for size in value.shape]
    return w.propose("PRelu", [value.name, w.constant(w.draw(value.dtype, shape))])


@step(2.5)
def cast(w: Writer) -> bool:
    value = w.tensor(ALL)
    dtype = np.dtype(w.choose(ALL if w.chance(0.85) else RARE))
    if value.is_float and dtype.kind in "iu":
        info = np.iinfo(dtype)
        if not value.within(max(info.min, -1e6), min(info.max, 1e6)):
            return False
    if w.chance(0.15):
        return w.propose("CastLike", [value.name, w.constant(np.zeros((), dtype))], exact=dtype.kind != "f")
    return w.propose("Cast", [value.name], exact=dtype.kind != "f", to=helper.np_dtype_to_tensor_dtype(dtype))


def scale_and_zero(w: Writer, value: Value, axis: int | None, dtype: np.dtype) -> list[str]:
    size = value.shape[axis] if axis is not None else None
    shape = () if size is None else (size,)
    scales = np.asarray(2.0 ** w.rng.integers(-5, -1, shape) * w.choose([1.0, 1.25]), F)
    operands = [w.constant(scales, given=0.05)]
    if w.chance(0.7) or dtype == np.int8:
        zero = w.rng.integers(0 if dtype.kind == "u" else -20, 130 if dtype.kind == "u" else 20, shape)
        operands.append(w.constant(np.asarray(zero, dtype), given=0.05))
    return operands


@step(1.5)
def quantise(w: Writer) -> bool:
    value = w.tensor([F], 1)
    axis = w.integer(0, value.rank - 1) if w.chance(0.4) else None
    if axis is not None and value.shape[axis] is None:
        return False
    dtype = np.dtype(w.choose([np.int8, np.uint8]))
    extra = {} if axis is None else {"axis": axis}
    return w.propose("QuantizeLinear", [value.name, *scale_and_zero(w, value, axis, dtype)], exact=True, **extra)


@step(1.5)
def dequantise(w: Writer) -> bool:
    value = w.tensor([np.int8, np.uint8], 1)
    axis = w.integer(0, value.rank - 1) if w.chance(0.4) else None
    if axis is not None and value.shape[axis] is None:
        return False
    extra = {} if axis is None else {"axis": axis}
    return w.propose("DequantizeLinear", [value.name, *scale_and_zero(w, value, axis, value.dtype)], **extra)


@step(0.4)
def dynamic_quantise(w: Writer) -> bool:
    return w.propose("DynamicQuantizeLinear", [w.tensor([F], 1).name], exact=False, outputs=3)
