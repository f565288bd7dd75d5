"""The activations that recurrent layers name, with the values of their alpha and beta."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sardonyx.kernels.point import PointOp
from sardonyx.lang import Value, vmath
from sardonyx.ops.activation import Elu, Sigmoid, Softplus, Tanh
from sardonyx.ops.base import InferContext
from sardonyx.ops.rectifier import HardSigmoid, LeakyRelu, Relu, Softsign, ThresholdedRelu

__all__ = ["Affine", "ScaledTanh", "activations"]


@dataclass(frozen=True)
class Affine:
    """alpha * x + beta."""

    alpha: float = 1.0
    beta: float = 0.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return x.b.fma(x, self.alpha, self.beta)


@dataclass(frozen=True)
class ScaledTanh:
    """alpha * tanh(beta * x)."""

    alpha: float = 1.0
    beta: float = 1.0

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return vmath.tanh(x * self.beta) * self.alpha


_KNOWN: dict[str, tuple[Callable[..., PointOp], tuple[str, ...]]] = {
    "relu": (Relu, ()),
    "tanh": (Tanh, ()),
    "sigmoid": (Sigmoid, ()),
    "affine": (Affine, ("alpha", "beta")),
    "leakyrelu": (LeakyRelu, ("alpha",)),
    "thresholdedrelu": (ThresholdedRelu, ("alpha",)),
    "scaledtanh": (ScaledTanh, ("alpha", "beta")),
    "hardsigmoid": (HardSigmoid, ("alpha", "beta")),
    "elu": (Elu, ("alpha",)),
    "softsign": (Softsign, ()),
    "softplus": (Softplus, ()),
}
"""By name in lower case: how to make the activation, and which parameters it takes."""


def activations(
    ctx: InferContext, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> tuple[PointOp, ...]:
    """The activations in order. Each takes its parameters from the front of what the ones before it have left."""
    left: dict[str, Iterator[float]] = {"alpha": iter(alphas), "beta": iter(betas)}
    made = []
    for name in names:
        if name.lower() not in _KNOWN:
            ctx.fail(f"activation {name!r} is unknown; ONNX has {', '.join(sorted(_KNOWN))}")
        make, parameters = _KNOWN[name.lower()]
        given = {parameter: next(left[parameter], None) for parameter in parameters}
        made.append(make(**{parameter: value for parameter, value in given.items() if value is not None}))
    return tuple(made)
