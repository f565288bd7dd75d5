"""MatMul, and how the products of its kin lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Anchor, InferContext, LowerContext, broadcast_shapes
from sardonyx.ops.product import SUPPORTED, Matrix, lower_product
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = [
    "MatMul",
    "left_matrix",
    "product_dimensions",
    "product_loops",
    "product_shape",
    "result_matrix",
    "right_matrix",
]


def product_shape(ctx: InferContext, a: TensorInfo, b: TensorInfo) -> tuple[Dim, ...] | None:
    """The shape of a product by numpy's rules for matmul; None where a rank is unknown."""
    if a.shape is None or b.shape is None:
        return None
    left, right = a.shape, b.shape
    if not left or not right:
        ctx.fail(f"a scalar cannot be multiplied: shapes {list(left)} and {list(right)}")
    inner = right[0] if len(right) == 1 else right[-2]
    ctx.require_equal(
        left[-1], inner, f"the inner sizes of {list(left)} and {list(right)} differ: {left[-1]} and {inner}"
    )
    batch = broadcast_shapes(ctx, [left[:-2], right[:-2]]) or ()
    return (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def _same_dtype(ctx: InferContext, a: TensorInfo, b: TensorInfo) -> DType | None:
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        ctx.fail(f"its inputs must have one element type, got {a.dtype} and {b.dtype}")
    return a.dtype or b.dtype


@op("MatMul")
class MatMul(Anchor):
    """The matrix product of numpy.matmul: batches broadcast, 1-D operands are a row or a column.

    Where the right operand is one matrix, all leading dimensions of the left are rows of one product.
    """

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        a, b = ctx.input(0), ctx.input(1)
        return (TensorInfo(_same_dtype(ctx, a, b), product_shape(ctx, a, b)),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).dtype in SUPPORTED and all(ctx.input(index).shape is not None for index in (0, 1))

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return product_loops(ctx, 0, 1)

    def lower(self, ctx: LowerContext) -> None:
        c = result_matrix(ctx, 0, 1)
        a, b = left_matrix(ctx, 0, c.batch), right_matrix(ctx, 1)
        epilogue = ctx.epilogue(product_loops(ctx.infer, 0, 1))
        dtype, constant = a.operand.dtype, ctx.const(1) is not None
        lower_product(ctx, a, b, c.sizes(c.batch), c, dtype, epilogue, constant_b=constant)


def product_dimensions(ctx: InferContext, a: int, b: int) -> tuple[list[int], list[int], int | None]:
    """The output dimensions that are batch, rows and columns of the product of two inputs."""
    left, right = ctx.input(a).shape or (), ctx.input(b).shape or ()
    rank = max(len(left), len(right), 2) - (len(left) == 1) - (len(right) == 1)
    column = rank - 1 if len(right) > 1 else None
    outer = list(range(rank if column is None else rank - 1))
    rows = outer[-1:] if len(left) > 1 else []
    batch = outer[: len(outer) - len(rows)]
    if all(size == 1 for size in right[:-2]) and len(right) <= max(len(left), 2):
        return [], [*batch, *rows], column
    return batch, rows, column


def product_loops(ctx: InferContext, a: int, b: int) -> list[list[int]]:
    """The loops that the epilogue of the product of two inputs runs in."""
    batch, row, column = product_dimensions(ctx, a, b)
    columns = [] if column is None else [column]
    return [batch, row, columns] if batch else [row, columns]


def result_matrix(ctx: LowerContext, a: int, b: int) -> Matrix:
    """Where the product of two inputs goes: the node's output."""
    batch, row, column = product_dimensions(ctx.infer, a, b)
    return Matrix(ctx.output(0), tuple(batch), tuple(row), () if column is None else (column,))


def left_matrix(ctx: LowerContext, index: int, batch: Sequence[int]) -> Matrix:
    """An input as left operand: rows evenly spaced with adjacent elements, copied where it lies otherwise."""
    for place in (ctx.input, ctx.contiguous):
        operand = place(index)
        outer, last = tuple(range(operand.rank - 1)), operand.rank - 1
        matrix = Matrix(operand, outer[:-1], outer[-1:], (last,)) if batch else Matrix(operand, (), outer, (last,))
        if matrix.column_stride() == 1 and matrix.row_stride() is not None:
            break
    return matrix


def right_matrix(ctx: LowerContext, index: int) -> Matrix:
    """An input as right operand."""
    operand = ctx.input(index)
    if operand.rank == 1:
        return Matrix(operand, (), (0,), ())
    rank = operand.rank
    batch = tuple(range(rank - 2))
    if all(size == 1 for size in operand.shape[:-2]):
        operand, batch, rank = _without(operand, rank - 2), (), 2
    return Matrix(operand, batch, (rank - 2,), (rank - 1,))


def _without(operand: Operand, dimensions: int) -> Operand:
    """A view without leading dimensions of size 1."""
    return replace(operand, shape=operand.shape[dimensions:], strides=operand.strides[dimensions:])
