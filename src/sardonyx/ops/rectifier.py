"""Piecewise linear activations: Relu, LeakyRelu, PRelu, ThresholdedRelu, HardSigmoid, HardSwish, Shrink, Softsign."""

from __future__ import annotations

from sardonyx.lang import F64, Value
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__: list[str] = []


@op("Relu")
class Relu(Elementwise):
    """max(x, 0)."""

    kinds = "fi"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.maximum(x, 0)


@op("LeakyRelu")
class LeakyRelu(Elementwise):
    """x, times alpha where it is negative."""

    cost = 2
    kinds = "f"
    alpha: float = 0.01

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.select(x < 0, x * self.alpha, x)


@op("PRelu")
class PRelu(Elementwise):
    """x, times slope where it is negative; slope broadcasts to x."""

    cost = 2
    required = 2
    kinds = "fiu"

    def compute(self, *values: Value) -> Value:
        x, slope = values
        return x if x.dtype.kind == "u" else x.b.select(x < 0, x * slope, x)

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        x, slope = ctx.input(0).shape, ctx.input(1).shape
        if x is not None and slope is not None and len(slope) > len(x):
            ctx.fail(f"slope {list(slope)} has more dimensions than x {list(x)}, to which it is broadcast")
        super().result_shape(ctx)
        return x


@op("ThresholdedRelu")
class ThresholdedRelu(Elementwise):
    """x where it is greater than alpha, else 0."""

    cost = 2
    kinds = "f"
    alpha: float = 1.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.select(x > self.alpha, x, 0)


@op("HardSigmoid")
class HardSigmoid(Elementwise):
    """max(0, min(1, alpha * x + beta))."""

    cost = 3
    kinds = "f"
    alpha: float = 0.2
    beta: float = 0.5

    def compute(self, *values: Value) -> Value:
        (x,) = values
        b = x.b
        return b.maximum(b.minimum(x * self.alpha + self.beta, 1), 0)


@op("HardSwish")
class HardSwish(Elementwise):
    """x * HardSigmoid(x, alpha=1/6, beta=0.5)."""

    cost = 4
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        b = x.b
        return x * b.maximum(b.minimum(x * (1 / 6) + 0.5, 1), 0)


@op("Shrink")
class Shrink(Elementwise):
    """x + bias below -lambd, x - bias above lambd, 0 between."""

    cost = 5
    kinds = "fiu"
    bias: float = 0.0
    lambd: float = 0.5

    def compute(self, *values: Value) -> Value:
        (x,) = values
        b, own = x.b, x.dtype
        wide = x if own.is_float else x.to(F64)
        inner = b.select(wide > self.lambd, wide - self.bias, 0)
        return b.select(wide < -self.lambd, wide + self.bias, inner).to(own)


@op("Softsign")
class Softsign(Elementwise):
    """x / (1 + |x|)."""

    cost = 5
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x / (x.b.abs(x) + 1)
