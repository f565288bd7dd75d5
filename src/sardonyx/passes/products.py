"""Matrix products of flattened tensors, as ONNX Runtime's optimiser writes them, without the flattening."""

from __future__ import annotations

import onnx_ir as ir

from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op
from sardonyx.symbols import known_equal

__all__ = ["unflatten_products"]


def unflatten_products(rewriter: Rewriter) -> None:
    """Reshape(Gemm(Reshape(x), w, c)) that flattens all but the last dimension and restores them: MatMul and Add.

    What follows then has the product's own shape and becomes its epilogue.
    """
    for node in list(rewriter.graph):
        if not is_op(node, "Gemm"):
            continue
        source, restored = _flattened(rewriter, node), rewriter.sole_reader(node.outputs[0])
        if source is None or restored is None or not is_op(restored, "Reshape") or not _is_plain(rewriter, node):
            continue
        before, after = rewriter.of(source).shape, rewriter.of(restored.outputs[0]).shape
        if before is None or after is None or len(before) != len(after) or len(before) < 3:
            continue
        if all(known_equal(a, b) for a, b in zip(before[:-1], after[:-1], strict=True)):
            _rewrite(rewriter, node, source, restored)


def _flattened(rewriter: Rewriter, node: ir.Node) -> ir.Value | None:
    """The tensor of which the first operand holds the rows."""
    value = node.inputs[0]
    producer = None if value is None else value.producer()
    if producer is None or value is None or not is_op(producer, "Reshape") or producer.inputs[0] is None:
        return None
    shape, flat = rewriter.of(producer.inputs[0]).shape, rewriter.of(value).shape
    if not shape or flat is None or len(flat) != 2:
        return None
    return producer.inputs[0] if known_equal(shape[-1], flat[1]) else None


def _is_plain(rewriter: Rewriter, node: ir.Node) -> bool:
    """Whether it is A B + C with the same C for each row."""
    given = node_attributes(node)
    if given.get("transA", 0) or given.get("transB", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        return False
    added = node.inputs[2] if len(node.inputs) > 2 else None
    return added is None or len(rewriter.of(added).shape or (1, 1)) == 1


def _rewrite(rewriter: Rewriter, node: ir.Node, source: ir.Value, restored: ir.Node) -> None:
    name = node.name or node.outputs[0].name or "Gemm"
    result = rewriter.node("MatMul", [source, node.inputs[1]], restored, name=f"{name}_matmul").outputs[0]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = rewriter.node("Add", [result, node.inputs[2]], restored, name=f"{name}_add").outputs[0]
    rewriter.replace(restored.outputs[0], result)
    rewriter.remove(restored)
    rewriter.remove(node)
