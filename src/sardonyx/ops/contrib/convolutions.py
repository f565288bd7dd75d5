"""Convolutions and pools with what stands around them: FusedConv, NhwcFusedConv, NhwcMaxPool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT, activate
from sardonyx.ops.registry import op

__all__: list[str] = []


def first(b: Builder, x: ir.Value) -> ir.Value:
    """Channels from the last dimension to dimension 1."""
    rank = b.rank(x)
    return b.transpose(x, 0, rank - 1, *range(1, rank - 1))


def last(b: Builder, x: ir.Value) -> ir.Value:
    """Channels from dimension 1 to the last."""
    return b.transpose(x, 0, *range(2, b.rank(x)), 1)


@dataclass(frozen=True)
class _Conv(Composite):
    """activation(Conv(X, W, B) + Z)"""

    inputs = (2, 4)
    activation: str = ""
    activation_params: tuple[float, ...] = ()
    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def convolve(self, b: Builder, x: ir.Value, z: ir.Value | None) -> ir.Value:
        windows = {"dilations": self.dilations, "kernel_shape": self.kernel_shape, "pads": self.pads}
        given = {name: list(value) for name, value in {**windows, "strides": self.strides}.items() if value}
        attributes: dict[str, Any] = {"auto_pad": self.auto_pad, "group": self.group, **given}
        result = b.op("Conv", x, b.input(1), b.optional(2), **attributes)
        if z is not None:
            result = b.op("Add", result, z)
        return activate(b, result, self.activation, self.activation_params)


@op("FusedConv", MICROSOFT)
class FusedConv(_Conv):
    """activation(Conv(X, W, B) + Z)"""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (self.convolve(b, b.input(0), b.optional(3)),)


@op("NhwcFusedConv", MICROSOFT)
class NhwcFusedConv(_Conv):
    """FusedConv of channels in the last dimension; the weights are as in Conv."""

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        z = b.optional(3)
        return (last(b, self.convolve(b, first(b, b.input(0)), None if z is None else first(b, z))),)


@op("NhwcMaxPool", MICROSOFT)
class NhwcMaxPool(Composite):
    """MaxPool of channels in the last dimension."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        windows = {"dilations": self.dilations, "pads": self.pads, "strides": self.strides}
        given: dict[str, Any] = {name: list(value) for name, value in windows.items() if value}
        attributes: dict[str, Any] = {
            "kernel_shape": list(self.kernel_shape),
            "auto_pad": self.auto_pad,
            "ceil_mode": self.ceil_mode,
        }
        return (last(b, b.op("MaxPool", first(b, b.input(0)), **attributes, **given)),)


@op("ConvTransposeWithDynamicPads", MICROSOFT)
class ConvTransposeWithDynamicPads(Composite):
    """ConvTranspose whose pads are input 2, which must be known when the model is compiled; input 3 is the bias."""

    inputs = (2, 4)
    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        lists = {"dilations": self.dilations, "kernel_shape": self.kernel_shape, "strides": self.strides}
        given = {**lists, "output_padding": self.output_padding}
        attributes: dict[str, Any] = {name: list(value) for name, value in given.items() if value}
        pads = b.optional(2)
        if pads is not None:
            numbers = b.info(pads).values
            if numbers is None:
                b.unsupported("pads that only a run tells")
            attributes["pads"] = [b.known(number, "a pad") for number in numbers]
        attributes |= {"auto_pad": self.auto_pad, "group": self.group}
        return (b.op("ConvTranspose", b.input(0), b.input(1), b.optional(3), **attributes),)
