"""Quantised models as quantisers write them (QDQ): float operators between DequantizeLinear and QuantizeLinear.

q = Quantize(Conv(Dequantize(x), Dequantize(w), bias))  ->  QLinearConv(x, w, bias)
y = Conv(Dequantize(x), Dequantize(w), bias)            ->  Cast(ConvInteger(x, w)) * (x_scale * w_scale) + bias
MatMul and Gemm likewise; Relu and Clip before Quantize become Clip on integers
Quantize(Dequantize(x)) with the same numbers           ->  x
MaxPool, Reshape, Transpose ... of Dequantize(x)        ->  Dequantize of the same on integers

What stays float between Dequantize and Quantize (Add, Mul, Softmax ...) is fused with them in one kernel anyway.

The last two rewrites are exact. The products are sums of integers, exact where floats round, and are scaled once by a
product or quotient of scales; beside the float graph, a result differs by its rounding only: by one step of the
quantisation where a sum lies next to a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.kernels.dot import BYTES
from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op

__all__ = ["fuse_quantised"]

MOVING = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity", "MaxPool", "Expand", "Tile")
"""Operators that give back elements of their first input, whatever these are."""


@dataclass(frozen=True)
class _Integers:
    """A value that is ``(integers - zero) * scale``: in one piece, or with numbers along ``axis``."""

    integers: ir.Value
    scale: ir.Value
    zero: ir.Value | None
    axis: int | None


def fuse_quantised(rewriter: Rewriter) -> None:
    """Rewrites the patterns, in the order of the graph."""
    for node in list(rewriter.graph):
        if node.graph is None:
            continue
        if is_op(node, "QuantizeLinear"):
            _cancel(rewriter, node)
        elif is_op(node, *MOVING):
            _move(rewriter, node)
        elif is_op(node, "Concat"):
            _move_concat(rewriter, node)
        elif is_op(node, "Conv"):
            _convolution(rewriter, node)
        elif is_op(node, "MatMul"):
            _product(rewriter, node)
        elif is_op(node, "Gemm"):
            _gemm(rewriter, node)


# -- what a value is -------------------------------------------------------------------------------------------------


def _dequantised(rewriter: Rewriter, value: ir.Value | None, kinds: Sequence[dtypes.DType] = BYTES) -> _Integers | None:
    """The integers that a float32 value is made of."""
    node = value.producer() if value is not None else None
    if value is None or node is None or not is_op(node, "DequantizeLinear"):
        return None
    integers, scale, *others = node.inputs
    zero = others[0] if others else None
    attributes = node_attributes(node)
    if integers is None or scale is None or attributes.get("block_size", 0):
        return None
    info, rank = rewriter.of(integers), rewriter.of(integers).rank
    if info.dtype not in kinds or rank is None or rewriter.of(value).dtype is not dtypes.float32:
        return None
    if rewriter.of(scale).dtype is not dtypes.float32 or not _positive(rewriter, scale):
        return None
    axis = None if _single(rewriter, scale) else attributes.get("axis", 1) % rank
    return _Integers(integers, scale, zero, axis)


def _positive(rewriter: Rewriter, scale: ir.Value) -> bool:
    """Whether a scale is known to be an ordinary positive number: integers then come back from their floats."""
    array = rewriter.const(scale)
    return array is not None and bool(np.all(np.isfinite(array) & (array > 1e-30) & (array < 1e30)))


def _single(rewriter: Rewriter, value: ir.Value) -> bool:
    shape = rewriter.of(value).shape
    return shape is not None and all(size == 1 for size in shape)


def _quantiser(rewriter: Rewriter, node: ir.Node | None) -> ir.Node | None:
    """The node, where it quantises all elements with one known scale to bytes."""
    if node is None or not is_op(node, "QuantizeLinear"):
        return None
    attributes = node_attributes(node)
    scale = node.inputs[1]
    if scale is None or attributes.get("block_size", 0) or attributes.get("precision", 0):
        return None
    known = _single(rewriter, scale) and _positive(rewriter, scale)
    types = rewriter.of(scale).dtype is dtypes.float32 and rewriter.of(node.outputs[0]).dtype in BYTES
    return node if known and types and rewriter.of(node.inputs[0]).dtype is dtypes.float32 else None


def _zero(rewriter: Rewriter, zero: ir.Value | None, dtype: dtypes.DType | None) -> ir.Value:
    """A zero point, made where it was omitted."""
    if zero is not None:
        return zero
    assert dtype is not None
    return rewriter.initializer(np.zeros((), dtype.numpy), "zero_point")


def _equal(rewriter: Rewriter, a: ir.Value | None, b: ir.Value | None) -> bool:
    """Whether two scales or zero points are the same numbers; an omitted one is zero."""
    if a is b:
        return True
    left, right = (np.zeros((1,), np.float32) if v is None else rewriter.const(v) for v in (a, b))
    return left is not None and right is not None and bool(np.array_equal(left.reshape(-1), right.reshape(-1)))


def _discard(rewriter: Rewriter, node: ir.Node) -> None:
    """Removes a node and what was computed for it alone, so that its weights are not made floats for nothing.

    What lies in the graph around is left to the sweep.
    """
    if any(value.uses() or value.is_graph_output() for value in node.outputs):
        return
    makers = [value.producer() for value in node.inputs if value is not None]
    rewriter.remove(node)
    for maker in makers:
        if maker is not None and maker.graph is rewriter.graph:
            _discard(rewriter, maker)


# -- integers that stay integers -------------------------------------------------------------------------------------


def _cancel(rewriter: Rewriter, node: ir.Node) -> None:
    """Quantize(Dequantize(x)) with the same numbers."""
    made = _dequantised(rewriter, node.inputs[0])
    quantiser = _quantiser(rewriter, node)
    if made is None or quantiser is None or made.axis is not None:
        return
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    same = _equal(rewriter, made.scale, node.inputs[1]) and _equal(rewriter, made.zero, zero)
    if same and rewriter.of(made.integers).dtype == rewriter.of(node.outputs[0]).dtype:
        rewriter.replace(node.outputs[0], made.integers)
        _discard(rewriter, node)


def _move(rewriter: Rewriter, node: ir.Node) -> None:
    """Dequantize after an operator that only moves elements, or picks the largest."""
    made = _dequantised(rewriter, node.inputs[0])
    if made is None or made.axis is not None or sum(bool(value.name) for value in node.outputs) != 1:
        return
    moved = _like(rewriter, node, [made.integers, *node.inputs[1:]])
    _dequantise(rewriter, node, moved, made)


def _move_concat(rewriter: Rewriter, node: ir.Node) -> None:
    parts = [_dequantised(rewriter, value) for value in node.inputs]
    first = parts[0] if parts else None
    if first is None or first.axis is not None:
        return
    known = [part for part in parts if part is not None and part.axis is None]
    same = all(_equal(rewriter, p.scale, first.scale) and _equal(rewriter, p.zero, first.zero) for p in known)
    kinds = {rewriter.of(part.integers).dtype for part in known}
    if len(known) == len(parts) and same and len(kinds) == 1:
        _dequantise(rewriter, node, _like(rewriter, node, [part.integers for part in known]), first)


def _like(rewriter: Rewriter, node: ir.Node, inputs: Sequence[ir.Value | None]) -> ir.Value:
    """The same operator on other inputs."""
    name = f"{node.name or node.op_type}_integers"
    return rewriter.node(node.op_type, inputs, node, attributes=_attributes(node), name=name).outputs[0]


def _dequantise(rewriter: Rewriter, node: ir.Node, integers: ir.Value, made: _Integers) -> None:
    """Dequantize in the place of a node."""
    inputs = [integers, made.scale, *([] if made.zero is None else [made.zero])]
    new = rewriter.node("DequantizeLinear", inputs, node, name=f"{node.name or node.op_type}_dequantised")
    rewriter.replace(node.outputs[0], new.outputs[0])
    _discard(rewriter, node)


def _attributes(node: ir.Node) -> Mapping[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in node_attributes(node).items()}


# -- products --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _After:
    """What follows a product on its only road: perhaps an activation, then the quantiser."""

    quantiser: ir.Node
    low: float
    high: float


def _after(rewriter: Rewriter, node: ir.Node) -> _After | None:
    reader = rewriter.sole_reader(node.outputs[0])
    low, high = -np.inf, np.inf
    if is_op(reader, "Relu", "Clip") and reader is not None:
        low = 0.0
        if reader.op_type == "Clip":
            limits = [
                rewriter.scalar(value) if value is not None else None for value in (*reader.inputs[1:], None, None)
            ]
            given = len([value for value in reader.inputs[1:] if value is not None])
            if given != sum(limit is not None for limit in limits):
                return None
            low = -np.inf if limits[0] is None else limits[0]
            high = np.inf if limits[1] is None else limits[1]
        reader = rewriter.sole_reader(reader.outputs[0])
    quantiser = _quantiser(rewriter, reader)
    if quantiser is not None and quantiser.graph is not node.graph:
        return None  # it reads the product from inside of a branch
    return None if quantiser is None or not low <= high else _After(quantiser, low, high)


def _quantised_output(rewriter: Rewriter, node: ir.Node, after: _After, made: ir.Node) -> None:
    """The quantised product in the place of the quantiser; limits of its float values as limits of its integers."""
    result, quantiser = made.outputs[0], after.quantiser
    dtype = rewriter.of(quantiser.outputs[0]).dtype
    assert dtype is not None
    info = np.iinfo(dtype.numpy)
    scale = np.asarray(rewriter.const(quantiser.inputs[1])).reshape(())
    zero = quantiser.inputs[2] if len(quantiser.inputs) > 2 else None
    shift = 0.0 if zero is None else rewriter.scalar(zero)
    assert shift is not None
    limits = [
        int(np.clip(np.rint(np.float32(limit) / scale) + shift, info.min, info.max))
        for limit in (after.low, after.high)
    ]
    if limits != [info.min, info.max]:
        bounds = [rewriter.initializer(np.array(limit, dtype.numpy), "limit") for limit in limits]
        result = rewriter.node("Clip", [result, *bounds], quantiser, name=f"{node.name}_clip").outputs[0]
    rewriter.replace(quantiser.outputs[0], result)
    _discard(rewriter, quantiser)


def _known_zero(rewriter: Rewriter, after: _After) -> bool:
    quantiser = after.quantiser
    return len(quantiser.inputs) < 3 or quantiser.inputs[2] is None or rewriter.scalar(quantiser.inputs[2]) is not None


def _convolution(rewriter: Rewriter, node: ir.Node) -> None:
    x, w = _dequantised(rewriter, node.inputs[0]), _dequantised(rewriter, node.inputs[1])
    if x is None or w is None or x.axis is not None or w.axis not in (None, 0):
        return
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    scale = _scales(rewriter, x, w)
    after = _after(rewriter, node)
    integer_bias = None if bias is None else _integer_bias(rewriter, bias, scale)
    x_zero = _zero(rewriter, x.zero, rewriter.of(x.integers).dtype)
    w_zero = _zero(rewriter, w.zero, rewriter.of(w.integers).dtype)
    attributes = _attributes(node)
    if after is not None and _known_zero(rewriter, after) and (bias is None or integer_bias is not None):
        q = after.quantiser
        y_zero = _zero(rewriter, q.inputs[2] if len(q.inputs) > 2 else None, rewriter.of(q.outputs[0]).dtype)
        inputs = [x.integers, x.scale, x_zero, w.integers, w.scale, w_zero, q.inputs[1], y_zero]
        inputs += [] if integer_bias is None else [integer_bias]
        made = rewriter.node("QLinearConv", inputs, node, attributes=attributes, name=node.name or "QLinearConv")
        _quantised_output(rewriter, node, after, made)
        return
    inputs = [x.integers, w.integers, x_zero, w_zero]
    made = rewriter.node("ConvInteger", inputs, node, attributes=attributes, name=node.name or "ConvInteger")
    rank = rewriter.of(node.outputs[0]).rank
    if rank is None:
        raise AssertionError("a convolution of unknown rank")
    by_channel = (-1, *(1 for _ in range(rank - 2)))
    result = _scaled(rewriter, node, made, scale.reshape(by_channel) if scale.size > 1 else scale.reshape(()))
    if bias is not None:
        shape = rewriter.initializer(np.array(by_channel, np.int64), "channels")
        wide = rewriter.node("Reshape", [bias, shape], node, name=f"{node.name}_bias").outputs[0]
        result = rewriter.node("Add", [result, wide], node, name=f"{node.name}_sum").outputs[0]
    rewriter.replace(node.outputs[0], result)
    _discard(rewriter, node)


def _scales(rewriter: Rewriter, a: _Integers, b: _Integers) -> npt.NDArray[np.float32]:
    """The scale of a product: one number, or one for each of b's channels."""
    left, right = (np.asarray(rewriter.const(x.scale)).reshape(-1) for x in (a, b))
    return np.asarray(left * right, np.float32)


def _integer_bias(rewriter: Rewriter, bias: ir.Value, scale: npt.NDArray[np.float32]) -> ir.Value | None:
    """The integers of a bias that is quantised with the scale of the product."""
    made = _dequantised(rewriter, bias, (dtypes.int32,))
    if made is None or not _equal(rewriter, made.zero, None):
        return None
    own = np.asarray(rewriter.const(made.scale)).reshape(-1)
    fits = own.size in (1, scale.size) or scale.size == 1
    return made.integers if fits and np.allclose(own, scale, rtol=1e-5, atol=0) else None


def _scaled(rewriter: Rewriter, node: ir.Node, made: ir.Node, scale: npt.NDArray[np.float32]) -> ir.Value:
    """An integer product as float32, times its scale."""
    cast = rewriter.node(
        "Cast", [made.outputs[0]], node, attributes={"to": dtypes.float32.onnx}, name=f"{node.name}_cast"
    )
    factor = rewriter.initializer(scale, f"{node.name}_scale")
    return rewriter.node("Mul", [cast.outputs[0], factor], node, name=f"{node.name}_scaled").outputs[0]


def _product(rewriter: Rewriter, node: ir.Node) -> None:
    a, b = _dequantised(rewriter, node.inputs[0]), _dequantised(rewriter, node.inputs[1])
    if a is None or b is None or a.axis is not None:
        return
    rank = rewriter.of(b.integers).rank
    if rank is None or (b.axis is not None and (rank < 2 or b.axis != rank - 1)):
        return
    after = _after(rewriter, node)
    a_zero = _zero(rewriter, a.zero, rewriter.of(a.integers).dtype)
    b_zero = _zero(rewriter, b.zero, rewriter.of(b.integers).dtype)
    if after is not None and _known_zero(rewriter, after):
        q = after.quantiser
        y_zero = _zero(rewriter, q.inputs[2] if len(q.inputs) > 2 else None, rewriter.of(q.outputs[0]).dtype)
        inputs = [a.integers, a.scale, a_zero, b.integers, b.scale, b_zero, q.inputs[1], y_zero]
        made = rewriter.node("QLinearMatMul", inputs, node, name=node.name or "QLinearMatMul")
        _quantised_output(rewriter, node, after, made)
        return
    made = rewriter.node(
        "MatMulInteger", [a.integers, b.integers, a_zero, b_zero], node, name=node.name or "MatMulInteger"
    )
    scale = _scales(rewriter, a, b)
    rewriter.replace(node.outputs[0], _scaled(rewriter, node, made, scale if scale.size > 1 else scale.reshape(())))
    _discard(rewriter, node)


def _gemm(rewriter: Rewriter, node: ir.Node) -> None:
    a, b = _dequantised(rewriter, node.inputs[0]), _dequantised(rewriter, node.inputs[1])
    attributes = node_attributes(node)
    transposed = bool(attributes.get("transB", 0))
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if a is None or b is None or a.axis is not None or b.axis not in (None, 0 if transposed else 1):
        return
    if attributes.get("transA", 0) or beta != 1.0:
        return
    right = b.integers
    if transposed:
        array = rewriter.const(right)
        if array is None:
            right = rewriter.node("Transpose", [right], node, attributes={"perm": [1, 0]}).outputs[0]
        else:
            right = rewriter.initializer(np.ascontiguousarray(array.T), f"{right.name}_transposed")
    a_zero = _zero(rewriter, a.zero, rewriter.of(a.integers).dtype)
    b_zero = _zero(rewriter, b.zero, rewriter.of(b.integers).dtype)
    made = rewriter.node("MatMulInteger", [a.integers, right, a_zero, b_zero], node, name=node.name or "MatMulInteger")
    scale = np.asarray(_scales(rewriter, a, b) * np.float32(alpha))
    result = _scaled(rewriter, node, made, scale if scale.size > 1 else scale.reshape(()))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = rewriter.node("Add", [result, node.inputs[2]], node, name=f"{node.name}_sum").outputs[0]
    rewriter.replace(node.outputs[0], result)
    _discard(rewriter, node)
