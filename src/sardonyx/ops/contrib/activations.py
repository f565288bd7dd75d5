"""Activations with what stands in front of them: Gelu, FastGelu, BiasGelu, QuickGelu, BiasAdd and so on.

Source of this and the other files here: the operators' documentation in ONNX Runtime (docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.registry import op

__all__ = ["activate"]

MICROSOFT = "com.microsoft"

PARAMETERS = {
    "Relu": {},
    "Tanh": {},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "LeakyRelu": {"alpha": 0.01},
    "Elu": {"alpha": 1.0},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "Celu": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
}
"""The activations that are fused into other operators, with the defaults of their attributes."""


def activate(b: Builder, x: ir.Value, name: str, given: Sequence[float | None] = ()) -> ir.Value:
    """An activation called by ``name``, with its attributes in order (None: the default); "" is none at all.

    Clip has the bounds as its attributes.
    """
    if name == "":
        return x
    if name == "Clip":
        low, high = [*given, None, None][:2]
        return b.op("Clip", x, *(None if bound is None else b.number(bound, x) for bound in (low, high)))
    if name not in PARAMETERS:
        b.unsupported(f"activation {name!r}; there are {', '.join(['Clip', *PARAMETERS])}")
    chosen = {key: value for key, value in zip(PARAMETERS[name], given, strict=False) if value is not None}
    attributes: dict[str, Any] = {**PARAMETERS[name], **chosen}
    return b.op(name, x, **attributes)


def silu(b: Builder, x: ir.Value, alpha: float = 1.0) -> ir.Value:
    """x * sigmoid(alpha * x)"""
    return b.op("Swish", x, alpha=alpha)


@op("Gelu", MICROSOFT)
class Gelu(Composite):
    """x / 2 * (1 + erf(x / sqrt(2)))"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("Gelu", b.input(0)),)


@op("FastGelu", MICROSOFT)
class FastGelu(Composite):
    """The approximation of Gelu by tanh, of x plus an optional bias along the last dimension."""

    inputs = (1, 2)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, bias = b.input(0), b.optional(1)
        return (b.op("Gelu", x if bias is None else b.op("Add", x, bias), approximate="tanh"),)


@op("BiasGelu", MICROSOFT)
class BiasGelu(Composite):
    """Gelu of x plus a bias along the last dimension."""

    inputs = (2, 2)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("Gelu", b.op("Add", b.input(0), b.of_rank(1, 1))),)


@op("QuickGelu", MICROSOFT)
class QuickGelu(Composite):
    """x * sigmoid(alpha * x)"""

    alpha: float = 1.702

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (silu(b, b.input(0), self.alpha),)


@op("BiasAdd", MICROSOFT)
class BiasAdd(Composite):
    """x + bias + skip"""

    inputs = (3, 3)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (b.op("Add", b.op("Add", b.of_rank(0, 3), b.of_rank(1, 1)), b.of_rank(2, 3)),)


@op("BiasSplitGelu", MICROSOFT)
class BiasSplitGelu(Composite):
    """The first half of x + bias times Gelu of the second half, along the last of three dimensions."""

    inputs = (2, 2)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x = b.of_rank(0, 3)
        width = b.known(b.shape(x)[2], "the last size of input 0")
        if width % 2:
            b.fail(f"the last dimension of input 0 must be even, got {width}")
        left, right = b.split(b.op("Add", x, b.of_rank(1, 1)), 2, width // 2, width // 2)
        return (b.op("Mul", left, b.op("Gelu", right)),)


@op("ScaledSiLU", MICROSOFT)
class ScaledSiLU(Composite):
    """y * sigmoid(y) of y = alpha * x, or of input 1 times x."""

    inputs = (1, 2)
    alpha: float = 1.0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, scale = b.input(0), b.optional(1)
        factor = b.number(self.alpha, x) if scale is None else b.cast(scale, b.dtype(x))
        return (silu(b, b.op("Mul", x, factor)),)


@op("GatedAdd", MICROSOFT)
class GatedAdd(Composite):
    """x + gate * y"""

    inputs = (3, 4)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        if b.optional(3) is not None:
            b.unsupported("weights of the gate")
        return (b.op("Add", b.input(0), b.op("Mul", b.input(1), b.input(2))),)
