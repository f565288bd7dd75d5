"""Packing of a recurrent layer's hidden weights into panels that hold all gates of the same hidden units.

    for direction; for phase of a step: for panel:       # V vectors of hidden units
        for k < hidden: for v < V: for gate of the phase: one vector of weights, zero beyond the last unit

so that the products of a step read each panel from front to back, and a tile of results has every gate of its units.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.recurrent_cell import Phase
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.symbols import Dim

__all__ = ["Panels", "RecurrentPack"]

SUMS = 8
"""Sums of one row that hide the latency of multiply-adds; a panel is as wide."""


@dataclass(frozen=True)
class Panels:
    """Where the packed weights of ``hidden`` units lie: ``lanes`` units a vector, the gates of ``phases`` together."""

    hidden: int
    phases: tuple[Phase, ...]
    lanes: int

    @property
    def vectors(self) -> int:
        """Vectors of hidden units, the last of which may be partial."""
        return -(-self.hidden // self.lanes)

    def high(self, phase: int) -> int:
        """Vectors of hidden units in one panel."""
        return min(self.vectors, max(1, SUMS // len(self.phases[phase].gates)))

    def count(self, phase: int) -> int:
        """Panels of a phase."""
        return -(-self.vectors // self.high(phase))

    def step(self, phase: int) -> int:
        """Elements of one k of a panel."""
        return self.high(phase) * len(self.phases[phase].gates) * self.lanes

    def start(self, phase: int) -> int:
        """The first element of a phase within a direction."""
        return sum(self.count(p) * self.hidden * self.step(p) for p in range(phase))

    @property
    def size(self) -> int:
        """Elements of one direction."""
        return self.start(len(self.phases))


@dataclass(frozen=True)
class RecurrentPack:
    """Packs weights [directions, gates * hidden, hidden], of which the last dimension is dense.

    ``direction`` and ``row`` are the strides of the first two. Buffers: the packed memory, the weights. Tasks:
    directions times ``panels.vectors``.
    """

    panels: Panels
    source: DType
    dtype: DType
    direction: Dim
    row: Dim

    @property
    def name(self) -> str:
        return "pack_recurrent"

    def emit(self, b: KernelBuilder) -> None:
        panels = self.panels

        def size(dim: Dim) -> Value:
            return emit_dim(b, dim, lambda name: b.size(int(name[1:])))

        with b.tasks() as task:
            direction, vector = b.index_div(task, panels.vectors), b.index_rem(task, panels.vectors)
            first = vector * panels.lanes
            weights = b.buffer(1, self.source).at(direction * size(self.direction)).at(first * size(self.row))
            packed = b.buffer(0, self.dtype).at(direction * panels.size)
            offsets = b.iota(I64.with_lanes(panels.lanes)) * size(self.row)
            mask = None
            if panels.hidden % panels.lanes:
                mask = b.tail_mask(panels.hidden - first, panels.lanes)
            for place, phase in enumerate(panels.phases):
                high, step = panels.high(place), panels.step(place)
                panel = b.index_div(vector, high) * (panels.hidden * step) + panels.start(place)
                at = panel + b.index_rem(vector, high) * (len(phase.gates) * panels.lanes)
                for number, gate in enumerate(phase.gates):
                    source = weights.at(size(self.row) * (gate * panels.hidden))
                    with b.loop(panels.hidden) as k:
                        value = source.at(k).gather(offsets, mask).to(self.dtype)
                        packed.store(value, at + k * step + number * panels.lanes)
