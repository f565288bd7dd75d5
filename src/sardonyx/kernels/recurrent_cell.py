"""The cells of recurrent layers: what one step does with the products of one vector of hidden units.

A step has phases; in each, some gates get the product of a vector of the whole layer (the state of the step before, or
what an earlier phase has made) with their recurrent weights, and then ``update`` runs for every unit:

    LSTM    i, o, f, c of h                    c' = f c + i g(..)       h' = o h(c')
    GRU     z, r, h of h                       h' = (1 - z) g(.. + r (..)) + z h        linear before reset
            z, r of h; then h of r h           h' = (1 - z) g(..) + z h                 else
    RNN     one gate of h                      h' = f(..)

Gates and peepholes are numbered in the order of ONNX's weights (i o f c; z r h). See the operators' specification in
https://onnx.ai/onnx/operators for the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sardonyx.kernels.point import PointOp
from sardonyx.lang import Value

__all__ = ["Cell", "GruCell", "LstmCell", "Phase", "RnnCell", "Unit"]


@dataclass(frozen=True)
class Phase:
    """Products of one step: ``gates`` of the vector ``source`` (None: the state h, else the number of a kept one)."""

    gates: tuple[int, ...]
    source: int | None = None


class Unit(Protocol):
    """One vector of hidden units in one phase of a step."""

    @property
    def h(self) -> Value:
        """The output of the step before."""

    @property
    def c(self) -> Value:
        """The cell state of the step before."""

    def gate(self, index: int) -> Value:
        """The input's product, the recurrent product and both biases of a gate."""

    def parts(self, index: int) -> tuple[Value, Value]:
        """The same as two sums: the input's part and the recurrent part."""

    def peephole(self, index: int) -> Value:
        """A weight of the connection from the cell state."""

    def kept(self, index: int) -> Value:
        """What an earlier phase of this step kept."""


class Cell(Protocol):
    """A frozen description whose ``repr`` is complete.

    ``gates`` is the number of gates, ``kept`` that of the values that phases hand on, ``has_c`` whether there is a cell
    state beside h.
    """

    @property
    def gates(self) -> int: ...

    @property
    def kept(self) -> int: ...

    @property
    def has_c(self) -> bool: ...

    @property
    def phases(self) -> tuple[Phase, ...]: ...

    def update(self, phase: int, unit: Unit) -> Sequence[Value]:
        """The last phase gives the new h (and c), the others the values to keep."""


def _clipped(value: Value, limit: float | None) -> Value:
    return value if limit is None else value.b.maximum(value.b.minimum(value, limit), -limit)


def _apply(activation: PointOp, value: Value) -> Value:
    result = activation.compute(value)
    assert isinstance(result, Value)
    return result


@dataclass(frozen=True)
class LstmCell:
    """Gates i, o, f, c. ``clip`` bounds what goes into the gates' activations; with ``input_forget``, f is 1 - i."""

    f: PointOp
    g: PointOp
    h: PointOp
    clip: float | None = None
    input_forget: bool = False
    peepholes: bool = False

    gates = 4
    kept = 0
    has_c = True
    phases = (Phase((0, 1, 2, 3)),)

    def update(self, phase: int, unit: Unit) -> Sequence[Value]:
        before = unit.c
        i = self._gate(unit, 0, 0, before)
        f = 1.0 - i if self.input_forget else self._gate(unit, 2, 2, before)
        candidate = _apply(self.g, _clipped(unit.gate(3), self.clip))
        c = before.b.fma(f, before, i * candidate)
        o = self._gate(unit, 1, 1, c)
        return o * _apply(self.h, c), c

    def _gate(self, unit: Unit, gate: int, peephole: int, c: Value) -> Value:
        total = unit.gate(gate)
        if self.peepholes:
            total = total.b.fma(unit.peephole(peephole), c, total)
        return _apply(self.f, _clipped(total, self.clip))


@dataclass(frozen=True)
class GruCell:
    """Gates z, r, h. ``clip`` bounds what goes into the activations."""

    f: PointOp
    g: PointOp
    clip: float | None = None
    linear_before_reset: bool = False

    gates = 3
    has_c = False

    @property
    def kept(self) -> int:
        return 0 if self.linear_before_reset else 2

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase((0, 1, 2)),) if self.linear_before_reset else (Phase((0, 1)), Phase((2,), source=0))

    def update(self, phase: int, unit: Unit) -> Sequence[Value]:
        if phase == 1:
            return (self._mixed(unit, unit.kept(1), unit.gate(2)),)
        z, r = (_apply(self.f, _clipped(unit.gate(gate), self.clip)) for gate in (0, 1))
        if not self.linear_before_reset:
            return r * unit.h, z
        mine, recurrent = unit.parts(2)
        return (self._mixed(unit, z, mine.b.fma(r, recurrent, mine)),)

    def _mixed(self, unit: Unit, z: Value, total: Value) -> Value:
        candidate = _apply(self.g, _clipped(total, self.clip))
        return z.b.fma(z, unit.h - candidate, candidate)


@dataclass(frozen=True)
class RnnCell:
    """One gate. ``clip`` bounds what goes into the activation."""

    f: PointOp
    clip: float | None = None

    gates = 1
    kept = 0
    has_c = False
    phases = (Phase((0,)),)

    def update(self, phase: int, unit: Unit) -> Sequence[Value]:
        return (_apply(self.f, _clipped(unit.gate(0), self.clip)),)
