"""Gemm: a scaled product of two matrices plus a scaled third."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import Apply, Carried, Constant, Instruction, Load, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.ops.arithmetic import Add, Mul
from sardonyx.ops.base import Anchor, Fused, InferContext, LowerContext
from sardonyx.ops.product import SUPPORTED, Matrix, lower_product, require_broadcast
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, known_equal, minimum, symbol

__all__ = ["Gemm"]


@op("Gemm")
class Gemm(Anchor):
    """alpha * A' B' + beta * C; A' is A or, with ``transA``, its transpose; C is broadcast to the product's shape."""

    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0
    transB: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        a, b, c = ctx.input(0), ctx.input(1), ctx.optional(2)
        known = {info.dtype for info in (a, b, c) if info is not None and info.dtype is not None}
        if len(known) > 1:
            ctx.fail(f"its inputs must have one element type, got {', '.join(sorted(str(d) for d in known))}")
        if a.shape is None or b.shape is None:
            return (TensorInfo(a.dtype or b.dtype, None),)
        for name, info in (("A", a), ("B", b)):
            if len(info.shape or ()) != 2:
                ctx.fail(f"{name} must be a matrix, got shape {list(info.shape or ())}")
        m, k = a.shape[::-1] if self.transA else a.shape
        inner, n = b.shape[::-1] if self.transB else b.shape
        ctx.require_equal(k, inner, f"the inner sizes of A and B differ: {k} and {inner}")
        self._check_c(ctx, c, (m, n))
        return (TensorInfo(a.dtype or b.dtype, (m, n)),)

    def _check_c(self, ctx: InferContext, c: TensorInfo | None, shape: tuple[Dim, Dim]) -> None:
        if c is None or c.shape is None:
            return
        message = f"C of shape {list(c.shape)} cannot be broadcast to {list(shape)}"
        if len(c.shape) > 2:
            ctx.fail(message)
        for own, size in zip(reversed(c.shape), reversed(shape), strict=False):
            require_broadcast(ctx, own, size, message)

    def lowers(self, ctx: InferContext) -> bool:
        dtype, c = ctx.input(0).dtype, ctx.optional(2)
        shapes = all(info.shape is not None for info in (ctx.input(0), ctx.input(1), c) if info is not None)
        scales = dtype is not None and (dtype.is_float or (self.alpha == 1 and self.beta == 1))
        return dtype in SUPPORTED and shapes and scales

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return [[0], [1]]

    def lower(self, ctx: LowerContext) -> None:
        order = (1, 0) if self.transA else (0, 1)
        a = Matrix(ctx.input(0), (), order[:1], order[1:])
        if a.column_stride() != 1:
            a = Matrix(ctx.contiguous(0, order), (), order[:1], order[1:])
        inner, column = (1, 0) if self.transB else (0, 1)
        b = Matrix(ctx.input(1), (), (inner,), (column,))
        c = Matrix(ctx.output(0), (), (0,), (1,))
        constant = ctx.const(1) is not None
        epilogue = ctx.epilogue([[0], [1]])
        lower_product(ctx, a, b, (), c, a.operand.dtype, epilogue, constant_b=constant, scale=self._scale(ctx))

    def _scale(self, ctx: LowerContext) -> Fused | None:
        """alpha * sum + beta * C, as work on each sum; None where there is nothing to do."""
        dtype = ctx.infer.input(0).dtype
        assert dtype is not None
        instructions: list[Instruction] = [Carried(0, dtype)]

        def scaled(place: int, factor: float) -> int:
            if factor == 1:
                return place
            instructions.append(Constant(factor, dtype))
            instructions.append(Apply(Mul(), (place, len(instructions) - 1), dtype))
            return len(instructions) - 1

        result, operands, slots = scaled(0, self.alpha), [], Slots()
        if ctx.infer.optional(2) is not None and self.beta != 0:
            addend = ctx.input(2)
            operands.append(addend)
            offset: Dim = 0
            output = ctx.outputs[0].shape or ()
            for axis, size in enumerate(addend.shape, start=2 - addend.rank):
                stride = addend.strides[axis - 2 + addend.rank]
                if size != 1:
                    certain = isinstance(size, int) or known_equal(size, output[axis])
                    step = stride if certain else stride * minimum(size - 1, 1)
                    offset = offset + symbol(f"i{axis}") * slots.add(step)
            instructions.append(Load(0, dtype, offset))
            addend_place = scaled(len(instructions) - 1, self.beta)
            instructions.append(Apply(Add(), (result, addend_place), dtype))
            result = len(instructions) - 1
        if len(instructions) == 1:
            return None
        program = PointProgram(tuple(instructions), (result,), len(operands), len(slots.sizes))
        return Fused(program, operands, slots.sizes)
