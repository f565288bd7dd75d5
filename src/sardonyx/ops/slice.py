"""Parts of a tensor as views: Slice and Split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import axes_input, axis_of, by_choice, chosen_axes, fixed_axes, unknown
from sardonyx.ops.base import InferContext, View
from sardonyx.ops.registry import op
from sardonyx.ops.steps import is_positive, steps_between
from sardonyx.ops.values import carried, integers, sizes_input
from sardonyx.symbols import Dim, ceildiv, divide_exact, known_nonnegative, maximum, minimum

__all__ = ["Slice", "Split", "slice_range"]


def slice_range(
    ctx: InferContext, start: Dim, end: Dim, step: Dim, size: Dim, sliced: bool = True
) -> tuple[Dim, Dim, Dim]:
    """The first index, the count and the step of a slice of an axis, by ONNX's rules.

    ``sliced`` is False where only a run shows whether the axis is one of those that are sliced: the numbers are then
    those of a whole axis, or others.
    """
    forward: Dim
    if isinstance(step, int):
        forward = int(step > 0)
        step = max(min(step, size + 1), -size - 1) if isinstance(size, int) else step
    else:
        forward = ctx.define("forward", is_positive(step))
        up, down = (maximum(minimum(part, size + 1), 0) for part in (step, -step))
        step = ctx.define("up", up) - ctx.define("down", down)  # as far as past the end is far enough
    first = minimum(maximum(_from_front(ctx, start, size, sliced), 0), size - 1 + forward)
    last = minimum(maximum(_from_front(ctx, end, size, sliced), forward - 1), size - 1 + forward)
    return ctx.define("first", first), ctx.define("slice", steps_between(ctx, first, last, step, "a step")), step


def _from_front(ctx: InferContext, index: Dim, size: Dim, sliced: bool) -> Dim:
    """An index that counts from the end where it is negative, as one from the front."""
    if known_nonnegative(index):
        return index
    if sliced and known_nonnegative(-index):
        # -n for a size n counts from the end, unless n is 0
        ctx.require_equal(maximum(index, -1), -1, f"the index {index} of a slice is 0, where less was expected")
        return index + size
    bounded = minimum(maximum(index, -size - 1), size)
    negative = -maximum(minimum(bounded // maximum(size, 1), 0), -1)
    return bounded + size * negative


@op("Slice")
class Slice(View):
    """Elements ``starts`` to ``ends`` (inputs 1, 2) of ``axes`` (input 3), each ``steps`` (input 4) apart."""

    sized_by = (1, 2, 3, 4)

    def _ranges(self, ctx: InferContext) -> dict[int, tuple[Dim, Dim, Dim]] | None:
        """First index, count and step by axis; None where nothing is known of them."""
        shape = ctx.input(0).shape
        starts, ends = integers(ctx, 1), integers(ctx, 2)
        if shape is None or starts is None or ends is None:
            return None
        given = ctx.optional(3) is not None
        if not given and len(starts) > len(shape):
            ctx.fail(f"{len(starts)} starts for a tensor of rank {len(shape)}")
        axes = chosen_axes(ctx, 3, len(shape)) if given else fixed_axes(range(len(starts)), len(shape))
        steps = integers(ctx, 4) if ctx.optional(4) is not None else (1,) * len(starts)
        if axes is None or steps is None:
            return None
        if not len(starts) == len(ends) == len(axes) == len(steps):
            ctx.fail(
                f"{len(starts)} starts, {len(ends)} ends, {len(axes)} axes and {len(steps)} steps; expected as many"
            )
        ranges: dict[int, tuple[Dim, Dim, Dim]] = {}
        for axis, size in enumerate(shape):
            chosen = [choice[axis] for choice in axes]
            if all(one == 0 for one in chosen):
                continue
            start, end, step = (
                by_choice(chosen, numbers, default) for numbers, default in ((starts, 0), (ends, size), (steps, 1))
            )
            sliced = all(isinstance(one, int) for one in chosen)
            ranges[axis] = slice_range(ctx, start, end, step, size, sliced)
        return ranges

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        ranges = self._ranges(ctx)
        if data.shape is None:
            return (unknown(ctx, data, None),)
        if ranges is None:
            return (self._partly_known(ctx, data.shape, data),)
        shape = [ranges[axis][1] if axis in ranges else size for axis, size in enumerate(data.shape)]
        values = data.values
        if values is not None and 0 in ranges:
            first, count, step = ranges[0]
            if isinstance(first, int) and isinstance(count, int) and isinstance(step, int):
                values = tuple(values[first + k * step] for k in range(count))
            else:
                values = None
        return (carried(data.dtype, shape, values),)

    def _partly_known(self, ctx: InferContext, shape: tuple[Dim, ...], data: TensorInfo) -> TensorInfo:
        """Only the sliced axes have unknown sizes, where it is known which those are."""
        given = ctx.optional(3)
        axes = axes_input(ctx, 3, len(shape)) if given is not None else None
        if axes is None:
            starts = ctx.input(1).shape
            count = starts[0] if given is None and starts and isinstance(starts[0], int) else len(shape)
            axes = tuple(range(min(count, len(shape))))
        return TensorInfo(data.dtype, tuple(ctx.fresh("slice") if a in axes else s for a, s in enumerate(shape)))

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        ranges = self._ranges(ctx)
        if ranges is None:
            return None
        offset, strides, shape = source.offset, list(source.strides), list(source.shape)
        for axis, (first, count, step) in ranges.items():
            offset = offset + first * strides[axis]
            strides[axis] = strides[axis] * step
            shape[axis] = count
        return (replace(source, offset=offset, strides=tuple(strides), shape=tuple(shape)),)


@op("Split")
class Split(View):
    """The parts of one axis, of the sizes in input 1 or in ``num_outputs`` parts of which the last may be smaller."""

    sized_by = (1,)
    axis: int = 0
    num_outputs: int | None = None

    def _sizes(self, ctx: InferContext, size: Dim) -> tuple[Dim, ...] | None:
        """The sizes of the parts; None where they depend on data."""
        if ctx.optional(1) is not None:
            sizes = sizes_input(ctx, 1, "split")
            if sizes is None:
                return None
            if len(sizes) != ctx.outputs:
                ctx.fail(f"{len(sizes)} sizes to split into for {ctx.outputs} outputs")
            total: Dim = 0
            for part in sizes:
                total = total + part
            ctx.require_equal(total, size, f"sizes {list(sizes)} do not add up to the size {size} of axis {self.axis}")
            return sizes
        parts = self.num_outputs if self.num_outputs is not None else ctx.outputs
        if parts != ctx.outputs or parts < 1:
            ctx.fail(f"num_outputs is {parts}, but the node has {ctx.outputs} outputs")
        exact = divide_exact(size, parts)
        if exact is not None:
            return (exact,) * parts
        chunk = ceildiv(size, parts)
        return tuple(maximum(minimum(chunk, size - chunk * k), 0) for k in range(parts))

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.shape is None:
            return tuple(unknown(ctx, data, None) for _ in range(ctx.outputs))
        axis = axis_of(ctx, self.axis, len(data.shape))
        sizes = self._sizes(ctx, data.shape[axis])
        if sizes is None:
            sizes = tuple(ctx.fresh("split") for _ in range(ctx.outputs))
        values = data.values if data.values is not None and all(isinstance(size, int) for size in sizes) else None
        infos = []
        start: Dim = 0
        for size in sizes:
            shape = (*data.shape[:axis], size, *data.shape[axis + 1 :])
            part = (
                values[start : start + size]
                if values is not None and isinstance(start, int) and isinstance(size, int)
                else None
            )
            infos.append(carried(data.dtype, shape, part))
            start = start + size
        return tuple(infos)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        axis = axis_of(ctx, self.axis, source.rank)
        sizes = self._sizes(ctx, source.shape[axis])
        if sizes is None:
            return None
        views = []
        offset = source.offset
        for size in sizes:
            shape = (*source.shape[:axis], size, *source.shape[axis + 1 :])
            views.append(replace(source, shape=shape, offset=offset))
            offset = offset + size * source.strides[axis]
        return tuple(views)
