"""GRU."""

from __future__ import annotations

from typing import ClassVar

from sardonyx.kernels.point import PointOp
from sardonyx.kernels.recurrent_cell import Cell, GruCell
from sardonyx.ops.base import InferContext
from sardonyx.ops.recurrent.layer import Recurrent
from sardonyx.ops.registry import op

__all__ = ["GRU"]


@op("GRU")
class GRU(Recurrent):
    """Gated recurrent unit: gates z, r and h. See ``Recurrent`` and ``GruCell``.

    With ``linear_before_reset`` the reset gate scales the recurrent product, otherwise what goes into it.
    """

    linear_before_reset: int = 0

    gates: ClassVar[int] = 3
    default_activations: ClassVar[tuple[str, ...]] = ("Sigmoid", "Tanh")

    def cell(self, functions: tuple[PointOp, ...], ctx: InferContext) -> Cell:
        f, g = functions
        return GruCell(f, g, self.clip, bool(self.linear_before_reset))
