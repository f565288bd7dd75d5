"""Operators that are compositions of others (``ops/composite.py``), replaced by those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from sardonyx.errors import InvalidModelError
from sardonyx.graph.info import TensorInfo
from sardonyx.graph.nested import graphs_of
from sardonyx.ops.base import InferContext
from sardonyx.ops.composite import Builder, Composite, Reducible
from sardonyx.ops.inference import GraphInfo, declared_info, node_attributes, node_label
from sardonyx.ops.registry import decode, record
from sardonyx.passes.rewriting import Rewriter

__all__ = ["expand_composites", "expand_node"]


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
            expand_node(rewriter, node)
            continue
        for graph in graphs_of(node):
            nested = rewriter.inside(graph)
            info.add_ports(graph)
            _expand_graph(nested, info)
            rewriter.changes += nested.changes
        info.add_node(node)


def expand_node(rewriter: Rewriter, node: ir.Node) -> list[ir.Node]:
    """Puts the composition in the place of one node; the nodes it is made of."""
    one = decode(node.op_type, node.domain, node_attributes(node), node_label(node))
    if not isinstance(one, Reducible):
        raise AssertionError(f"{node.op_type} is not made of others")
    builder = _Builder(rewriter, node)
    if isinstance(one, Composite):
        _check_inputs(one, builder)
    results = one.expand(builder)
    for index, old in enumerate(node.outputs):
        if not old.name:
            continue
        new = results[index] if index < len(results) else None
        if new is None:
            builder.fail(f"it has no output {index}")
        rewriter.replace(old, new)
    rewriter.remove(node)
    return builder.made


def _check_inputs(one: Composite, builder: Builder) -> None:
    fewest, most = one.inputs
    if most is not None and len(builder.node.inputs) > most:
        builder.fail(f"it takes at most {most} inputs, got {len(builder.node.inputs)}")
    for index in range(fewest):
        builder.input(index)


class _Builder(Builder):
    def __init__(self, rewriter: Rewriter, node: ir.Node) -> None:
        super().__init__(node, node_label(node))
        self._rewriter = rewriter
        self.made: list[ir.Node] = []
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
        self.made.append(made)
        return made.outputs

    def constant(self, array: npt.NDArray[Any]) -> ir.Value:
        return self._rewriter.initializer(array, f"{self._name}/constant")

    def info(self, value: ir.Value) -> TensorInfo:
        return self._rewriter.of(value)

    @property
    def infer(self) -> InferContext:
        return self._rewriter.info.contexts[self.node]
