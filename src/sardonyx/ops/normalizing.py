"""What the normalisations share: the base of their records, and the lowering to one kernel call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.map import Store
from sardonyx.kernels.nest import Nest
from sardonyx.kernels.norm import Normalize
from sardonyx.kernels.point import Apply, Carried, PointProgram
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import row_major
from sardonyx.ops.base import Anchor, Fused, InferContext, LowerContext, computable
from sardonyx.ops.loops import CallPlan, Loops, aligned_strides
from sardonyx.symbols import Dim, product, symbol

__all__ = ["Lowering", "Normalization", "Statistics", "check_channels", "per_channel"]

DEAR = 8
"""An element that takes more instructions than this to compute is computed once and kept."""


@dataclass(frozen=True)
class Statistics:
    """What is computed of the reduced elements; see ``Normalize``."""

    factor: str = "variance"
    centered: bool = True
    epsilon: float = 0.0


@dataclass(frozen=True)
class Normalization(Anchor):
    """Base: input 0 is normalised; its type and shape are those of output 0."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is not None:
            self.check(ctx, data.shape)
        return (TensorInfo(data.dtype, data.shape),)

    def check(self, ctx: InferContext, shape: tuple[Dim, ...]) -> None:
        """Fails for attributes and operands that cannot be."""

    def lowers(self, ctx: InferContext) -> bool:
        given = [info for info in ctx.inputs if info is not None]
        return all(i.dtype is not None and computable(i.dtype, "f") and i.shape is not None for i in given)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        rank = outputs[0].rank
        return None if rank is None else [list(range(rank))]

    def prologue(self, ctx: InferContext) -> int | None:
        return 0


def per_channel(operand: Operand, rank: int) -> Operand:
    """A vector of one number per channel as an operand of ``rank`` dimensions."""
    shape: list[Dim] = [1] * rank
    strides: list[Dim] = [0] * rank
    shape[1], strides[1] = operand.shape[0], operand.strides[0]
    return replace(operand, shape=tuple(shape), strides=tuple(strides))


def check_channels(ctx: InferContext, shape: tuple[Dim, ...], inputs: Collection[int]) -> None:
    """The operands of one number per channel must fit dimension 1 of the input."""
    if len(shape) < 2:
        ctx.fail(f"input 0 must have batch and channel dimensions, got shape {list(shape)}")
    for index in inputs:
        info = ctx.optional(index)
        if info is None or info.shape is None:
            continue
        if len(info.shape) != 1:
            ctx.fail(f"input {index} must have one dimension, got shape {list(info.shape)}")
        message = f"input {index} must have one element for each of {shape[1]} channels, got {info.shape[0]}"
        ctx.require_equal(info.shape[0], shape[1], message)


def compute_type(ctx: LowerContext) -> DType:
    """The dtype to compute in: float64 where an operand is, else float32."""
    wide = any(info is not None and info.dtype == dtypes.float64 for info in ctx.inputs)
    return dtypes.float64 if wide else dtypes.float32


def _cost(program: PointProgram) -> int:
    return sum(int(getattr(i.op, "cost", 1)) for i in program.instructions if isinstance(i, Apply))


@dataclass(frozen=True)
class _Walked:
    """The loops of a nest over an input's loops, one of which (``split``) may be cut into groups of ``width``."""

    loops: Loops
    split: int = -1
    width: Dim = 1

    @property
    def extents(self) -> list[Dim]:
        extents = list(self.loops.extents)
        if self.split >= 0:
            extents[self.split : self.split + 1] = [extents[self.split] // self.width, self.width]
        return extents

    @property
    def reduced(self) -> tuple[int, ...]:
        if self.split < 0:
            return self.loops.reduced
        return tuple(sorted([self.split + 1, *(k + (k > self.split) for k in self.loops.reduced)]))

    def nest(self, plan: CallPlan) -> Nest:
        vector = self.loops.vector + (0 <= self.split <= self.loops.vector)
        return Nest(tuple(plan.slot(extent) for extent in self.extents), self.reduced, vector)

    def steps(self, steps: Sequence[Dim]) -> list[Dim]:
        """The step along each loop of the nest, given those along the input's loops."""
        result = list(steps)
        if self.split >= 0:
            result[self.split : self.split + 1] = [result[self.split] * self.width, result[self.split]]
        return result

    def index(self, plan: CallPlan) -> list[Dim]:
        """The positions in the input's loops."""
        if self.split < 0:
            return []
        index: list[Dim] = [symbol(f"i{k + (k > self.split)}") for k in range(len(self.loops.groups))]
        index[self.split] = index[self.split] * plan.slot(self.width) + symbol(f"i{self.split + 1}")
        return index


@dataclass
class Lowering:
    """The kernel call of a normalisation over ``axes``; ``scale`` and ``bias`` are broadcast to the input.

    With ``width`` the channels (dimension 1) are cut into groups of that many, each normalised as one.
    """

    ctx: LowerContext
    axes: Collection[int]
    statistics: Statistics
    scale: Operand | None = None
    bias: Operand | None = None
    width: Dim = 0

    def emit(self) -> None:
        ctx = self.ctx
        walked = self._walked()
        loops = walked.loops
        fused = ctx.epilogue(loops.groups)
        output = ctx.output(0, loops.order)
        plan = CallPlan()
        nest = walked.nest(plan)
        extents = walked.extents
        count = plan.slot(product(extents[k] for k in walked.reduced))
        store = plan.store(output, walked.steps(loops.steps(output.strides)))
        dtype = compute_type(ctx)
        stage = self._stage(plan, walked, fused, store, dtype)
        mean, inverse = self._statistic(plan, walked, 1), self._statistic(plan, walked, 2)
        index = walked.index(plan)
        beside = [None if o is None else loops.aligned(o) for o in (self.scale, self.bias)]
        scale, bias = (None if program is None else plan.part(program, index) for program in beside)
        kernel = Normalize(
            nest=nest,
            dtype=dtype,
            result=ctx.outputs[0].dtype or dtype,
            centered=self.statistics.centered,
            factor=self.statistics.factor,
            epsilon=self.statistics.epsilon,
            count=count,
            element=plan.part(loops.element, index),
            scale=scale,
            bias=bias,
            epilogue=plan.part(fused, index),
            stores=(store,),
            stage=stage,
            mean=mean,
            inverse=inverse,
        )
        plan.call(ctx, kernel, nest.tasks(), loops.elements * 8)

    def _walked(self) -> _Walked:
        info = self.ctx.inputs[0]
        shape = info.shape if info is not None and info.shape is not None else ()
        beside = [aligned_strides(operand, shape) for operand in (self.scale, self.bias) if operand is not None]
        if self.width == 0:
            return _Walked(Loops.plan(self.ctx, 0, self.axes, beside))
        loops = Loops.plan(self.ctx, 0, self.axes, beside, alone=(1,))
        return _Walked(loops, loops.groups.index((1,)), self.width)

    def _stage(self, plan: CallPlan, walked: _Walked, fused: Fused, store: Store, dtype: DType) -> Store | None:
        """Memory for elements that are dear to compute: the output where it can hold them."""
        program = fused.program
        if _cost(walked.loops.element.program) <= DEAR:
            return None
        if isinstance(program.instructions[program.results[0]], Carried) and store.dtype == dtype:
            return store
        extents = walked.loops.extents
        return plan.store(self.ctx.scratch(dtype, product(extents)), walked.steps(row_major(extents)))

    def _statistic(self, plan: CallPlan, walked: _Walked, index: int) -> Store | None:
        """An optional output with the mean (1) or the inverse standard deviation (2) of each row."""
        if self.ctx.infer.outputs <= index:
            return None
        output = self.ctx.output(index)
        loops = walked.loops
        return plan.store(output, walked.steps(loops.steps(loops.result_strides(output, self.axes, keepdims=True))))
