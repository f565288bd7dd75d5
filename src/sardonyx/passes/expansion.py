"""Operators without a lowering of their own that ONNX defines by others: the nodes become those."""

from __future__ import annotations

import onnx_ir as ir

from sardonyx.graph import expand_function_op
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.nested import graphs_of
from sardonyx.ops.composite import Reducible
from sardonyx.ops.inference import GraphInfo, declared_info
from sardonyx.ops.lowered import awaits_ranks, is_served
from sardonyx.passes.composites import expand_node
from sardonyx.passes.rewriting import Rewriter

__all__ = ["expand_functions"]

MAX_DEPTH = 16
"""Expansions inside one another; ONNX's own bodies are at most three levels deep."""


def expand_functions(rewriter: Rewriter) -> None:
    """Replaces nodes that would run on the fallback by what their records make of them, or by the bodies that ONNX
    gives for their operators."""
    info = declared_info(rewriter.graph)
    rewriter.adopt(info)
    _expand(rewriter, info)


def _expand(rewriter: Rewriter, info: GraphInfo) -> None:
    waiting = [(node, 0) for node in reversed(list(rewriter.graph))]
    while waiting:
        node, depth = waiting.pop()
        info.add_node(node)
        if graphs_of(node):
            _expand_inside(rewriter, node, info)
        if depth >= MAX_DEPTH or is_served(node, info) or awaits_ranks(node, info):
            continue
        record = info.records[node]
        if isinstance(record, Reducible) and record.expands(info.contexts[node]):
            waiting += [(made, depth + 1) for made in reversed(expand_node(rewriter, node))]
            continue
        for value in node.inputs:
            if value is not None:
                _declare(value, info.of(value))
        nodes = expand_function_op(node)
        if nodes is not None:
            rewriter.changes += 1
            for value in {v for made in nodes for v in made.inputs if v is not None and v.is_initializer()}:
                info.add_constant(value)
            waiting += [(made, depth + 1) for made in reversed(nodes)]


def _expand_inside(rewriter: Rewriter, node: ir.Node, info: GraphInfo) -> None:
    """Goes through the graphs of a node; what is known of its outputs may then be more."""
    before = rewriter.changes
    for graph in graphs_of(node):
        nested = rewriter.inside(graph)
        if nested.is_inferred:
            _expand(nested, info)
            rewriter.changes += nested.changes
    if rewriter.changes > before:
        info.add_node(node)


def _declare(value: ir.Value, known: TensorInfo) -> None:
    """Tells a value's type and rank, on which the choice of a body may depend."""
    if value.type is None and known.dtype is not None:
        value.type = ir.TensorType(ir.DataType(known.dtype.onnx))
    if value.shape is None and known.shape is not None:
        value.shape = ir.Shape([d if isinstance(d, int) else None for d in known.shape])
