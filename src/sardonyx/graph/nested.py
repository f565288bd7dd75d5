"""Graphs inside of nodes: the branches and bodies of control flow."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["graphs_of"]


def graphs_of(node: ir.Node) -> list[ir.Graph]:
    """The graphs among a node's attributes, in order."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found
