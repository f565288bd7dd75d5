"""Passes that make a graph smaller without changing how anything is computed."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from sardonyx.graph.info import TensorInfo
from sardonyx.graph.nested import graphs_of
from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op, is_random
from sardonyx.symbols import known_equal

__all__ = ["common_subexpressions", "dead_code", "identities"]


def dead_code(rewriter: Rewriter) -> None:
    """Removes nodes none of whose outputs are used, and initializers that nobody reads; in graphs inside of nodes
    first, which read values of this one."""
    graph = rewriter.graph
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            rewriter.remove(node)
            continue
        for inner in graphs_of(node):
            nested = rewriter.inside(inner)
            dead_code(nested)
            rewriter.changes += nested.changes
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del graph.initializers[name]
            rewriter.changes += 1


def identities(rewriter: Rewriter) -> None:
    """Removes nodes that give their input unchanged: Identity, Dropout, casts to the same type, neutral operands,
    transposes and reshapes that move nothing."""
    for node in list(rewriter.graph):
        source = _same_as(rewriter, node)
        if source is not None and not (node.outputs[0].is_graph_output() and _is_boundary(source, rewriter.graph)):
            rewriter.replace(node.outputs[0], source)
            rewriter.remove(node)


def _is_boundary(value: ir.Value, graph: ir.Graph) -> bool:
    return value.is_graph_input() or value.is_initializer() or value.is_graph_output() or value.graph is not graph


def _same_as(rewriter: Rewriter, node: ir.Node) -> ir.Value | None:
    """The input that a node's only used output equals."""
    if not node.inputs or node.inputs[0] is None or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return None
    source = node.inputs[0]
    if is_op(node, "Identity"):
        return source
    if is_op(node, "Dropout"):
        training = node.inputs[2] if len(node.inputs) > 2 else None
        off = rewriter.const(training)
        return source if training is None or (off is not None and not off.any()) else None
    if is_op(node, "Cast", "CastLike"):
        same = rewriter.of(source).dtype == rewriter.of(node.outputs[0]).dtype
        return source if same and rewriter.of(source).dtype is not None else None
    if is_op(node, "Transpose"):
        perm = node_attributes(node).get("perm")
        return source if perm is not None and tuple(perm) == tuple(range(len(perm))) else None
    if is_op(node, "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice"):
        return source if _moves_nothing(rewriter, node, source) else None
    if is_op(node, "Add", "Sub", "Mul", "Div"):
        return _neutral(rewriter, node)
    return None


def _moves_nothing(rewriter: Rewriter, node: ir.Node, source: ir.Value) -> bool:
    """Whether input and output surely have one shape; for Slice that means everything is kept, if not reversed."""
    before, after = rewriter.of(source).shape, rewriter.of(node.outputs[0]).shape
    if before is None or after is None or len(before) != len(after):
        return False
    if is_op(node, "Slice"):
        steps = rewriter.const(node.inputs[4]) if len(node.inputs) > 4 else None
        if (len(node.inputs) > 4 and node.inputs[4] is not None and steps is None) or (
            steps is not None and (steps < 0).any()
        ):
            return False
    return all(known_equal(a, b) for a, b in zip(before, after, strict=True))


def _neutral(rewriter: Rewriter, node: ir.Node) -> ir.Value | None:
    """The other operand of x + 0, x - 0, x * 1 and x / 1, where its shape is the result's.

    The sign of a zero may change (-0.0 + 0.0 is 0.0), as in every engine that removes these.
    """
    places = (0, 1) if node.op_type in ("Add", "Mul") else (1,)
    for place in places:
        operand, other = node.inputs[place], node.inputs[1 - place]
        array = rewriter.const(operand)
        if array is None or other is None or array.size == 0 or array.dtype.kind not in "fiu":
            continue
        wanted = 1 if node.op_type in ("Mul", "Div") else 0
        if not (array == wanted).all():
            continue
        if _same_shape(rewriter.of(other), rewriter.of(node.outputs[0])):
            return other
    return None


def _same_shape(a: TensorInfo, b: TensorInfo) -> bool:
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return False
    return all(known_equal(x, y) for x, y in zip(a.shape, b.shape, strict=True))


def common_subexpressions(rewriter: Rewriter) -> None:
    """Lets nodes that compute the same from the same share one result."""
    seen: dict[tuple[Any, ...], ir.Node] = {}
    for node in list(rewriter.graph):
        key = _key(node)
        if key is None:
            continue
        first = seen.setdefault(key, node)
        if first is node or any(v.is_graph_output() for v in node.outputs):
            continue
        for kept, dropped in zip(first.outputs, node.outputs, strict=True):
            rewriter.replace(dropped, kept)
        rewriter.remove(node)


def _key(node: ir.Node) -> tuple[Any, ...] | None:
    if is_random(node):
        return None
    attributes: list[tuple[str, Any]] = []
    for name, attribute in sorted(node.attributes.items()):
        if attribute.is_ref() or attribute.type not in _PLAIN:
            return None
        value = attribute.value
        attributes.append((name, tuple(value) if isinstance(value, (list, tuple)) else value))
    return (node.domain, node.op_type, node.version, tuple(map(id, node.inputs)), len(node.outputs), repr(attributes))


_PLAIN = (
    ir.AttributeType.INT,
    ir.AttributeType.INTS,
    ir.AttributeType.FLOAT,
    ir.AttributeType.FLOATS,
    ir.AttributeType.STRING,
    ir.AttributeType.STRINGS,
)
