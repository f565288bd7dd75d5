"""The cache of keys and values that a step of decoding writes to."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.cache import WriteCache as WriteCacheKernel
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import Dim, maximum

__all__ = ["WriteCache"]


@op("WriteCache", "sardonyx")
class WriteCache(Anchor):
    """Keys or values (batch, heads, rows, elements) of the past up to row first[b], the new ones behind, then zeros.

    Inputs: past, new, first (batch) of int64, and the number of rows of the result, which has at least those of the
    past.
    """

    sized_by = (3,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        past, new, first = ctx.input(0), ctx.input(1), ctx.input(2)
        if past.dtype != new.dtype:
            ctx.fail(f"the cache holds {past.dtype}, what is added is {new.dtype}")
        if past.shape is None or new.shape is None or first.shape is None:
            return (TensorInfo(past.dtype),)
        if len(past.shape) != 4 or len(new.shape) != 4 or len(first.shape) != 1:
            ctx.fail("the cache and what is added must have 4 dimensions, the first rows one")
        for axis in (0, 1, 3):
            have, want = past.shape[axis], new.shape[axis]
            ctx.require_equal(have, want, f"dimension {axis} of the cache is {have}, of what is added {want}")
        ctx.require_equal(first.shape[0], past.shape[0], f"{first.shape[0]} first rows for a batch of {past.shape[0]}")
        least = scalar_integer(ctx, 3)
        rows = ctx.fresh("rows") if least is None else ctx.define("rows", maximum(past.shape[2], least))
        return (TensorInfo(past.dtype, (*past.shape[:2], rows, past.shape[3])),)

    def lowers(self, ctx: InferContext) -> bool:
        known = all(ctx.input(index).shape is not None for index in range(3))
        return known and ctx.input(2).dtype == dtypes.int64 and scalar_integer(ctx, 3) is not None

    def lower(self, ctx: LowerContext) -> None:
        past, new = (_rows(ctx, index) for index in (0, 1))
        first, target, slots = ctx.contiguous(2), ctx.output(), Slots()

        def three(operand: Operand) -> tuple[Dim, Dim, Dim]:
            batch, head, row = (slots.add(stride) for stride in operand.strides[:3])
            return batch, head, row

        batch, heads, rows, width = target.shape
        kernel = WriteCacheKernel(
            dtype=target.dtype,
            heads=slots.add(heads),
            past=slots.add(past.shape[2]),
            new=slots.add(new.shape[2]),
            rows=slots.add(rows),
            width=slots.add(width),
            past_strides=three(past),
            new_strides=three(new),
        )
        ctx.call(kernel, [past, new, first, target], slots.sizes, batch * heads, batch * heads * rows * width)


def _rows(ctx: LowerContext, index: int) -> Operand:
    """An input whose rows have adjacent elements."""
    operand = ctx.input(index)
    return operand if operand.strides[3] == 1 else ctx.contiguous(index)
