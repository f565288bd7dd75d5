"""HannWindow, HammingWindow and BlackmanWindow: sums of cosines over a number of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer, size_from

__all__ = ["BlackmanWindow", "HammingWindow", "HannWindow"]


class CosineWindow(Reducible):
    """Base of the windows: c0 + c1 cos(2 pi k / n) + c2 cos(4 pi k / n) ..., n the size or, for a symmetric window, one
    less."""

    sized_by = (0,)
    output_datatype: int = 1
    periodic: int = 1

    coefficients: ClassVar[tuple[float, ...]] = ()

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        count = scalar_integer(ctx, 0)
        size = ctx.fresh("samples") if count is None else size_from(ctx, count, f"size must not be negative: {count}")
        return (TensorInfo(dtypes.from_onnx(self.output_datatype), (size,)),)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        exact, whole = dtypes.float64, dtypes.int64
        size = b.cast(b.reshape(b.input(0)), whole)
        places = b.cast(b.op("Range", b.number(0, whole), size, b.number(1, whole)), exact)
        period = b.cast(size if self.periodic else b.op("Sub", size, b.number(1, whole)), exact)
        turns = b.op("Div", places, b.op("Max", period, b.number(1.0, exact)))  # one sample has no period
        total = b.number(self.coefficients[0], exact)
        for k, coefficient in enumerate(self.coefficients[1:], start=1):
            wave = b.op("Cos", b.op("Mul", turns, b.number(2 * math.pi * k, exact)))
            total = b.op("Add", total, b.op("Mul", wave, b.number(coefficient, exact)))
        return (b.cast(total, dtypes.from_onnx(self.output_datatype)),)


@op("HannWindow")
class HannWindow(CosineWindow):
    """1/2 - 1/2 cos(2 pi k / n)."""

    output_datatype: int = 1
    periodic: int = 1

    coefficients = (0.5, -0.5)


@op("HammingWindow")
class HammingWindow(CosineWindow):
    """25/46 - 21/46 cos(2 pi k / n)."""

    output_datatype: int = 1
    periodic: int = 1

    coefficients = (25 / 46, -21 / 46)


@op("BlackmanWindow")
class BlackmanWindow(CosineWindow):
    """0.42 - 1/2 cos(2 pi k / n) + 0.08 cos(4 pi k / n)."""

    output_datatype: int = 1
    periodic: int = 1

    coefficients = (0.42, -0.5, 0.08)
