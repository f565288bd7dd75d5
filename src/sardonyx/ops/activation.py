"""Smooth activations: Sigmoid, Tanh, Swish, Mish, Softplus, Elu, Celu, Selu, Gelu."""

from __future__ import annotations

from sardonyx.dtypes import DType
from sardonyx.lang import Value, vmath
from sardonyx.ops.base import Elementwise, InferContext
from sardonyx.ops.registry import op

__all__: list[str] = []


@op("Sigmoid")
class Sigmoid(Elementwise):
    """1 / (1 + e**-x)."""

    cost = 22
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.sigmoid(x)


@op("Tanh")
class Tanh(Elementwise):
    """The hyperbolic tangent."""

    cost = 26
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.tanh(x)


@op("Swish")
class Swish(Elementwise):
    """x * sigmoid(alpha * x)."""

    cost = 24
    kinds = "f"
    alpha: float = 1.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x * vmath.sigmoid(x if self.alpha == 1.0 else x * self.alpha)


@op("Mish")
class Mish(Elementwise):
    """x * tanh(softplus(x)), which is x * n / (n + 2) with n = e**x * (e**x + 2)."""

    cost = 24
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        e = vmath.exp(x.b.minimum(x, 40.0))  # beyond, the quotient is 1
        n = e * (e + 2.0)
        return x * (n / (n + 2.0))


@op("Softplus")
class Softplus(Elementwise):
    """log(1 + e**x)."""

    cost = 48
    kinds = "f"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.softplus(x)


@op("Elu")
class Elu(Elementwise):
    """x, and alpha * (e**x - 1) where it is negative."""

    cost = 20
    kinds = "f"
    alpha: float = 1.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.select(x < 0, vmath.expm1(x.b.minimum(x, 0.0)) * self.alpha, x)


@op("Celu")
class Celu(Elementwise):
    """max(0, x) + min(0, alpha * (e**(x / alpha) - 1))."""

    cost = 24
    kinds = "f"
    alpha: float = 1.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        b = x.b
        return b.maximum(x, 0.0) + b.minimum(vmath.expm1(x / self.alpha) * self.alpha, 0.0)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        if self.alpha == 0:
            ctx.fail("attribute 'alpha' must not be 0")
        return super().result_dtypes(ctx)


@op("Selu")
class Selu(Elementwise):
    """gamma * x, and gamma * alpha * (e**x - 1) where x is not positive."""

    cost = 22
    kinds = "f"
    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875

    def compute(self, *values: Value) -> Value:
        (x,) = values
        negative = vmath.expm1(x.b.minimum(x, 0.0)) * self.alpha
        return x.b.select(x > 0, x, negative) * self.gamma


@op("Gelu")
class Gelu(Elementwise):
    """x / 2 * (1 + erf(x / sqrt(2))), or its approximation by tanh."""

    cost = 36
    kinds = "f"
    approximate: str = "none"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.gelu_tanh(x) if self.approximate == "tanh" else vmath.gelu(x)

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        if self.approximate not in ("none", "tanh"):
            ctx.fail(f"attribute 'approximate' must be none or tanh, got {self.approximate!r}")
        return super().result_dtypes(ctx)
