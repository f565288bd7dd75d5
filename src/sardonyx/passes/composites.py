"""Operators that are compositions of others (``ops/composite.py``), replaced by those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.nested import graphs_of
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.inference import GraphInfo, declared_info, node_attributes, node_label
from sardonyx.ops.registry import decode, record
from sardonyx.passes.rewriting import Rewriter

__all__ = ["expand_composites"]


def expand_composites(rewriter: Rewriter) -> None:
    """Replaces every composite by its composition, in the graphs inside of nodes too."""
    if any(_is_composite(node) for node in rewriter.graph.all_nodes()):
        info = declared_info(rewriter.graph)
        rewriter.adopt(info)
        _expand_graph(rewriter, info)


def _is_composite(node: ir.Node) -> bool:
    cls = record(node.op_type, node.domain)
    return cls is not None and issubclass(cls, Composite)


def _expand_graph(rewriter: Rewriter, info: GraphInfo) -> None:
    for node in list(rewriter.graph):
        if _is_composite(node):
            _expand(rewriter, node)
            continue
        for graph in graphs_of(node):
            nested = rewriter.inside(graph)
            info.add_ports(graph)
            _expand_graph(nested, info)
            rewriter.changes += nested.changes
        info.add_node(node)


def _expand(rewriter: Rewriter, node: ir.Node) -> None:
    """Puts the composition in the place of one node."""
    one = decode(node.op_type, node.domain, node_attributes(node), node_label(node))
    if not isinstance(one, Composite):
        raise AssertionError(f"{node.op_type} is no composite")
    builder = _Builder(rewriter, node)
    fewest, most = one.inputs
    if most is not None and len(node.inputs) > most:
        builder.fail(f"it takes at most {most} inputs, got {len(node.inputs)}")
    for index in range(fewest):
        builder.input(index)
    results = one.expand(builder)
    for index, old in enumerate(node.outputs):
        if not old.name:
            continue
        new = results[index] if index < len(results) else None
        if new is None:
            builder.fail(f"it has no output {index}")
        rewriter.replace(old, new)
    rewriter.remove(node)


class _Builder(Builder):
    def __init__(self, rewriter: Rewriter, node: ir.Node) -> None:
        super().__init__(node, node_label(node))
        self._rewriter = rewriter
        self._name = node.name or next((value.name for value in node.outputs if value.name), "") or node.op_type

    def ops(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        outputs: int = 1,
        domain: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        try:
            made = self._rewriter.node(
                op_type,
                given,
                self.node,
                domain=domain,
                attributes=attributes,
                name=f"{self._name}/{op_type}",
                outputs=outputs,
            )
        except InvalidModelError as error:
            self.fail(f"in its composition: {error}")
        return made.outputs

    def constant(self, array: npt.NDArray[Any]) -> ir.Value:
        return self._rewriter.initializer(array, f"{self._name}/constant")

    def info(self, value: ir.Value) -> TensorInfo:
        return self._rewriter.of(value)
