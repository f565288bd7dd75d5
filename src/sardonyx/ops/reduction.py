"""Reductions over axes: ReduceSum, ReduceMean, ReduceMax and their kin."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.nest import COLUMNS, Nest
from sardonyx.kernels.reduce import Reduce, accumulator_dtype
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import distinct_axes, row_major, unknown
from sardonyx.ops.base import Anchor, Fused, InferContext, LowerContext, computable
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.loops import CallPlan, Loops, identity_epilogue, strided_element
from sardonyx.ops.registry import op
from sardonyx.ops.values import carried, integers
from sardonyx.symbols import Dim, ceildiv, maximum, minimum, product, symbol

__all__ = ["Reduction"]

FEW_TASKS = 16
"""With fewer tasks than this a long reduction is cut into pieces, whose partial results are reduced in turn."""
LONG = 1 << 16
PIECE = 1 << 14
"""Elements of one piece."""


@dataclass(frozen=True)
class Form:
    """How the elements are combined; see ``Reduce``."""

    operation: str = "sum"
    transform: str = ""
    finish: str = ""


@dataclass(frozen=True)
class Reduction(Anchor, Reducible):
    """Base of the reductions: input 1 holds the axes; without axes all are reduced, or none where
    ``noop_with_empty_axes`` says so. Sums of nothing are 0, products 1, maxima the smallest value of the type.

    Where only a run can tell the axes, the input is looked at as kept dimensions before reduced ones (``AxesApart``).
    """

    length_of = (1,)
    keepdims: int = 1
    noop_with_empty_axes: int = 0

    form: ClassVar[Form] = Form()
    kinds: ClassVar[str] = "fiu"
    contents: ClassVar[Callable[[Dim, Dim], Dim] | None] = None

    def axes(self, ctx: InferContext) -> tuple[int, ...] | None:
        """The reduced axes; None where they are not known."""
        rank = ctx.input(0).rank
        given = ctx.optional(1)
        axes = () if given is not None and given.shape == (0,) else integers(ctx, 1)
        if rank is None or (given is not None and (axes is None or any(not isinstance(a, int) for a in axes))):
            return None
        if not axes:
            return () if self.noop_with_empty_axes else tuple(range(rank))
        return tuple(sorted(distinct_axes(ctx, axes, rank)))

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        axes = self.axes(ctx)
        if data.shape is None or axes is None:
            known = data.shape is not None and self.keepdims
            return (unknown(ctx, data, len(data.shape) if known and data.shape is not None else None),)
        left: list[Dim] = []
        for axis, size in enumerate(data.shape):
            if axis not in axes:
                left.append(size)
            elif self.keepdims:
                left.append(1)
        return (carried(data.dtype, left, self._contents(data, axes)),)

    def _contents(self, data: TensorInfo, axes: Sequence[int]) -> tuple[Dim, ...] | None:
        """The known contents of shape arithmetic such as the product of a shape."""
        contents = type(self).contents
        if data.values is None or not axes:
            return data.values if not self.form.transform else None
        if contents is None or not data.values:
            return None
        return (functools.reduce(contents, data.values),)

    def lowers(self, ctx: InferContext) -> bool:
        dtype = ctx.input(0).dtype
        return dtype is not None and computable(dtype, self.kinds) and self.axes(ctx) is not None

    def expands(self, ctx: InferContext) -> bool:
        data, axes = ctx.input(0), ctx.optional(1)
        if axes is None or axes.shape is None or len(axes.shape) != 1 or self.axes(ctx) is not None:
            return False
        known = isinstance(axes.shape[0], int) and axes.shape[0] > 0
        return known and data.dtype is not None and computable(data.dtype, self.kinds) and bool(data.shape)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        data, axes = b.input(0), b.input(1)
        rank = b.rank(data)
        apart = b.op("AxesApart", data, axes, domain="sardonyx")
        result = b.op(type(self).op_type, apart, b.ints(*range(rank, 2 * rank)), keepdims=0)
        return (result if self.keepdims else b.op("Squeeze", result, axes),)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        rank = outputs[0].rank
        return None if rank is None else [list(range(rank))]

    def prologue(self, ctx: InferContext) -> int | None:
        return 0

    def lower(self, ctx: LowerContext) -> None:
        axes = self.axes(ctx.infer) or ()
        loops = Loops.plan(ctx, 0, axes)
        self.lower_loops(_Lowering(ctx, loops, axes, bool(self.keepdims)))

    def lower_loops(self, lowering: _Lowering) -> None:
        """Emits the passes over the input."""
        lowering.result(self.form)


@dataclass
class _Lowering:
    """The kernel calls of one reduction."""

    ctx: LowerContext
    loops: Loops
    axes: Sequence[int]
    keepdims: bool

    @property
    def dtype(self) -> DType:
        dtype = self.ctx.outputs[0].dtype
        if dtype is None:
            raise AssertionError("a reduction of unknown dtype was lowered")
        return dtype

    @property
    def kept(self) -> tuple[Dim, ...]:
        """The extents of the kept loops."""
        return tuple(self.loops.extents[k] for k in self.loops.kept)

    def result(self, form: Form, shift: Fused | None = None) -> None:
        """Reduces to the node's output, with the epilogue."""
        positions, _ = self.loops.result_loops(self.axes, self.keepdims)
        epilogue = self.ctx.epilogue(positions)
        output = self.ctx.output(0, self.loops.order_of(self.axes, self.keepdims))
        steps = self.loops.steps(self.loops.result_strides(output, self.axes, self.keepdims))
        self.reduce(form, output, steps, epilogue, shift)

    def scratch(self, form: Form) -> Fused:
        """Reduces to scratch memory; gives the program that reads it over the kept loops."""
        dtype = accumulator_dtype(self.dtype)
        memory = self.ctx.scratch(dtype, product(self.kept))
        strides = row_major(self.kept)
        steps: list[Dim] = [0] * len(self.loops.groups)
        for loop, stride in zip(self.loops.kept, strides, strict=True):
            steps[loop] = stride
        self.reduce(form, memory, steps, identity_epilogue(dtype))
        return strided_element(memory, strides or (0,))

    def reduce(
        self, form: Form, target: Operand, steps: Sequence[Dim], epilogue: Fused, shift: Fused | None = None
    ) -> None:
        """One pass over the input; where that is cut into pieces, another over their partial results."""
        count = product(self.loops.extents[k] for k in self.loops.reduced)
        cut = self._cut()
        if cut is None:
            self._pass(self.loops, form, target, steps, epilogue, shift, count, None)
            return
        pieces = ceildiv(self.loops.extents[cut.loop], cut.length)
        dtype = accumulator_dtype(self.dtype)
        memory = self.ctx.scratch(dtype, product(self.kept) * pieces)
        strides = row_major((*self.kept, pieces))
        partial_steps: list[Dim] = [0] * len(self.loops.groups)
        for loop, stride in zip(self.loops.kept, strides, strict=False):
            partial_steps[loop] = stride
        first = Form(form.operation, form.transform)
        self._pass(self.loops, first, memory, [*partial_steps, 1], identity_epilogue(dtype), shift, 0, cut)
        rank = len(strides)
        groups = tuple((k,) for k in range(rank))
        element = strided_element(memory, strides)
        partial = Loops((*self.kept, pieces), tuple(range(rank)), groups, (rank - 1,), rank - 1, element)
        kept_steps = [steps[k] for k in self.loops.kept]
        self._pass(
            partial, Form(form.operation, "", form.finish), target, [*kept_steps, 0], epilogue, shift, count, None
        )

    def _cut(self) -> _Cut | None:
        """How to cut the input into pieces; None: there are enough tasks, or there is too little to do."""
        loops = self.loops
        nest = Nest(loops.extents, loops.reduced, loops.vector)
        tasks, count = nest.tasks(), nest.reduced_count()
        if not loops.reduced or not isinstance(tasks, int):
            return None
        if tasks >= FEW_TASKS or count < LONG if isinstance(count, int) else tasks >= FEW_TASKS // 4:
            return None
        width = 1 if nest.across else minimum(loops.extents[loops.vector], COLUMNS)
        inside = [width, *(loops.extents[k] for k in loops.reduced[1:])]
        steps = product(size if isinstance(size, int) else 64 for size in inside)
        return _Cut(loops.reduced[0], max(1, PIECE // max(1, steps)) if isinstance(steps, int) else PIECE)

    def _pass(
        self,
        loops: Loops,
        form: Form,
        target: Operand,
        steps: Sequence[Dim],
        epilogue: Fused,
        shift: Fused | None,
        count: Dim,
        cut: _Cut | None,
    ) -> None:
        plan = CallPlan()
        nest = loops.nest(plan) if cut is None else loops.nest(plan, cut.length, cut.loop)
        count_slot = plan.slot(count)
        store = plan.store(target, steps)
        index: list[Dim] = [symbol(f"i{k}") for k in loops.kept] or [0]
        element = plan.part(loops.element)
        result = plan.part(epilogue, index)
        shift_part = None if shift is None else plan.part(shift, index)
        accumulator = accumulator_dtype(self.dtype)
        final = self.dtype if cut is None and form.finish != "finite" else accumulator
        kernel = Reduce(
            nest=nest,
            operation=form.operation,
            transform=form.transform,
            finish=form.finish,
            accumulator=accumulator,
            dtype=final,
            count=count_slot,
            element=element,
            epilogue=result,
            stores=(store,),
            shift=shift_part,
        )
        plan.call(self.ctx, kernel, nest.tasks(), loops.elements)


@dataclass(frozen=True)
class _Cut:
    """A reduced loop and the length of its pieces."""

    loop: int
    length: int


@op("ReduceSum")
class ReduceSum(Reduction):
    """The sum."""

    contents = operator.add


@op("ReduceMean")
class ReduceMean(Reduction):
    """The arithmetic mean; of integers rounded towards zero."""

    form = Form(finish="mean")


@op("ReduceMax")
class ReduceMax(Reduction):
    """The largest element; NaN where there is one."""

    form = Form("max")
    kinds = "fiub"
    contents = maximum


@op("ReduceMin")
class ReduceMin(Reduction):
    """The smallest element; NaN where there is one."""

    form = Form("min")
    kinds = "fiub"
    contents = minimum


@op("ReduceProd")
class ReduceProd(Reduction):
    """The product."""

    form = Form("prod")
    contents = operator.mul


@op("ReduceSumSquare")
class ReduceSumSquare(Reduction):
    """The sum of squares."""

    form = Form(transform="square")


@op("ReduceL1")
class ReduceL1(Reduction):
    """The sum of absolute values."""

    form = Form(transform="abs")


@op("ReduceL2")
class ReduceL2(Reduction):
    """The square root of the sum of squares."""

    form = Form(transform="square", finish="sqrt")


@op("ReduceLogSum")
class ReduceLogSum(Reduction):
    """The logarithm of the sum."""

    form = Form(finish="log")
    kinds = "f"


@op("ReduceLogSumExp")
class ReduceLogSumExp(Reduction):
    """log(sum(exp(x))), with the maximum taken out first so that nothing overflows."""

    form = Form(transform="exp", finish="log")
    kinds = "f"

    def lower_loops(self, lowering: _Lowering) -> None:
        lowering.result(self.form, lowering.scratch(Form("max", finish="finite")))
