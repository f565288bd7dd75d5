"""Anchors and epilogues: which nodes of a region become one kernel.

Nodes are visited from the last to the first. A pointwise node joins the group of its consumers when all of them are in
one group and computing it there costs no more than storing it; an anchor joins a group of pointwise consumers of its
own shape, which become its epilogue. What joins nobody starts a group and is stored. Because a member's only readers
are in its group, merging never makes a circle, and groups can run in the order of their last nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from sardonyx.compiler.steps import Region
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import Anchor, Elementwise, Indexed, moves_elements
from sardonyx.ops.inference import GraphInfo
from sardonyx.ops.lowered import is_known
from sardonyx.symbols import known_equal

__all__ = ["Group", "group_nodes"]

MAX_MEMBERS = 48
"""Nodes in one group: longer chains are cut, so that kernels stay small enough to compile quickly."""
MAX_RECOMPUTE_COST = 4
"""A value smaller than what it is broadcast to is computed again for each element only when it is this cheap."""


@dataclass
class Group:
    """Nodes that become one kernel: pointwise ``members`` around at most one ``anchor``; ``sink`` makes the result.

    ``prologue`` are the members that feed the anchor.
    """

    sink: ir.Node
    members: set[ir.Node] = field(default_factory=set)
    prologue: set[ir.Node] = field(default_factory=set)
    anchor: ir.Node | None = None


class _Grouping:
    def __init__(self, region: Region, info: GraphInfo) -> None:
        self.region = region
        self.info = info
        self.inside = set(region.nodes)
        self.kept = set(region.outputs)
        self.group_of: dict[ir.Node, Group] = {}
        self.groups: list[Group] = []

    def run(self) -> list[Group]:
        for node in reversed(self.region.nodes):
            record = self.info.records[node]
            if all(is_known(self.info.of(value)) for value in node.outputs):
                continue
            if isinstance(record, Elementwise | Indexed):
                group = self._joinable(node)
                if group is None:
                    self._start(node)
                else:
                    self._join(node, group)
            elif isinstance(record, Anchor):
                self._place_anchor(node, record)
        return list(reversed(self.groups))

    def _start(self, node: ir.Node) -> Group:
        group = Group(node)
        self.groups.append(group)
        self.group_of[node] = group
        return group

    def _join(self, node: ir.Node, group: Group) -> None:
        group.members.add(node)
        self.group_of[node] = group
        readers = {use.node for use in node.outputs[0].uses()}
        if group.anchor in readers or readers & group.prologue:
            group.prologue.add(node)

    def _common_group(self, value: ir.Value) -> Group | None:
        """The one group that all readers of a value are in; None where it must be stored."""
        if value in self.kept or not value.uses():
            return None
        groups = set()
        for use in value.uses():
            reader = self.group_of.get(use.node)
            if reader is None:
                return None
            groups.add(id(reader))
        return self.group_of[next(iter(value.uses())).node] if len(groups) == 1 else None

    def _joinable(self, node: ir.Node) -> Group | None:
        if len([value for value in node.outputs if value.name]) != 1:
            return None
        value = node.outputs[0]
        group = self._common_group(value)
        if group is None or len(group.members) >= MAX_MEMBERS:
            return None
        if self._moves(node) and group.anchor is not None:
            return None
        readers = {use.node for use in value.uses()}
        if any(self._moves(reader) for reader in readers):
            return None if self._cost(node) > MAX_RECOMPUTE_COST else group
        if group.anchor is None:
            return group if self._worth(node, self.info.of(group.sink.outputs[0])) else None
        feeding = readers & (group.prologue | {group.anchor})
        if not feeding:
            return group if self._worth(node, self.info.of(group.sink.outputs[0])) else None
        if feeding != readers:
            return None
        return group if self._feeds_prologue(node, value, group) else None

    def _feeds_prologue(self, node: ir.Node, value: ir.Value, group: Group) -> bool:
        """Whether a node may be computed as the anchor reads its input."""
        anchor = group.anchor
        if anchor is None:
            return False
        record = self.info.records[anchor]
        if not isinstance(record, Anchor) or self._moves(node):
            return False
        place = record.prologue(self.info.contexts[anchor])
        if place is None:
            return False
        source = anchor.inputs[place]
        for use in value.uses():
            if use.node is anchor and use.idx != place:
                return False
        return source is not None and self._worth(node, self.info.of(source))

    def _moves(self, node: ir.Node) -> bool:
        return moves_elements(self.info.records[node], self.info.contexts[node])

    def _cost(self, node: ir.Node) -> int:
        record = self.info.records[node]
        return record.cost if isinstance(record, Elementwise) else 1

    def _worth(self, node: ir.Node, domain: TensorInfo) -> bool:
        """Whether computing a node once per element of ``domain`` is no waste."""
        return self._same_shape(self.info.of(node.outputs[0]), domain) or self._cost(node) <= MAX_RECOMPUTE_COST

    @staticmethod
    def _same_shape(a: TensorInfo, b: TensorInfo) -> bool:
        if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
            return False
        return all(known_equal(x, y) for x, y in zip(a.shape, b.shape, strict=True))

    def _place_anchor(self, node: ir.Node, record: Anchor) -> None:
        outputs = [self.info.of(value) for value in node.outputs]
        group = self._common_group(node.outputs[0])
        takes = (
            group is not None and group.anchor is None and record.loops(self.info.contexts[node], outputs) is not None
        )
        if group is None or not takes or not self._epilogue_fits(node, group):
            self._start(node).anchor = node
            return
        group.anchor = node
        self.group_of[node] = group

    def _epilogue_fits(self, node: ir.Node, group: Group) -> bool:
        """Whether every member of a group can be evaluated where the anchor has its results.

        Members that depend on the anchor must have its shape; none may move elements about. What reads another output
        of the anchor must run after it, and what it makes may be read by a member: then nothing is taken along.
        """
        if any(value.uses() for value in node.outputs[1:]):
            return False
        shape = self.info.of(node.outputs[0])
        everyone = group.members | {group.sink}
        if any(self._moves(member) for member in everyone):
            return False
        if not self._same_shape(self.info.of(group.sink.outputs[0]), shape):
            return False
        dependent = set(node.outputs)
        for member in self.region.nodes:
            if member in everyone and any(value in dependent for value in member.inputs):
                if not self._same_shape(self.info.of(member.outputs[0]), shape):
                    return False
                dependent.add(member.outputs[0])
        return True


def group_nodes(region: Region, info: GraphInfo) -> list[Group]:
    """The kernels of a region in an order in which they can run; views and known values are in no group."""
    return _Grouping(region, info).run()
