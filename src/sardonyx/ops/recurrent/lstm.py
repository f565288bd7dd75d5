"""LSTM."""

from __future__ import annotations

from typing import ClassVar

from sardonyx.kernels.point import PointOp
from sardonyx.kernels.recurrent_cell import Cell, LstmCell
from sardonyx.ops.base import InferContext
from sardonyx.ops.recurrent.layer import PEEPHOLES, Recurrent
from sardonyx.ops.registry import op

__all__ = ["LSTM"]


@op("LSTM")
class LSTM(Recurrent):
    """Long short-term memory: gates i, o, f and c, a cell state, peepholes P. See ``Recurrent`` and ``LstmCell``.

    As in ONNX Runtime, ``clip`` bounds what goes into the gates' activations, not the cell state's.
    """

    input_forget: int = 0

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2
    default_activations: ClassVar[tuple[str, ...]] = ("Sigmoid", "Tanh", "Tanh")

    def cell(self, functions: tuple[PointOp, ...], ctx: InferContext) -> Cell:
        f, g, h = functions
        peepholes = ctx.optional(PEEPHOLES) is not None
        return LstmCell(f, g, h, self.clip, bool(self.input_forget), peepholes)
