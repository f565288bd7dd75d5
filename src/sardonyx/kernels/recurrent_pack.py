"""Packing of a recurrent layer's hidden weights into panels that hold all gates of the same hidden units.

    for direction; for phase of a step: for vector of hidden units:           # one panel
        for k < hidden: for gate of the phase: one vector of weights, zero beyond the last unit

so that the products of a step read the weights from front to back, and a tile of results has every gate of its units.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.recurrent_cell import Phase
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Value
from sardonyx.symbols import Dim

__all__ = ["Panels", "RecurrentPack"]


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

    def columns(self, phase: int) -> int:
        """Elements of one k of a panel."""
        return len(self.phases[phase].gates) * self.lanes

    def start(self, phase: int) -> int:
        """The first element of a phase within a direction."""
        return sum(self.vectors * self.hidden * self.columns(p) for p in range(phase))

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
                columns = panels.columns(place)
                panel = packed.at(vector * (panels.hidden * columns) + panels.start(place))
                for number, gate in enumerate(phase.gates):
                    source = weights.at(size(self.row) * (gate * panels.hidden))
                    with b.loop(panels.hidden) as k:
                        value = source.at(k).gather(offsets, mask).to(self.dtype)
                        panel.store(value, k * columns + number * panels.lanes)
