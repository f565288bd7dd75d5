"""Tensors put together from whole inputs: Concat and Tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.axes import axis_of, memory_order, unknown
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.ops.values import carried, integers, sizes_input
from sardonyx.symbols import Dim

__all__ = ["Concat", "Tile"]


@op("Concat")
class Concat(Anchor):
    """The inputs one after the other along ``axis``; each is copied to its place."""

    axis: int

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        inputs = [ctx.input(index) for index in range(max(1, len(ctx.inputs)))]
        ranks = [info.rank for info in inputs if info.rank is not None]
        if not ranks:
            return (unknown(ctx, inputs[0], None),)
        if len(set(ranks)) > 1:
            ctx.fail(f"the inputs must have one rank, got ranks {ranks}")
        axis = axis_of(ctx, self.axis, ranks[0])
        if len(ranks) < len(inputs):
            return (unknown(ctx, inputs[0], ranks[0]),)
        shapes = [info.shape for info in inputs if info.shape is not None]
        result = list(shapes[0])
        for shape in shapes[1:]:
            for place, size in enumerate(shape):
                if place == axis:
                    result[place] = result[place] + size
                    continue
                message = f"axis {place} must be equal in all inputs, got sizes {result[place]} and {size}"
                ctx.require_equal(result[place], size, message)
                if isinstance(size, int):
                    result[place] = size
        contents = [values for index in range(len(inputs)) if (values := integers(ctx, index)) is not None]
        joined = tuple(v for values in contents for v in values) if len(contents) == len(inputs) else None
        return (carried(inputs[0].dtype, result, joined),)

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and dtype.kind in "fiub" and all(info is not None for info in ctx.inputs)

    def lower(self, ctx: LowerContext) -> None:
        target = ctx.output(0, memory_order(ctx.input(0)))
        axis = axis_of(ctx.infer, self.axis, target.rank)
        offset = target.offset
        for index in range(len(ctx.inputs)):
            source = ctx.input(index)
            size = source.shape[axis]
            if size != 0:
                shape = (*target.shape[:axis], size, *target.shape[axis + 1 :])
                ctx.copy(source, replace(target, shape=shape, offset=offset))
            offset = offset + size * target.strides[axis]


@op("Tile")
class Tile(Anchor):
    """The input repeated ``repeats[i]`` (input 1) times along dimension i."""

    sized_by = (1,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        repeats = sizes_input(ctx, 1, "repeats")
        if data.shape is None:
            return (unknown(ctx, data, None if repeats is None else len(repeats)),)
        if repeats is None:
            return (unknown(ctx, data, len(data.shape)),)
        if len(repeats) != len(data.shape):
            ctx.fail(f"{len(repeats)} repeats for a tensor of rank {len(data.shape)}")
        shape = [size * count for size, count in zip(data.shape, repeats, strict=True)]
        repeated = data.values
        if repeated is not None and len(repeats) == 1:
            count = repeats[0]
            repeated = repeated * count if isinstance(count, int) and len(repeated) * count <= 64 else None
        return (carried(data.dtype, shape, repeated),)

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, ctx: InferContext) -> bool:
        return integers(ctx, 1) is not None and ctx.input(0).shape is not None

    def lower(self, ctx: LowerContext) -> None:
        source = ctx.input(0)
        target = ctx.output(0, memory_order(source))
        shape: list[Dim] = []
        read: list[Dim] = []
        written: list[Dim] = []
        repeats = sizes_input(ctx.infer, 1, "repeats") or ()
        for size, count, stride, step in zip(source.shape, repeats, source.strides, target.strides, strict=True):
            shape += [count, size]
            read += [0, stride]
            written += [step * size, step]
        seen = replace(source, shape=tuple(shape), strides=tuple(read))
        ctx.copy(seen, replace(target, shape=tuple(shape), strides=tuple(written)))
