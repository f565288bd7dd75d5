"""Tensors made from sizes and a few numbers: Constant, ConstantOfShape, EyeLike, OneHot, Range, Trilu."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.generate import NumberRange, OneHot
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import Load, PointProgram
from sardonyx.kernels.slots import Slots
from sardonyx.ops.axes import unknown
from sardonyx.ops.base import Anchor, IndexContext, Indexed, InferContext, LowerContext, Op, Read
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op
from sardonyx.ops.steps import steps_between
from sardonyx.ops.values import carried, integers, scalar_integer, size_from, sizes_input
from sardonyx.symbols import Dim, product, symbol

__all__ = ["Constant", "ConstantOfShape", "EyeLike", "OneHotOp", "Range", "Trilu"]


@op("Constant")
class Constant(Op):
    """A tensor in the model; reading a graph turns it into an initializer where its attribute is a plain value."""

    value: object = None
    value_float: float | None = None
    value_floats: tuple[float, ...] | None = None
    value_int: int | None = None
    value_ints: tuple[int, ...] | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        if isinstance(self.value, np.ndarray):
            return (TensorInfo.of_array(self.value, dtypes.from_numpy(self.value.dtype)),)
        floats = self.value_float if self.value_float is not None else self.value_floats
        if floats is not None:
            return (TensorInfo.of_array(np.asarray(floats, np.float32), dtypes.float32),)
        integers_ = self.value_int if self.value_int is not None else self.value_ints
        if integers_ is not None:
            return (TensorInfo.of_array(np.asarray(integers_, np.int64), dtypes.int64),)
        ctx.fail("it has no value attribute that is known here")


@op("ConstantOfShape")
class ConstantOfShape(Anchor):
    """A tensor of the shape in input 0 filled with ``value`` (one element; float32 0 without it)."""

    sized_by = (0,)
    rank_by = 0
    value: object = None

    def _fill(self, ctx: InferContext) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        if self.value is None:
            return np.zeros(1, np.float32)
        if not isinstance(self.value, np.ndarray) or self.value.size != 1:
            ctx.fail("the value must be a tensor of one element")
        return self.value.reshape(1)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        fill, given = self._fill(ctx), ctx.input(0)
        dtype = dtypes.from_numpy(fill.dtype)
        if given.rank is not None and given.rank != 1:
            ctx.fail(f"the shape must have rank 1, got rank {given.rank}")
        sizes = sizes_input(ctx, 0, "shape")
        if sizes is None:
            rank = given.shape[0] if given.shape else None
            return (unknown(ctx, TensorInfo(dtype), rank if isinstance(rank, int) else None),)
        count = product(sizes)
        small = isinstance(count, int) and count <= 64 and dtype.kind in "iub"
        return (carried(dtype, sizes, (int(fill[0]),) * count if small and isinstance(count, int) else None),)

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, ctx: InferContext) -> bool:
        return integers(ctx, 0) is not None

    def lower(self, ctx: LowerContext) -> None:
        target, slots = ctx.output(), Slots()
        count = product(target.shape)
        extents = (slots.add(count),)
        program = PointProgram((Load(0, target.dtype, 0),), (0,), 2)
        kernel = Map(extents, program, (Store(1, target.dtype, symbol("i0")),))
        ctx.call(kernel, [ctx.constant(self._fill(ctx.infer)), target], slots.sizes, Map.tasks((count,)))


@op("EyeLike")
class EyeLike(Anchor):
    """1 on diagonal ``k`` and 0 elsewhere, in the shape of input 0 and of type ``dtype`` (else the input's)."""

    dtype: int | None = None
    k: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.rank is not None and data.rank != 2:
            ctx.fail(f"the input must have rank 2, got {data.rank}")
        return (TensorInfo(self._dtype(ctx), data.shape),)

    def _dtype(self, ctx: InferContext) -> DType | None:
        if self.dtype is None:
            return ctx.input(0).dtype
        try:
            return dtypes.from_onnx(self.dtype)
        except KeyError:
            ctx.fail(f"dtype {self.dtype} is no ONNX element type")

    def lower(self, ctx: LowerContext) -> None:
        target, slots = ctx.output(), Slots()
        extents = tuple(slots.add(size) for size in target.shape)
        row, column = symbol("i0"), symbol("i1")
        diagonal = column - row - self.k
        one = Load(0, target.dtype, 0, (diagonal, -diagonal))
        store = Store(1, target.dtype, row * extents[1] + column)
        kernel = Map(extents, PointProgram((one,), (0,), 2), (store,))
        operands = [ctx.constant(np.ones(1, target.dtype.numpy)), target]
        ctx.call(kernel, operands, slots.sizes, Map.tasks(target.shape))


@op("OneHot")
class OneHotOp(Anchor, Reducible):
    """A new dimension of size ``depth`` (input 1) at ``axis``: values[1] (input 2) at the index of input 0, values[0]
    elsewhere.
    """

    sized_by = (1,)
    axis: int = -1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        indices, values = ctx.input(0), ctx.input(2)
        if indices.shape is None:
            return (unknown(ctx, values, None),)
        rank = len(indices.shape) + 1
        if not -rank <= self.axis < rank:
            ctx.fail(f"axis {self.axis} is outside [{-rank}, {rank}) of the output of rank {rank}")
        if values.shape is not None:
            message = f"values must hold two elements, got shape {list(values.shape)}"
            if len(values.shape) != 1:
                ctx.fail(message)
            ctx.require_equal(values.shape[0], 2, message)
        axis = self.axis % rank
        depth = self._depth(ctx)
        size = ctx.fresh("depth") if depth is None else depth
        return (TensorInfo(values.dtype, (*indices.shape[:axis], size, *indices.shape[axis:])),)

    def _depth(self, ctx: InferContext) -> Dim | None:
        depth: Dim | None
        constant = ctx.const(1)
        if constant is not None:
            if constant.size != 1:
                ctx.fail(f"depth must have one element, got {constant.size}")
            depth = int(constant.reshape(-1)[0])
        else:
            depth = scalar_integer(ctx, 1)
        return None if depth is None else size_from(ctx, depth, f"depth must not be negative, got {depth}")

    def carries(self, ctx: InferContext) -> bool:
        return True

    def lowers(self, ctx: InferContext) -> bool:
        return self._depth(ctx) is not None

    def expands(self, ctx: InferContext) -> bool:
        depth = ctx.input(1)
        return depth.dtype is not None and depth.dtype.is_float

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        """A depth that is a float becomes an integer, which a run can read."""
        depth = b.cast(b.input(1), dtypes.int64)
        return (b.op("OneHot", b.input(0), depth, b.input(2), axis=self.axis),)

    def lower(self, ctx: LowerContext) -> None:
        indices, values, target, slots = ctx.contiguous(0), ctx.contiguous(2), ctx.output(), Slots()
        axis = self.axis % target.rank
        outer, depth, inner = product(target.shape[:axis]), target.shape[axis], product(target.shape[axis + 1 :])
        kernel = OneHot(indices.dtype, target.dtype, slots.add(depth), slots.add(inner))
        ctx.call(kernel, [indices, values, target], slots.sizes, outer)


@op("Range")
class Range(Anchor, Reducible):
    """``start, start + delta ...`` below ``limit`` (inputs 0, 2 and 1)."""

    sized_by = (0, 1, 2)
    stash_type: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        dtype = ctx.input(0).dtype
        start, limit, delta = (scalar_integer(ctx, index) for index in range(3))
        if start is not None and limit is not None and delta is not None:
            count = ctx.define("range", steps_between(ctx, start, limit, delta, "delta"))
            few = count if isinstance(count, int) and count <= 64 else None
            values = None if few is None else [start + k * delta for k in range(few)]
            return (carried(dtype, (count,), values),)
        known = self._numbers(ctx)
        if known is None:
            return (TensorInfo(dtype, (ctx.fresh("range"),)),)
        first, last, step = known
        if step == 0 or not all(map(math.isfinite, known)):
            ctx.fail(f"start {first}, limit {last} and delta {step} make no range")
        return (TensorInfo(dtype, (max(0, math.ceil((last - first) / step)),)),)

    def _numbers(self, ctx: InferContext) -> tuple[float, float, float] | None:
        """Start, limit and delta where they are constants."""
        constants = [ctx.const(index) for index in range(3)]
        known = [float(c.reshape(-1)[0]) for c in constants if c is not None and c.size == 1]
        return (known[0], known[1], known[2]) if len(known) == 3 else None

    def lowers(self, ctx: InferContext) -> bool:
        return self._numbers(ctx) is not None or all(scalar_integer(ctx, index) is not None for index in range(3))

    def expands(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and dtype.is_float

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        """Numbers that a run computes: their count is computed before, as an integer that the next step can read."""
        start, limit, delta = (b.cast(b.input(index), dtypes.float64) for index in range(3))
        steps = b.op("Ceil", b.op("Div", b.op("Sub", limit, start), delta))
        one = b.constant(np.array(1, np.int64))
        count = b.op("Max", b.cast(steps, dtypes.int64), b.constant(np.array(0, np.int64)))
        places = b.cast(b.op("Range", b.constant(np.array(0, np.int64)), count, one), dtypes.float64)
        return (b.cast(b.op("Add", b.op("Mul", places, delta), start), b.dtype(b.input(0))),)

    def lower(self, ctx: LowerContext) -> None:
        target, slots = ctx.output(), Slots()
        kernel = NumberRange(target.dtype, slots.add(target.shape[0]))
        ctx.call(kernel, [ctx.input(0), ctx.input(2), target], slots.sizes, NumberRange.tasks(target.shape[0]))


@op("Trilu")
class Trilu(Indexed):
    """The matrices with 0 below (``upper``) or above diagonal ``k`` (input 1)."""

    sized_by = (1,)
    upper: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.rank is not None and data.rank < 2:
            ctx.fail(f"the input must have rank 2 or more, got {data.rank}")
        return (TensorInfo(data.dtype, data.shape),)

    def _diagonal(self, ctx: InferContext) -> Dim | None:
        return 0 if ctx.optional(1) is None else scalar_integer(ctx, 1)

    def lowers(self, ctx: InferContext) -> bool:
        return self._diagonal(ctx) is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        distance = position[-1] - position[-2] - (self._diagonal(ctx.infer) or 0)
        return Read(0, position, (distance if self.upper else -distance,))
