"""Scales and shifts per channel folded into the weights of the convolution or product before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op

__all__ = ["fold_affine"]

Array = npt.NDArray[Any]


@dataclass
class _Affine:
    """y = x * scale + shift along the channel axis, in float64."""

    scale: Array
    shift: Array


def fold_affine(rewriter: Rewriter) -> None:
    """Folds BatchNormalization, and Mul, Div, Add and Sub by per-channel constants, into the weights and bias of the
    Conv, ConvTranspose or Gemm whose only reader they are. Computed in float64 and rounded once. A BatchNormalization
    that stands elsewhere becomes one product and one sum, so that no root is taken for every element."""
    for node in list(rewriter.graph):
        affine = _affine(rewriter, node)
        if affine is None:
            continue
        index, change = affine
        source = node.inputs[index]
        producer = source.producer() if source is not None else None
        if source is None:
            continue
        alone = producer is not None and rewriter.sole_reader(source) is node
        if producer is not None and alone and _absorb(rewriter, producer, change):
            rewriter.replace(node.outputs[0], source)
            rewriter.remove(node)
            if producer.outputs[0] is not source:
                raise AssertionError("the weights' node has one output")
        elif is_op(node, "BatchNormalization"):
            _write_out(rewriter, node, source, change)


def _write_out(rewriter: Rewriter, node: ir.Node, source: ir.Value, change: _Affine) -> None:
    """Puts a product and a sum with constants in place of a BatchNormalization of wide floats."""
    info = rewriter.of(source)
    finite = np.isfinite(change.scale).all() and np.isfinite(change.shift).all()
    if info.shape is None or info.dtype not in (dtypes.float32, dtypes.float64) or not finite:
        return
    name = node.name or node.outputs[0].name or node.op_type
    shape = (-1, *[1] * (len(info.shape) - 2))
    scale, shift = (
        rewriter.initializer(vector.reshape(shape).astype(info.dtype.numpy), f"{name}_{hint}")
        for vector, hint in ((change.scale, "scale"), (change.shift, "shift"))
    )
    product = rewriter.node("Mul", [source, scale], node, name=f"{name}_product")
    total = rewriter.node("Add", [product.outputs[0], shift], node, name=f"{name}_sum")
    rewriter.replace(node.outputs[0], total.outputs[0])
    rewriter.remove(node)


def _affine(rewriter: Rewriter, node: ir.Node) -> tuple[int, _Affine] | None:
    """The input that a node scales and shifts per channel, and by what."""
    if is_op(node, "BatchNormalization"):
        return _batch_norm(rewriter, node)
    if not is_op(node, "Mul", "Div", "Add", "Sub"):
        return None
    for place in (1, 0) if node.op_type in ("Mul", "Add") else (1,):
        constant = rewriter.const(node.inputs[place])
        info = rewriter.of(node.inputs[1 - place])
        if constant is None or constant.dtype.kind != "f" or info.shape is None:
            continue
        vector = _per_channel(constant, len(info.shape), info.shape[1] if len(info.shape) > 1 else None)
        if vector is None:
            continue
        return 1 - place, _change(node.op_type, vector)
    return None


def _change(op_type: str, vector: Array) -> _Affine:
    ones, zeros = np.ones_like(vector), np.zeros_like(vector)
    match op_type:
        case "Mul":
            return _Affine(vector, zeros)
        case "Div":
            return _Affine(1.0 / vector, zeros)
        case "Add":
            return _Affine(ones, vector)
        case _:
            return _Affine(ones, -vector)


def _per_channel(constant: Array, rank: int, channels: Any) -> Array | None:
    """A constant that has one number per channel (dimension 1) of a tensor, or one in all, as a vector."""
    if not isinstance(channels, int) or rank < 2 or constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(size != 1 for axis, size in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(constant.astype(np.float64).reshape(-1), (channels,))


def _batch_norm(rewriter: Rewriter, node: ir.Node) -> tuple[int, _Affine] | None:
    attributes = node_attributes(node)
    if attributes.get("training_mode", 0) or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return None
    numbers = [rewriter.const(value) for value in node.inputs[1:5]]
    if any(n is None for n in numbers):
        return None
    scale, bias, mean, variance = (np.asarray(n).astype(np.float64) for n in numbers)
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return 0, _Affine(factor, bias - mean * factor)


def _absorb(rewriter: Rewriter, node: ir.Node, change: _Affine) -> bool:
    """Puts a change of the outputs' channels into a node's weights; False where the node does not allow it."""
    attributes = node_attributes(node)
    if is_op(node, "Conv"):
        axis_shape: Sequence[int] = (-1, 1)
    elif is_op(node, "ConvTranspose") and attributes.get("group", 1) == 1:
        axis_shape = (1, -1)
    elif is_op(node, "Gemm") and attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0:
        axis_shape = (-1, 1) if attributes.get("transB", 0) else (1, -1)
    else:
        return False
    weight = rewriter.const(node.inputs[1])
    bias_value = node.inputs[2] if len(node.inputs) > 2 else None
    bias = rewriter.const(bias_value)
    if weight is None or weight.dtype.kind != "f" or (bias_value is not None and bias is None):
        return False
    channels = weight.shape[0 if axis_shape[0] == -1 else 1]
    if change.scale.shape != (channels,) or (bias is not None and bias.size not in (1, channels)):
        return False
    if not (np.isfinite(change.scale).all() and np.isfinite(change.shift).all()):
        return False
    factor = change.scale.reshape([*axis_shape, *[1] * (weight.ndim - 2)])
    old = np.zeros(channels) if bias is None else np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))
    name = node.name or node.outputs[0].name or node.op_type
    if not (change.scale == 1.0).all():
        scaled = (weight.astype(np.float64) * factor).astype(weight.dtype)
        node.replace_input_with(1, rewriter.initializer(scaled, f"{name}_weight"))
    shifted = rewriter.initializer((old * change.scale + change.shift).astype(weight.dtype), f"{name}_bias")
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, shifted)
    rewriter.changes += 1
    return True
