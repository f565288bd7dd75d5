"""Resize: every mode as separable weighted sums, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import reduce

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import CheckedIndex, Instruction, Load, PointProgram
from sardonyx.kernels.resample import Resample, ResampleTable, TableSpec, accumulator
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import distinct_axes, memory_order, unknown
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op
from sardonyx.ops.values import sizes_input
from sardonyx.symbols import Dim, ceildiv, divide_exact, maximum, minimum, product, symbol

__all__ = ["Resize"]

_TRANSFORMS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)


@dataclass(frozen=True)
class _Axis:
    """What happens to one axis: its size before and after, and its scale.

    That is the number ``scale``, or else the least or greatest of the ratios ``pairs`` (sizes before and after), or
    else ``out / source``; or it is ``read`` from the input when the model runs.
    """

    axis: int
    place: int
    source: Dim
    out: Dim
    scale: float | None
    pairs: tuple[tuple[Dim, Dim], ...] = ()
    read: bool = False


def _scaled(size: Dim, scale: float) -> Dim:
    """``floor(size * scale)`` in float32 as exporters meant it: 5 * 2.8 is 14 although float32's 2.8 is a bit less."""
    if isinstance(size, int):
        return math.floor(float(np.float32(size) * np.float32(scale)))
    exact = Fraction(scale)
    simple = exact.limit_denominator(1000)
    ratio = simple if np.float32(float(simple)) == np.float32(scale) else exact
    return size * ratio.numerator // ratio.denominator


@op("Resize")
class Resize(Anchor, Reducible):
    """The input sampled anew along ``axes``, by ``scales`` (input 2) or to ``sizes`` (input 3)."""

    sized_by = (3,)
    antialias: int = 0
    axes: tuple[int, ...] | None = None
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def _check(self, ctx: InferContext) -> None:
        choices = (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", self.coordinate_transformation_mode, _TRANSFORMS),
            ("nearest_mode", self.nearest_mode, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
            ("keep_aspect_ratio_policy", self.keep_aspect_ratio_policy, ("stretch", "not_larger", "not_smaller")),
        )
        for name, value, allowed in choices:
            if value not in allowed:
                ctx.fail(f"{name} {value!r}; expected one of {', '.join(allowed)}")
        if self.antialias and self.mode == "nearest":
            ctx.fail("antialias needs mode linear or cubic, not nearest")
        region = ctx.input(1).shape if self._given(ctx, 1) else None
        if self.coordinate_transformation_mode == "tf_crop_and_resize" and region is not None:
            count = 2 * len(self.axes if self.axes is not None else ctx.input(0).shape or ())
            message = f"the region of interest has shape {list(region)}; expected [{count}]"
            if len(region) != 1:
                ctx.fail(message)
            ctx.require_equal(region[0], count, message)

    def _given(self, ctx: InferContext, index: int) -> bool:
        """Whether an optional input is there; older models pass an empty tensor for an omitted one."""
        info = ctx.optional(index)
        return info is not None and info.shape != (0,)

    def expands(self, ctx: InferContext) -> bool:
        return self._given(ctx, 2) and not self._given(ctx, 3) and ctx.const(2) is None

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        """Scales that a run computes: the sizes are computed from them before, as integers that the next step reads."""
        data, scales = b.input(0), b.input(2)
        sizes = b.op("Shape", data)
        if self.axes is not None:
            sizes = b.op("Gather", sizes, b.ints(*(axis % b.rank(data) for axis in self.axes)))
        scaled = b.op("Floor", b.op("Mul", b.cast(sizes, dtypes.float32), scales))
        given = {name.name: getattr(self, name.name) for name in fields(self)}
        attributes = {name: value for name, value in given.items() if value is not None}
        inputs = (data, b.optional(1), scales, b.cast(scaled, dtypes.int64))
        return (b.op("ResizeRead", *inputs, domain="sardonyx", **attributes),)

    def _plan(self, ctx: InferContext) -> tuple[_Axis, ...] | None:
        """The resized axes in order; None where sizes depend on data."""
        shape = ctx.input(0).shape
        if shape is None:
            return None
        axes = tuple(range(len(shape))) if self.axes is None else distinct_axes(ctx, self.axes, len(shape))
        scaled, sized = self._given(ctx, 2), self._given(ctx, 3)
        if scaled == sized:
            ctx.fail("exactly one of scales and sizes must be given")
        if scaled:
            return self._plan_scales(ctx, shape, axes)
        sizes = sizes_input(ctx, 3, "sizes")
        if sizes is None:
            return None
        self._check_count(ctx, "sizes", len(sizes), axes)
        for axis, size in zip(axes, sizes, strict=True):
            if shape[axis] == 0 and (size != 0 or self.keep_aspect_ratio_policy != "stretch"):
                ctx.fail(f"axis {axis} is empty and cannot be resized to {size}")
        if self.keep_aspect_ratio_policy != "stretch":
            return self._plan_aspect(ctx, shape, axes, sizes)
        return tuple(_Axis(a, k, shape[a], size, None) for k, (a, size) in enumerate(zip(axes, sizes, strict=True)))

    def _check_count(self, ctx: InferContext, what: str, count: int, axes: Sequence[int]) -> None:
        if count != len(axes):
            ctx.fail(f"{count} {what} for {len(axes)} axes")

    def _plan_scales(
        self, ctx: InferContext, shape: tuple[Dim, ...], axes: tuple[int, ...]
    ) -> tuple[_Axis, ...] | None:
        constant = ctx.const(2)
        if constant is None:
            return None
        scales = [float(scale) for scale in constant.reshape(-1)]
        self._check_count(ctx, "scales", len(scales), axes)
        if not all(math.isfinite(scale) and scale > 0 for scale in scales):
            ctx.fail(f"scales {scales} must be positive numbers")
        pairs = enumerate(zip(axes, scales, strict=True))
        return tuple(_Axis(a, k, shape[a], _scaled(shape[a], scale), scale) for k, (a, scale) in pairs)

    def _plan_aspect(
        self, ctx: InferContext, shape: tuple[Dim, ...], axes: tuple[int, ...], sizes: Sequence[Dim]
    ) -> tuple[_Axis, ...]:
        """One scale for all axes: the least or the greatest of those that the sizes ask for.

        The size it gives an axis, rounded half up, is the least or greatest of what each of the scales would give.
        """
        choose = minimum if self.keep_aspect_ratio_policy == "not_larger" else maximum
        pairs = tuple((shape[axis], size) for axis, size in zip(axes, sizes, strict=True))
        plan = []
        for place, axis in enumerate(axes):
            rounded = [(2 * want * shape[axis] + have) // (2 * have) for have, want in pairs]
            out = ctx.define("resized", reduce(choose, rounded))
            plan.append(_Axis(axis, place, shape[axis], out, None, pairs))
        return tuple(plan)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        self._check(ctx)
        data = ctx.input(0)
        plan = self._plan(ctx)
        if data.shape is None:
            return (unknown(ctx, data, None),)
        shape = list(data.shape)
        for axis in range(len(shape)) if plan is None and self.axes is None else ():
            shape[axis] = ctx.fresh("resized")
        for axis in distinct_axes(ctx, self.axes, len(shape)) if plan is None and self.axes is not None else ():
            shape[axis] = ctx.fresh("resized")
        for resized in plan or ():
            shape[resized.axis] = resized.out
        return (TensorInfo(data.dtype, tuple(shape)),)

    def lowers(self, ctx: InferContext) -> bool:
        dtype, plan = ctx.input(0).dtype, self._plan(ctx)
        return plan is not None and dtype is not None and dtype.kind in "fiu"

    def lower(self, ctx: LowerContext) -> None:
        plan = [axis for axis in self._plan(ctx.infer) or () if not self._unchanged(axis)]
        repeats = [self._repeats(axis) for axis in plan]
        if all(count > 0 for count in repeats):
            self._lower_repeats(ctx, {axis.axis: count for axis, count in zip(plan, repeats, strict=True)})
        elif self.mode == "nearest" and self.coordinate_transformation_mode != "tf_crop_and_resize":
            self._lower_nearest(ctx, plan)
        else:
            self._lower_sums(ctx, plan)

    def _unchanged(self, axis: _Axis) -> bool:
        if axis.read:
            return False
        whole = not axis.pairs if axis.scale is None else math.isclose(axis.scale, 1.0)
        return whole and axis.source == axis.out and self.coordinate_transformation_mode != "tf_crop_and_resize"

    def _table(self, ctx: LowerContext, axis: _Axis, dtype: DType) -> tuple[Operand, Operand, Dim]:
        """The places and weights of one axis, and the number of taps."""
        roi = None
        operands: list[Operand] = []
        if self.coordinate_transformation_mode == "tf_crop_and_resize" and self._given(ctx.infer, 1):
            region = ctx.contiguous(1)
            axes = len(self.axes) if self.axes is not None else len(ctx.outputs[0].shape or ())
            roi, operands = (region.dtype, axis.place, axes + axis.place), [region]
        spec = TableSpec(
            self.mode,
            self.coordinate_transformation_mode,
            self.nearest_mode,
            bool(self.antialias),
            bool(self.exclude_outside),
            self.cubic_coeff_a,
            axis.scale,
            roi,
        )
        if axis.read:
            operands.append(ctx.contiguous(2))
            spec = replace(spec, scales=axis.place)
        taps, slots = self._taps(axis), Slots()
        places, weights = ctx.scratch(dtypes.int64, axis.out * taps), ctx.scratch(dtype, axis.out * taps)
        pairs = tuple((slots.add(have), slots.add(want)) for have, want in axis.pairs)
        aspect = self.keep_aspect_ratio_policy if pairs else ""
        sizes = [slots.add(size) for size in (axis.source, axis.out, taps)]
        kernel = ResampleTable(spec, dtype, sizes[0], sizes[1], sizes[2], pairs, aspect)
        ctx.call(kernel, [places, weights, *operands], slots.sizes, axis.out)
        return places, weights, taps

    def _taps(self, axis: _Axis) -> Dim:
        if self.mode == "nearest":
            return 1
        reach = 1 if self.mode == "linear" else 2
        if not self.antialias:
            return 2 * reach
        if axis.scale is not None:
            return 2 * math.ceil(reach / min(axis.scale, 1.0))
        taps: Dim = 0
        for have, want in axis.pairs or ((axis.source, axis.out),):
            wanted = maximum(ceildiv(have * reach, maximum(want, 1)), reach)
            smaller = taps != 0 and self.keep_aspect_ratio_policy == "not_smaller"
            taps = minimum(taps, wanted) if smaller else maximum(taps, wanted)
        return 2 * taps

    def _repeats(self, axis: _Axis) -> int:
        """How often every element of an axis is repeated, where that is all that happens to it; else 0.

        Nearest does that when it enlarges by a whole number n, and output o lies nearest to source o // n.
        """
        count = divide_exact(axis.out, axis.source) if not axis.read else None
        if self.mode != "nearest" or not isinstance(count, int) or axis.scale not in (None, float(count)):
            return 0
        centred = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
        if self.coordinate_transformation_mode in centred:
            return count if self.nearest_mode in ("round_prefer_floor", "round_prefer_ceil") else 0
        floored = self.coordinate_transformation_mode in ("asymmetric", "tf_half_pixel_for_nn")
        return count if floored and self.nearest_mode == "floor" and not axis.pairs else 0

    def _lower_repeats(self, ctx: LowerContext, repeats: Mapping[int, int]) -> None:
        """A copy of a view in which each element is seen several times."""
        source = ctx.input(0)
        target = ctx.output(0, memory_order(source))
        shape: list[Dim] = []
        read: list[Dim] = []
        written: list[Dim] = []
        for axis, size in enumerate(source.shape):
            count = repeats.get(axis, 1)
            shape += [size, count]
            read += [source.strides[axis], 0]
            written += [target.strides[axis] * count, target.strides[axis]]
        seen = replace(source, shape=tuple(shape), strides=tuple(read))
        ctx.copy(seen, replace(target, shape=tuple(shape), strides=tuple(written)))

    def _lower_nearest(self, ctx: LowerContext, plan: Sequence[_Axis]) -> None:
        """One map that reads each element at its tabulated place."""
        source, slots = ctx.input(0), Slots()
        order = memory_order(source) or tuple(range(source.rank))
        target = ctx.output(0, order)
        operands: list[Operand] = [source]
        instructions: list[Instruction] = []
        by_axis = {axis.axis: axis for axis in plan}
        offset: Dim = 0
        written: Dim = 0
        for loop, dimension in enumerate(order):
            position = symbol(f"i{loop}")
            place: Dim = position
            if dimension in by_axis:
                axis = by_axis[dimension]
                places, _, _ = self._table(ctx, axis, dtypes.float32)
                instructions.append(Load(len(operands), dtypes.int64, position))
                instructions.append(CheckedIndex(len(instructions) - 1, slots.add(axis.source)))
                place = symbol(f"v{len(instructions) - 1}")
                operands.append(places)
            offset = offset + place * slots.add(source.strides[dimension])
            written = written + position * slots.add(target.strides[dimension])
        load = Load(0, source.dtype, offset)
        program = PointProgram((*instructions, load), (len(instructions),), len(operands) + 1)
        extents = tuple(target.shape[dimension] for dimension in order) or (1,)
        store = Store(len(operands), target.dtype, written)
        kernel = Map(tuple(slots.add(size) for size in extents), program, (store,))
        ctx.call(kernel, [*operands, target], slots.sizes, Map.tasks(extents))

    def _lower_sums(self, ctx: LowerContext, plan: Sequence[_Axis]) -> None:
        order = memory_order(ctx.input(0)) or tuple(range(ctx.input(0).rank))
        source, target = ctx.contiguous(0, order), ctx.output(0, order)
        compute = accumulator(target.dtype)
        outside = None
        if self.coordinate_transformation_mode == "tf_crop_and_resize":
            outside = float(self.extrapolation_value)
        shape = [source.shape[dimension] for dimension in order]
        for number, axis in enumerate(plan):
            places, weights, taps = self._table(ctx, axis, compute)
            place = order.index(axis.axis)
            outer, inner = product(shape[:place]), product(shape[place + 1 :])
            shape[place] = axis.out
            last = number == len(plan) - 1
            result = target if last else ctx.scratch(compute, product(shape))
            slots = Slots()
            sizes = [slots.add(size) for size in (axis.source, axis.out, inner, taps)]
            kernel = Resample(source.dtype, result.dtype, compute, sizes[0], sizes[1], sizes[2], sizes[3], outside)
            ctx.call(kernel, [source, places, weights, result], slots.sizes, Resample.tasks(outer, axis.out, inner))
            source = result


@op("ResizeRead", "sardonyx")
class ResizeRead(Resize):
    """Resize by scales (input 2) that only a run knows, to the sizes (input 3) that follow from them."""

    antialias: int = 0
    axes: tuple[int, ...] | None = None
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    def expands(self, ctx: InferContext) -> bool:
        return False

    def _plan(self, ctx: InferContext) -> tuple[_Axis, ...] | None:
        shape, sizes = ctx.input(0).shape, sizes_input(ctx, 3, "sizes")
        if shape is None or sizes is None:
            return None
        axes = tuple(range(len(shape))) if self.axes is None else distinct_axes(ctx, self.axes, len(shape))
        self._check_count(ctx, "scales", len(sizes), axes)
        scales = ctx.input(2)
        if scales.dtype is not dtypes.float32 or scales.shape is None or len(scales.shape) != 1:
            ctx.fail(f"the scales must be float32 of rank 1, got {scales.dtype} of shape {scales.shape}")
        ctx.require_equal(scales.shape[0], len(axes), f"{scales.shape[0]} scales for {len(axes)} axes")
        plan = enumerate(zip(axes, sizes, strict=True))
        return tuple(_Axis(axis, place, shape[axis], size, None, read=True) for place, (axis, size) in plan)
