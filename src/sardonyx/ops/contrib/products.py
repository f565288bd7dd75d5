"""Matrix products with what stands around them: FusedMatMul, FusedMatMulActivation, FusedGemm, GemmFastGelu."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT, activate
from sardonyx.ops.registry import op

__all__: list[str] = []


def _operand(b: Builder, index: int, transposed: int, batch_transposed: int) -> ir.Value:
    """An operand of a product with its last two dimensions swapped, or its first moved behind those of the batch."""
    value = b.input(index)
    rank = b.rank(value)
    order = list(range(rank))
    if batch_transposed and rank > 2:
        order = [*order[1:-1], 0, order[-1]]
    if transposed and rank > 1:
        order[-2:] = order[:-3:-1]
    return value if order == list(range(rank)) else b.transpose(value, *order)


class _Product(Composite):
    """alpha * A' B'"""

    inputs = (2, 2)

    def product(self, b: Builder, a: tuple[int, int], c: tuple[int, int], alpha: float) -> ir.Value:
        result = b.op("MatMul", _operand(b, 0, *a), _operand(b, 1, *c))
        return result if alpha == 1 else b.op("Mul", result, b.number(alpha, result))


@op("FusedMatMul", MICROSOFT)
class FusedMatMul(_Product):
    """alpha * A' B'; ``transA`` swaps the last two dimensions, ``transBatchA`` moves the first behind the batch."""

    alpha: float = 1.0
    transA: int = 0
    transB: int = 0
    transBatchA: int = 0
    transBatchB: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (self.product(b, (self.transA, self.transBatchA), (self.transB, self.transBatchB), self.alpha),)


@op("TransposeMatMul", MICROSOFT)
class TransposeMatMul(_Product):
    """The old name of FusedMatMul."""

    alpha: float = 1.0
    transA: int = 0
    transB: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        return (self.product(b, (self.transA, 0), (self.transB, 0), self.alpha),)


@op("FusedMatMulActivation", MICROSOFT)
class FusedMatMulActivation(_Product):
    """FusedMatMul and an activation."""

    activation: str
    activation_alpha: float | None = None
    activation_axis: int = -1
    activation_beta: float | None = None
    activation_gamma: float | None = None
    alpha: float = 1.0
    transA: int = 0
    transB: int = 0
    transBatchA: int = 0
    transBatchB: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        result = self.product(b, (self.transA, self.transBatchA), (self.transB, self.transBatchB), self.alpha)
        if self.activation == "Softmax":
            return (b.op("Softmax", result, axis=self.activation_axis),)
        return (activate(b, result, self.activation, (self.activation_alpha, self.activation_beta)),)


@op("FusedGemm", MICROSOFT)
class FusedGemm(Composite):
    """Gemm and an activation."""

    inputs = (2, 3)
    activation: str = ""
    activation_alpha: float | None = None
    activation_beta: float | None = None
    activation_gamma: float | None = None
    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0
    transB: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        result = b.op(
            "Gemm", b.input(0), b.input(1), b.optional(2),
            alpha=self.alpha, beta=self.beta, transA=self.transA, transB=self.transB,
        )  # fmt: skip
        second = self.activation_gamma if self.activation == "Selu" else self.activation_beta
        return (activate(b, result, self.activation, (self.activation_alpha, second)),)


@op("GemmFastGelu", MICROSOFT)
class GemmFastGelu(Composite):
    """The approximation of Gelu by tanh, of X W plus an optional bias."""

    inputs = (2, 3)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        result, bias = b.op("MatMul", b.input(0), b.input(1)), b.optional(2)
        return (b.op("Gelu", result if bias is None else b.op("Add", result, bias), approximate="tanh"),)
