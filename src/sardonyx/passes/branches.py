"""Control flow that is settled before a run: an If whose condition is constant becomes the branch that is taken."""

from __future__ import annotations

import onnx_ir as ir

from sardonyx.ops.control import truth
from sardonyx.passes.rewriting import Rewriter, is_op

__all__ = ["splice", "taken_branch"]


def taken_branch(rewriter: Rewriter, node: ir.Node) -> ir.Graph | None:
    """The branch of an If that is taken in every run."""
    if not is_op(node, "If"):
        return None
    chosen = truth(rewriter.of(node.inputs[0]))
    if chosen is None:
        return None
    return node.attributes["then_branch" if chosen else "else_branch"].as_graph()


def splice(rewriter: Rewriter, node: ir.Node, branch: ir.Graph) -> list[ir.Node]:
    """Puts the nodes of a graph without inputs in the place of the node around it; returns them."""
    outputs, nodes = list(branch.outputs), list(branch)
    branch.outputs.clear()
    branch.remove(nodes)
    for name in list(branch.initializers):
        rewriter.graph.register_initializer(branch.initializers.pop(name))
    rewriter.graph.insert_before(node, nodes)
    for old, new in zip(node.outputs, outputs, strict=False):
        rewriter.replace(old, new)
    rewriter.remove(node)
    return nodes
