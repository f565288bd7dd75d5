"""LRN: local response normalisation across channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.map import Map
from sardonyx.kernels.point import Apply, Instruction, Load, PointProgram, compute_dtype
from sardonyx.lang import Value
from sardonyx.lang.vmath import pow as power
from sardonyx.ops.base import Anchor, InferContext, LowerContext, computable
from sardonyx.ops.loops import CallPlan, Loops
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, symbol

__all__ = ["LRN"]

MAX_SIZE = 64
"""Channels in the window that are read one by one; larger windows run on the fallback."""


@dataclass(frozen=True)
class Response:
    """The first value over (bias + alpha * sum of the others' squares) ** beta."""

    alpha: float
    beta: float
    bias: float

    def compute(self, *values: Value) -> Value:
        x, *window = values
        total = window[0] * window[0]
        for value in window[1:]:
            total = x.b.fma(value, value, total)
        base = total * self.alpha + self.bias
        return x * power(base, x.b.const(-self.beta, x.type))


@op("LRN")
class LRN(Anchor):
    """x / (bias + alpha / size * sum(x**2 over ``size`` neighbouring channels)) ** beta."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if self.size < 1:
            ctx.fail(f"size must be at least 1, got {self.size}")
        if data.shape is not None and len(data.shape) < 2:
            ctx.fail(f"input 0 must have batch and channel dimensions, got shape {list(data.shape)}")
        return (TensorInfo(data.dtype, data.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        data = ctx.input(0)
        known = data.dtype is not None and data.shape is not None and computable(data.dtype, "f")
        return known and self.size <= MAX_SIZE

    def lower(self, ctx: LowerContext) -> None:
        source = ctx.input(0)
        loops = Loops.plan(ctx, 0, (), alone=(1,))
        output = ctx.output(0, loops.order)
        plan = CallPlan()
        buffer = plan.buffer(source)
        extents = tuple(plan.slot(extent) for extent in loops.extents)
        offset = plan.offset(loops.steps(source.strides))
        step = plan.slot(source.strides[1])
        along = loops.groups.index((1,))
        channel = symbol(f"i{along}")
        below, above = (self.size - 1) // 2, self.size // 2
        program: list[Instruction] = [Load(buffer, source.dtype, offset)]
        for shift in range(-below, above + 1):
            conditions: tuple[Dim, ...] = (channel + shift,) if shift < 0 else (extents[along] - 1 - channel - shift,)
            program.append(Load(buffer, source.dtype, offset + step * shift, conditions if shift else ()))
        response = Response(self.alpha / self.size, self.beta, self.bias)
        program.append(Apply(response, tuple(range(len(program))), compute_dtype(source.dtype)))
        store = plan.store(output, loops.steps(output.strides))
        points = PointProgram(tuple(program), (len(program) - 1,), 1, len(plan.slots.sizes))
        work = loops.elements * (self.size + 32)
        plan.call(ctx, Map(extents, points, (store,)), Map.tasks(extents), work)
