"""RNN."""

from __future__ import annotations

from typing import ClassVar

from sardonyx.kernels.point import PointOp
from sardonyx.kernels.recurrent_cell import Cell, RnnCell
from sardonyx.ops.base import InferContext
from sardonyx.ops.recurrent.layer import Recurrent
from sardonyx.ops.registry import op

__all__ = ["RNN"]


@op("RNN")
class RNN(Recurrent):
    """A plain recurrent layer: one gate. See ``Recurrent``."""

    activations: tuple[str, ...] = ("Tanh", "Tanh")

    gates: ClassVar[int] = 1
    default_activations: ClassVar[tuple[str, ...]] = ("Tanh",)

    def names(self, directions: int) -> tuple[str, ...]:
        return self.activations[:directions]

    def cell(self, functions: tuple[PointOp, ...], ctx: InferContext) -> Cell:
        return RnnCell(functions[0], self.clip)
