"""Softmax attention as PyTorch, TensorFlow and ONNX function bodies write it, as one operator.

scores = MatMul(Q, K^T)                  Q and K possibly scaled before
scores = scores * scale  or  / scale     optional
scores = scores + mask                   optional
Y      = MatMul(Softmax(scores, -1), V)
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from sardonyx.ops.attention import fits_kernel
from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op
from sardonyx.symbols import Dim, known_equal

__all__ = ["fuse_attention"]


@dataclass
class _Match:
    query: ir.Value
    key_transposed: ir.Value
    value: ir.Value
    mask: ir.Value | None
    scale: float


def fuse_attention(rewriter: Rewriter) -> None:
    """Replaces the pattern by the operator ``sardonyx::Attention``, whose kernel never stores the scores."""
    for node in list(rewriter.graph):
        if not is_op(node, "MatMul"):
            continue
        match = _match(rewriter, node)
        if match is not None:
            _rewrite(rewriter, node, match)


def _match(rewriter: Rewriter, product: ir.Node) -> _Match | None:
    softmax = _producer(rewriter, product.inputs[0], "Softmax")
    if softmax is None or product.inputs[1] is None:
        return None
    rank = len(rewriter.of(product.outputs[0]).shape or ())
    if rank != 4 or node_attributes(softmax).get("axis", -1) not in (-1, rank - 1):
        return None
    scores = softmax.inputs[0]
    mask: ir.Value | None = None
    adder = _producer(rewriter, scores, "Add")
    if adder is not None:
        scores, mask = _scores_and_mask(adder)
    scale = 1.0
    scaler = _producer(rewriter, scores, "Mul", "Div")
    if scaler is not None:
        scores, factor = _scaled(rewriter, scaler)
        if factor is None:
            return None
        scale = factor
    matmul = _producer(rewriter, scores, "MatMul")
    if matmul is None or matmul.inputs[0] is None or matmul.inputs[1] is None:
        return None
    query, before = _unscaled(rewriter, matmul.inputs[0])
    key, also = _unscaled(rewriter, matmul.inputs[1])
    match = _Match(query, key, product.inputs[1], mask, scale * before * also)
    return match if _fits(rewriter, match) else None


def _producer(rewriter: Rewriter, value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The producer of a value that nobody else reads, where it is one of these operators."""
    if value is None or rewriter.sole_reader(value) is None:
        return None
    node = value.producer()
    return node if node is not None and is_op(node, *op_types) else None


def _scores_and_mask(adder: ir.Node) -> tuple[ir.Value | None, ir.Value | None]:
    """Which operand of the addition is the product of Q and K."""
    left, right = adder.inputs
    for scores, mask in ((left, right), (right, left)):
        node = scores.producer() if scores is not None else None
        if node is not None and is_op(node, "MatMul", "Mul", "Div"):
            return scores, mask
    return left, right


def _scaled(rewriter: Rewriter, node: ir.Node) -> tuple[ir.Value | None, float | None]:
    left, right = node.inputs
    number = rewriter.scalar(right)
    if number is not None and (node.op_type == "Mul" or number != 0):
        return left, number if node.op_type == "Mul" else 1.0 / number
    number = rewriter.scalar(left)
    if number is not None and node.op_type == "Mul":
        return right, number
    return None, None


def _unscaled(rewriter: Rewriter, value: ir.Value) -> tuple[ir.Value, float]:
    """A factor of the scores without the constant it was multiplied by."""
    node = _producer(rewriter, value, "Mul", "Div")
    if node is not None:
        inner, factor = _scaled(rewriter, node)
        if inner is not None and factor is not None and rewriter.of(inner).shape == rewriter.of(value).shape:
            return inner, factor
    return value, 1.0


def _fits(rewriter: Rewriter, match: _Match) -> bool:
    """Whether sizes and types are those the kernel takes: one batch and head for all, mask broadcast to the scores."""
    q, k, v = (rewriter.of(x) for x in (match.query, match.key_transposed, match.value))
    if q.shape is None or k.shape is None or v.shape is None or not len(q.shape) == len(k.shape) == len(v.shape) == 4:
        return False
    if not fits_kernel(q.dtype, v.shape[3]):
        return False
    if not (_same(q.shape[:2], k.shape[:2]) and _same(q.shape[:2], v.shape[:2])):
        return False
    if not (_same(q.shape[3:], k.shape[2:3]) and _same(k.shape[3:], v.shape[2:3])):
        return False
    if match.mask is None:
        return True
    mask = rewriter.of(match.mask)
    if mask.shape is None or len(mask.shape) > 4 or mask.dtype != q.dtype:
        return False
    scores = (*q.shape[:3], k.shape[3])
    wanted = scores[4 - len(mask.shape) :]
    return all(size == 1 or known_equal(size, full) for size, full in zip(mask.shape, wanted, strict=True))


def _same(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> bool:
    return all(known_equal(x, y) for x, y in zip(a, b, strict=True))


def _rewrite(rewriter: Rewriter, product: ir.Node, match: _Match) -> None:
    swapped = rewriter.node("Transpose", [match.key_transposed], product, attributes={"perm": [0, 1, 3, 2]})
    inputs: list[ir.Value | None] = [match.query, swapped.outputs[0], match.value]
    if match.mask is not None:
        inputs.append(match.mask)
    reader = rewriter.sole_reader(product.outputs[0])
    transposed = (
        reader is not None
        and is_op(reader, "Transpose")
        and tuple(node_attributes(reader).get("perm", ())) == (0, 2, 1, 3)
    )
    attributes = {"scale": match.scale, "transposed_output": int(transposed)}
    name = f"{product.name or product.outputs[0].name}_attention"
    fused = rewriter.node("Attention", inputs, product, domain="sardonyx", attributes=attributes, name=name)
    rewriter.replace(product.outputs[0], fused.outputs[0])
    rewriter.remove(product)
