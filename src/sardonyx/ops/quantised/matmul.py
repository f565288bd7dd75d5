"""MatMulInteger and QLinearMatMul."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.dot import BYTES
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.matmul import (
    left_matrix,
    product_dimensions,
    product_loops,
    product_shape,
    result_matrix,
    right_matrix,
)
from sardonyx.ops.quantised.product import IntegerProduct, aligned_axes, require_aligned
from sardonyx.ops.quantised.sums import Requantise
from sardonyx.ops.registry import op

__all__ = ["MatMulInteger", "QLinearMatMul"]


@dataclass(frozen=True)
class Places:
    """The inputs of a product: A, B, their zero points, and further inputs with numbers for rows and for columns."""

    a: int
    b: int
    a_zero: int
    b_zero: int
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def numbers(self, ctx: InferContext) -> list[tuple[int, int | None]]:
        """The inputs with numbers, and the output's dimension that a vector of them lies along."""
        row, column = axes(ctx, self)
        by_row, by_column = (self.a_zero, *self.rows), (self.b_zero, *self.columns)
        return [*((index, row) for index in by_row), *((index, column) for index in by_column)]


def infer(ctx: InferContext, places: Places, dtype: DType | None) -> TensorInfo:
    """The product's type and sizes, after checking the numbers that belong to it."""
    shape = product_shape(ctx, ctx.input(places.a), ctx.input(places.b))
    if shape is not None:
        for index, axis in places.numbers(ctx):
            require_aligned(ctx, index, shape, axis)
    return TensorInfo(dtype, shape)


def fits(ctx: InferContext, places: Places) -> bool:
    """Whether the product can be lowered: 8-bit integers, and numbers that lie along its output."""
    a, b = ctx.input(places.a), ctx.input(places.b)
    if a.dtype not in BYTES or b.dtype not in BYTES or a.shape is None or b.shape is None:
        return False
    shape = product_shape(ctx, a, b)
    assert shape is not None
    return all(aligned_axes(ctx.optional(k), len(shape), axis) is not None for k, axis in places.numbers(ctx))


def axes(ctx: InferContext, places: Places) -> tuple[int | None, int | None]:
    """The output's dimensions of rows and of columns."""
    batch, rows, column = product_dimensions(ctx, places.a, places.b)
    return (None if len(ctx.input(places.a).shape or ()) < 2 else [*batch, *rows][-1]), column


def integer_product(ctx: LowerContext, places: Places) -> IntegerProduct:
    """The product of two inputs by numpy's rules for matmul, its sums still to be worked on."""
    c = result_matrix(ctx, places.a, places.b)
    a, b = left_matrix(ctx, places.a, c.batch), right_matrix(ctx, places.b)
    return IntegerProduct(ctx, a, b, c, c.sizes(c.batch), places.b, *axes(ctx.infer, places))


def given(ctx: InferContext, index: int) -> int | None:
    """The input's index, None where it is omitted."""
    return None if ctx.optional(index) is None else index


@op("MatMulInteger")
class MatMulInteger(Anchor):
    """The product of 8-bit integers less their zero points (one, or one a row of A, one a column of B), in int32."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (infer(ctx, INTEGER, dtypes.int32),)

    def lowers(self, ctx: InferContext) -> bool:
        return fits(ctx, INTEGER)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return product_loops(ctx, INTEGER.a, INTEGER.b)

    def lower(self, ctx: LowerContext) -> None:
        made = integer_product(ctx, INTEGER)
        total = made.corrected(given(ctx.infer, INTEGER.a_zero), given(ctx.infer, INTEGER.b_zero))
        made.lower(total, ctx.epilogue(product_loops(ctx.infer, INTEGER.a, INTEGER.b)))


@op("QLinearMatMul")
class QLinearMatMul(Anchor, Reducible):
    """saturate(round(sum * (a_scale * b_scale / y_scale)) + y_zero_point), sum as in MatMulInteger.

    Computed in float32, halves rounded to even. Inputs: a, its scale and zero point, b, its two, y's two. For 8-bit
    floats it is a product of float32 between DequantizeLinear and QuantizeLinear.
    """

    def expands(self, ctx: InferContext) -> bool:
        infos = [ctx.input(place) for place in range(8)]
        single = all(info.shape in ((), (1,)) for place, info in enumerate(infos) if place not in (0, 3))
        return single and any(info.dtype is not None and info.dtype.is_float for info in (infos[0], infos[3], infos[7]))

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        factors = [
            b.op("DequantizeLinear", *(b.input(first + k) for k in range(3)), output_dtype=dtypes.float32.onnx)
            for first in (0, 3)
        ]
        return (b.op("QuantizeLinear", b.op("MatMul", *factors), b.input(6), b.input(7)),)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (infer(ctx, LINEAR, ctx.input(7).dtype),)

    def lowers(self, ctx: InferContext) -> bool:
        return fits(ctx, LINEAR) and ctx.input(7).dtype in BYTES

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return product_loops(ctx, LINEAR.a, LINEAR.b)

    def lower(self, ctx: LowerContext) -> None:
        made = integer_product(ctx, LINEAR)
        total, program = made.corrected(LINEAR.a_zero, LINEAR.b_zero), made.program
        scale = made.scale(1, 4, 6)
        zero = made.input(7, made.row_axis)
        dtype = ctx.outputs[0].dtype
        assert dtype is not None
        result = program.apply(Requantise(dtype), total, scale, zero, dtype=dtype)
        made.lower(result, ctx.epilogue(product_loops(ctx.infer, LINEAR.a, LINEAR.b)))


INTEGER = Places(0, 1, 2, 3)
LINEAR = Places(0, 3, 2, 5, (1, 6, 7), (4,))
