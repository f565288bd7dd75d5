"""LayerNormalization and RMSNormalization as TensorFlow, older PyTorch exporters and function bodies write them.

d = x - ReduceMean(x, axes);  v = ReduceMean(d * d or Pow(d, 2), axes)      RMS: v = ReduceMean(x * x, axes), d = x
y = d / Sqrt(v + epsilon)     or  d * Reciprocal(Sqrt(v + epsilon))
y = y * scale (+ bias)        optional
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op

__all__ = ["fuse_norms"]


def fuse_norms(rewriter: Rewriter) -> None:
    """Replaces the patterns by one operator over the trailing axes that the mean is taken over."""
    for node in list(rewriter.graph):
        if is_op(node, "Div", "Mul"):
            _fuse(rewriter, node)


def _fuse(rewriter: Rewriter, node: ir.Node) -> None:
    found = _normalised(rewriter, node)
    if found is None:
        return
    centred, variance, epsilon = found
    squared = variance.inputs[0]
    if squared is None or not _is_square(rewriter, squared, centred):
        return
    axis = _trailing_axis(rewriter, variance)
    if axis is None:
        return
    source, op_type = centred, "RMSNormalization"
    subtraction = centred.producer()
    if is_op(subtraction, "Sub") and subtraction is not None and subtraction.inputs[0] is not None:
        mean = subtraction.inputs[1].producer() if subtraction.inputs[1] is not None else None
        takes_mean = is_op(mean, "ReduceMean") and mean is not None and mean.inputs[0] is subtraction.inputs[0]
        if takes_mean and mean is not None and _trailing_axis(rewriter, mean) == axis:
            source, op_type = subtraction.inputs[0], "LayerNormalization"
    info = rewriter.of(source)
    if info.shape is None or info.dtype is None or not info.dtype.is_float:
        return
    shape = info.shape[axis:]
    if not all(isinstance(size, int) for size in shape):
        return
    sizes = [int(size) for size in shape if isinstance(size, int)]
    last, scale, bias = _scale_and_bias(rewriter, node, sizes, with_bias=op_type == "LayerNormalization")
    weight = scale if scale is not None else rewriter.initializer(np.ones(sizes, info.dtype.numpy), "norm_scale")
    attributes = {"axis": axis, "epsilon": epsilon}
    inputs: list[ir.Value | None] = [source, weight] if bias is None else [source, weight, bias]
    fused = rewriter.node(op_type, inputs, last, attributes=attributes, name=node.name or op_type)
    rewriter.replace(last.outputs[0], fused.outputs[0])
    rewriter.remove(last)


def _normalised(rewriter: Rewriter, node: ir.Node) -> tuple[ir.Value, ir.Node, float] | None:
    """d, the node of the variance, and epsilon of ``d / sqrt(variance + epsilon)``."""
    for centred, divisor in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
        if centred is None or divisor is None or (is_op(node, "Div") and centred is not node.inputs[0]):
            continue
        root = divisor.producer()
        if is_op(node, "Mul"):
            root = (
                root.inputs[0].producer()
                if is_op(root, "Reciprocal") and root is not None and root.inputs[0] is not None
                else None
            )
        if root is None or not is_op(root, "Sqrt") or root.inputs[0] is None:
            continue
        adder = root.inputs[0].producer()
        if adder is None or not is_op(adder, "Add"):
            continue
        for place in (0, 1):
            epsilon, mean = rewriter.scalar(adder.inputs[1 - place]), adder.inputs[place]
            variance = mean.producer() if mean is not None else None
            if epsilon is not None and variance is not None and is_op(variance, "ReduceMean"):
                return centred, variance, epsilon
    return None


def _is_square(rewriter: Rewriter, squared: ir.Value, base: ir.Value) -> bool:
    node = squared.producer()
    if node is None:
        return False
    if is_op(node, "Mul"):
        return node.inputs[0] is base and node.inputs[1] is base
    return is_op(node, "Pow") and node.inputs[0] is base and rewriter.scalar(node.inputs[1]) == 2.0


def _trailing_axis(rewriter: Rewriter, mean: ir.Node) -> int | None:
    """The first of the axes of a mean with kept dimensions, where they are the last ones of the input."""
    attributes = node_attributes(mean)
    shape = rewriter.of(mean.inputs[0]).shape
    axes = rewriter.const(mean.inputs[1]) if len(mean.inputs) > 1 else None
    if shape is None or axes is None or not attributes.get("keepdims", 1):
        return None
    places = sorted(int(a) % len(shape) for a in axes.reshape(-1))
    return places[0] if places and places == list(range(places[0], len(shape))) else None


def _scale_and_bias(
    rewriter: Rewriter, node: ir.Node, sizes: list[int], *, with_bias: bool
) -> tuple[ir.Node, ir.Value | None, ir.Value | None]:
    """The last node of the pattern, and the constants by which the result is scaled and shifted."""
    last, scale, bias = node, None, None
    reader = rewriter.sole_reader(last.outputs[0])
    if is_op(reader, "Mul") and reader is not None:
        scale = _vector_operand(rewriter, reader, last.outputs[0], sizes)
        if scale is not None:
            last = reader
            reader = rewriter.sole_reader(last.outputs[0])
    if with_bias and scale is not None and is_op(reader, "Add") and reader is not None:
        bias = _vector_operand(rewriter, reader, last.outputs[0], sizes)
        if bias is not None:
            last = reader
    return last, scale, bias


def _vector_operand(rewriter: Rewriter, node: ir.Node, other: ir.Value, sizes: list[int]) -> ir.Value | None:
    operand = node.inputs[1] if node.inputs[0] is other else node.inputs[0]
    array = rewriter.const(operand)
    return operand if array is not None and list(array.shape) == sizes else None
