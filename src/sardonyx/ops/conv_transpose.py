"""ConvTranspose: one convolution for each phase of its strides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.point import compute_dtype
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.conv import check_bias, same_dtypes
from sardonyx.ops.conv_lowering import (
    FLOATS,
    Axis,
    Weights,
    channels_last,
    dense_strides,
    pad_input,
    product_of_taps,
)
from sardonyx.ops.registry import op
from sardonyx.ops.spatial import LIMIT, per_axis
from sardonyx.symbols import Dim, ceildiv, known_nonnegative, maximum

__all__ = ["ConvTranspose"]

MAX_PHASES = 64
"""Phases, each with a kernel of its own, up to which code is made."""


@dataclass(frozen=True)
class _Side:
    """One spatial dimension: kernel size, stride, dilation, padding taken off the begin, output size."""

    kernel: int
    stride: int
    dilation: int
    begin: Dim
    size: Dim


@op("ConvTranspose")
class ConvTranspose(Anchor):
    """y[n, o, p] = bias[o] + sum over c, i, k with i * stride + k * dilation - pad = p of x[n, c, i] * w[c, o, k].

    Output positions with one remainder modulo the stride (a phase) share the same taps and neighbouring inputs: each
    phase is a convolution of stride 1 with a part of the kernel, so that nothing is scattered.
    """

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def sides(self, ctx: InferContext) -> list[_Side] | None:
        """The spatial dimensions; None where the kernel or the rank is not known."""
        x, w = ctx.input(0), ctx.input(1)
        if x.shape is None or w.shape is None:
            return None
        if len(x.shape) < 3 or len(w.shape) != len(x.shape):
            ctx.fail(f"input {list(x.shape)} and weights {list(w.shape)} must both have spatial dimensions")
        rank = len(x.shape) - 2
        given = self.kernel_shape or w.shape[2:]
        if any(isinstance(d, int) and d != k for d, k in zip(w.shape[2:], given, strict=False)):
            ctx.fail(
                f"attribute 'kernel_shape' {list(self.kernel_shape)} differs from the weights' {list(w.shape[2:])}"
            )
        known = tuple(d for d in given if isinstance(d, int))
        if len(known) != len(given):
            return None
        kernel = per_axis(ctx, "kernel_shape", known, rank, 1, 1)
        strides = per_axis(ctx, "strides", self.strides, rank, 1, 1)
        dilations = per_axis(ctx, "dilations", self.dilations, rank, 1, 1)
        extra = per_axis(ctx, "output_padding", self.output_padding, rank, 0, 0)
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        if any(extent >= LIMIT for extent in extents):
            ctx.fail(f"kernel_shape {list(kernel)} with dilations {list(dilations)} spans more than {LIMIT} elements")
        full = [(n - 1) * s + e + o for n, s, e, o in zip(x.shape[2:], strides, extents, extra, strict=True)]
        begin, sizes = self._begin_and_sizes(ctx, x.shape[2:], strides, full)
        return [_Side(*side) for side in zip(kernel, strides, dilations, begin, sizes, strict=True)]

    def _begin_and_sizes(
        self, ctx: InferContext, inputs: Sequence[Dim], strides: tuple[int, ...], full: list[Dim]
    ) -> tuple[list[Dim], list[Dim]]:
        """Padding at the begin and output sizes, given the sizes without any padding."""
        rank = len(inputs)
        if self.auto_pad not in ("NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER"):
            ctx.fail(f"attribute 'auto_pad' must be NOTSET, SAME_UPPER, SAME_LOWER or VALID; got {self.auto_pad!r}")
        same = self.auto_pad.startswith("SAME")
        if self.output_shape or same:
            wanted = self.output_shape[-rank:] if len(self.output_shape) == rank + 2 else self.output_shape
            sizes: list[Dim] = list(per_axis(ctx, "output_shape", wanted, rank, 1, 1)) if wanted else []
            sizes = sizes or [n * s for n, s in zip(inputs, strides, strict=True)]
            total = [maximum(f - size, 0) for f, size in zip(full, sizes, strict=True)]
            lower = self.auto_pad != "SAME_UPPER"
            return [t - t // 2 if lower else t // 2 for t in total], sizes
        pads = per_axis(ctx, "pads", () if self.auto_pad == "VALID" else self.pads, 2 * rank, 0, 0)
        sizes = [f - pads[a] - pads[a + rank] for a, f in enumerate(full)]
        for size in sizes:
            if isinstance(size, int) and size < 0:
                ctx.fail(f"pads {list(pads)} take more than the whole output {full}")
        return list(pads[:rank]), [s if known_nonnegative(s) else maximum(s, 0) for s in sizes]

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, w = ctx.input(0), ctx.input(1)
        same_dtypes(ctx)
        if self.group < 1:
            ctx.fail(f"attribute 'group' must be at least 1; got {self.group}")
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        sides = self.sides(ctx)
        results: Dim = ctx.fresh("channels")
        if w.shape is not None:
            ctx.require_equal(x.shape[1], w.shape[0], f"the input has {x.shape[1]} channels, the weights {w.shape[0]}")
            if isinstance(w.shape[0], int) and w.shape[0] % self.group:
                ctx.fail(f"{w.shape[0]} input channels cannot be split into {self.group} groups")
            results = w.shape[1] * self.group
            check_bias(ctx, ctx.optional(2), results)
        spatial = [side.size for side in sides] if sides is not None else [ctx.fresh("size") for _ in x.shape[2:]]
        return (TensorInfo(x.dtype, (x.shape[0], results, *spatial)),)

    def lowers(self, ctx: InferContext) -> bool:
        x, w, sides = ctx.input(0), ctx.input(1), self.sides(ctx)
        if x.shape is None or w.shape is None or sides is None or not 3 <= len(x.shape) <= 5 or x.dtype not in FLOATS:
            return False
        known = all(isinstance(size, int) and size > 0 for size in w.shape)
        # which taps a phase has must be known when the code is made
        return known and prod(self.strides) <= MAX_PHASES and all(isinstance(side.begin, int) for side in sides)

    def loops(self, ctx: InferContext, outputs: Sequence[TensorInfo]) -> Sequence[Sequence[int]] | None:
        return [[0], *([axis] for axis in range(2, ctx.input(0).rank or 2)), [1]]

    def lower(self, ctx: LowerContext) -> None:
        x, sides = ctx.infer.input(0), self.sides(ctx.infer)
        assert x.dtype is not None
        assert x.shape is not None
        assert sides is not None
        dtype = compute_dtype(x.dtype)
        weights, strides = self._weights(ctx)
        phases = [_phases(side, stride) for side, stride in zip(sides, strides, strict=True)]
        before = [max(0, *(-phase.axis.first for phase in axis)) for axis in phases]
        padded: list[Dim] = []
        for axis, size, begin in zip(phases, x.shape[2:], before, strict=True):
            end: Dim = size
            for phase in axis:
                reach = phase.axis.first + (phase.axis.taps - 1) * phase.axis.tap_step
                end = maximum(end, phase.axis.size + reach)
            padded.append(end + begin)
        source = pad_input(ctx, dtype, weights.channels * self.group, before, padded)
        bias = ctx.contiguous(2) if ctx.infer.optional(2) is not None else None
        output = ctx.output(0, channels_last(len(x.shape)))
        for chosen in itertools.product(*phases):
            axes = [replace(p.axis, first=p.axis.first + begin) for p, begin in zip(chosen, before, strict=True)]
            offset = sum(phase.weight_offset for phase in chosen)
            moved = replace(weights, operand=replace(weights.operand, offset=weights.operand.offset + offset))
            product_of_taps(ctx, dtype, source, moved, bias, axes, output)

    def _weights(self, ctx: LowerContext) -> tuple[Weights, list[int]]:
        """The weights and the strides of their spatial dimensions."""
        operand = ctx.contiguous(1)
        channels, results, *_ = shape = [d for d in operand.shape if isinstance(d, int)]
        strides = [s for s in dense_strides(shape) if isinstance(s, int)]
        in_group = channels // self.group
        order = (strides[0], strides[1], strides[0] * in_group)
        return Weights(operand, ctx.const(1) is not None, self.group, in_group, results, *order), strides[2:]


@dataclass(frozen=True)
class _Phase:
    """One remainder of the output position: its loop, and where its first tap's weight lies."""

    axis: Axis
    weight_offset: int


def _phases(side: _Side, weight_stride: int) -> list[_Phase]:
    """The phases of one dimension that have output positions.

    Position p = r + stride * j takes the kernel elements k with (r + begin - k * dilation) divisible by the stride:
    every ``every``-th from the first one on. They are walked backwards, so that the input's places grow.
    """
    assert isinstance(side.begin, int)
    common = gcd(side.stride, side.dilation)
    every, step = side.stride // common, side.dilation // common
    result = []
    for remainder in range(side.stride):
        size = ceildiv(side.size - remainder, side.stride)
        if isinstance(size, int) and size <= 0:
            continue
        shift = remainder + side.begin
        taps = [k for k in range(min(every, side.kernel)) if (shift - k * side.dilation) % side.stride == 0]
        count = -(-(side.kernel - taps[0]) // every) if taps else 0
        last = taps[0] + (count - 1) * every if taps else 0
        first = (shift - last * side.dilation) // side.stride if taps else 0
        size = size if known_nonnegative(size) else maximum(size, 0)
        axis = Axis(size, count, 1, step, -every * weight_stride, first, remainder, side.stride)
        result.append(_Phase(axis, last * weight_stride))
    return result
