"""com.microsoft::MatMulNBits: products with weights of a few bits, quantised in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.blocks import Unpack
from sardonyx.kernels.gemm_grid import plan_grid
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.kernels.point import Apply, Carried, Load, PointProgram
from sardonyx.kernels.spec import Operand
from sardonyx.ops.arithmetic import Add
from sardonyx.ops.base import Anchor, Fused, InferContext, LowerContext
from sardonyx.ops.matmul import left_matrix
from sardonyx.ops.product import Matrix, Right, lower_product
from sardonyx.ops.registry import op
from sardonyx.symbols import ceildiv, symbol

__all__ = ["MatMulNBits"]

BITS = (2, 4, 8)


@op("MatMulNBits", "com.microsoft")
class MatMulNBits(Anchor):
    """A B + bias, B of shape (K, N) being (integer - zero point) * scale, with both for each block of each column.

    Inputs: A (..., K); the integers by column as bytes (N, blocks, block_size * bits / 8), the first of a byte in its
    lowest bits; scales (N, blocks); zero points, as integers packed likewise (N, bytes) or in A's type, the middle of
    the range without; group indices, taken where they say what the blocks are anyway; a bias (N). The sums are made in
    float32 whatever ``accuracy_level`` allows.
    """

    K: int
    N: int
    block_size: int
    bits: int = 4
    accuracy_level: int = 0
    weight_prepacked: int = 0

    @property
    def blocks(self) -> int:
        """Blocks of one column."""
        return -(-self.K // self.block_size)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        a = ctx.input(0)
        if self.K < 1 or self.N < 1:
            ctx.fail(f"attributes 'K' and 'N' must be positive, got {self.K} and {self.N}")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            ctx.fail(f"attribute 'block_size' must be a power of two from 16 on, got {self.block_size}")
        if self.bits not in BITS:
            ctx.fail(f"attribute 'bits' must be 2, 4 or 8, got {self.bits}")
        for index, wanted in self._sizes().items():
            info = ctx.optional(index)
            if info is not None and info.shape is not None and all(isinstance(d, int) for d in info.shape):
                have = int(np.prod([int(d) for d in info.shape if isinstance(d, int)], dtype=np.int64))
                if have not in wanted:
                    ctx.fail(f"input {index} must have {' or '.join(map(str, wanted))} elements, got {have}")
        if a.shape is None:
            return (TensorInfo(a.dtype),)
        if not a.shape:
            ctx.fail("a scalar cannot be multiplied")
        ctx.require_equal(a.shape[-1], self.K, f"rows of A have {a.shape[-1]} elements, attribute 'K' is {self.K}")
        return (TensorInfo(a.dtype, (*a.shape[:-1], self.N)),)

    def _sizes(self) -> dict[int, tuple[int, ...]]:
        """The number of elements that inputs may have."""
        numbers, packed = self.N * self.blocks, self.N * -(-self.blocks * self.bits // 8)
        integers = numbers * self.block_size * self.bits // 8
        return {
            1: (integers,),
            2: (numbers,),
            3: (packed, numbers),
            4: (self.K, self.blocks * self.block_size),
            5: (self.N,),
        }

    def lowers(self, ctx: InferContext) -> bool:
        a, b, scales, bias = ctx.input(0), ctx.input(1), ctx.input(2), ctx.optional(5)
        floats = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
        known = all(ctx.const(index) is not None for index in (1, 2)) and b.dtype is dtypes.uint8
        types = a.dtype in floats and scales.dtype in floats and (bias is None or bias.dtype in floats)
        zeros, groups = ctx.optional(3), ctx.optional(4)
        if a.shape is None or self.weight_prepacked or not known or not types:
            return False
        if zeros is not None and (ctx.const(3) is None or zeros.dtype not in (*floats, dtypes.uint8)):
            return False
        return groups is None or self._plain_groups(ctx.const(4))

    def _plain_groups(self, groups: npt.NDArray[Any] | None) -> bool:
        return groups is not None and bool(np.all(groups.reshape(-1) == np.arange(groups.size) // self.block_size))

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        rank = len(ctx.input(0).shape or ())
        return [[*range(rank - 1)], [rank - 1]]

    def lower(self, ctx: LowerContext) -> None:
        a = left_matrix(ctx, 0, ())
        rank = a.operand.rank
        c = Matrix(ctx.output(0), (), tuple(range(rank - 1)), (rank - 1,))
        unpack = Unpack(self.bits, self.block_size, self.blocks, ctx.infer.optional(3) is not None)
        beside = [self._packed(ctx, self._by_column(ctx.input(2), self.blocks), self.blocks, dtypes.float32)]
        if unpack.zeros:
            beside.append(self._packed(ctx, ctx.constant(self._zeros(ctx)), self.blocks, dtypes.float32))
        integers = self._packed(ctx, self._by_column(ctx.input(1), unpack.rows), unpack.rows, dtypes.uint8)
        b = Matrix(Operand(integers.buffer, dtypes.float32, (self.K, self.N), (self.N, 1)), (), (0,), (1,))
        lower_product(
            ctx,
            a,
            b,
            (),
            c,
            a.operand.dtype,
            ctx.epilogue(self.loops(ctx.infer, ctx.outputs) or []),
            constant_b=True,
            scale=self._bias(ctx),
            right=Right(integers, unpack=unpack, beside=tuple(beside)),
        )

    def _zeros(self, ctx: LowerContext) -> npt.NDArray[np.float32]:
        """The zero points (N, blocks) as floats."""
        given = ctx.const(3)
        assert given is not None
        if given.dtype != np.uint8:
            return np.ascontiguousarray(given.reshape(self.N, self.blocks).astype(np.float32))
        packed = given.reshape(self.N, -1)
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        integers = (packed[:, :, None] >> shifts) & np.uint8((1 << self.bits) - 1)
        return np.ascontiguousarray(integers.reshape(self.N, -1)[:, : self.blocks].astype(np.float32))

    def _by_column(self, operand: Operand, rows: int) -> Operand:
        """An input of one row of numbers for each column, whatever its shape."""
        return Operand(operand.buffer, operand.dtype, (self.N, rows), (rows, 1), operand.offset)

    def _packed(self, ctx: LowerContext, source: Operand, rows: int, dtype: DType) -> Operand:
        """Numbers by column in the panels that the product goes through, once at load."""
        shape = plan_grid(ctx.target, dtypes.float32, 1, self.N, self.K).shape
        pack = Pack.of(shape, rows, self.N, source.dtype, dtype, (1, rows))
        count, tasks = packed_size(rows, self.N, shape.columns), ceildiv(self.N, shape.columns)
        assert isinstance(count, int)
        assert isinstance(tasks, int)
        return ctx.prepared(dtype, count, pack, [source], [], tasks)

    def _bias(self, ctx: LowerContext) -> Fused | None:
        """The sum plus the bias."""
        if ctx.infer.optional(5) is None:
            return None
        bias, f32 = ctx.input(5), dtypes.float32
        instructions = (Carried(0, f32), Load(0, bias.dtype, symbol("i1")), Apply(Add(), (0, 1), f32))
        return Fused(PointProgram(instructions, (2,), 1), [bias])
