"""Pad, by all its modes."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.axes import by_choice, chosen_axes, fixed_axes, unknown
from sardonyx.ops.base import IndexContext, Indexed, InferContext, Read
from sardonyx.ops.registry import op
from sardonyx.ops.values import integers
from sardonyx.symbols import Dim, known_nonnegative, known_positive, maximum, minimum

__all__ = ["Pad"]


@op("Pad")
class Pad(Indexed):
    """The input with ``pads`` (input 1) elements before and after each of ``axes`` (input 3); negative pads crop.

    ``mode`` says what is added: a ``constant`` (input 2, else 0), the ``edge``, or the input reflected (``reflect``,
    without the edge itself) or repeated (``wrap``).
    """

    sized_by = (1, 3)
    mode: str = "constant"

    def _pads(self, ctx: InferContext) -> tuple[tuple[Dim, Dim], ...] | None:
        """Elements before and after each dimension; None where nothing is known of them."""
        shape = ctx.input(0).shape
        pads = integers(ctx, 1)
        if shape is None or pads is None:
            return None
        rank = len(shape)
        axes = fixed_axes(range(rank), rank) if ctx.optional(3) is None else chosen_axes(ctx, 3, rank)
        if axes is None:
            return None
        if len(pads) != 2 * len(axes):
            ctx.fail(f"{len(pads)} pads for {len(axes)} axes; expected two for each")
        sides = pads[: len(axes)], pads[len(axes) :]
        by_axis = [[choice[axis] for choice in axes] for axis in range(rank)]
        return tuple((by_choice(chosen, sides[0], 0), by_choice(chosen, sides[1], 0)) for chosen in by_axis)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if self.mode not in ("constant", "edge", "reflect", "wrap"):
            ctx.fail(f"mode {self.mode!r}; expected constant, edge, reflect or wrap")
        pads = self._pads(ctx)
        if data.shape is None or pads is None:
            return (unknown(ctx, data, data.rank),)
        shape: list[Dim] = []
        for axis, (size, (before, after)) in enumerate(zip(data.shape, pads, strict=True)):
            padded = size + before + after
            message = f"pads {before} and {after} of axis {axis} crop more than its size {size}"
            ctx.require_least(padded, 0, message)
            if self.mode != "constant":
                left = size + minimum(before, 0) + minimum(after, 0)
                message = f"axis {axis} is empty or cropped to nothing: mode {self.mode} has nothing to pad it with"
                ctx.require_least(left, minimum(padded, 1), message)
            shape.append(ctx.define("padded", padded if known_nonnegative(padded) else maximum(padded, 0)))
        return (TensorInfo(data.dtype, tuple(shape)),)

    def lowers(self, ctx: InferContext) -> bool:
        return self._pads(ctx) is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, pads = ctx.infer.input(0).shape or (), self._pads(ctx.infer) or ()
        index: list[Dim] = []
        conditions: list[Dim] = []
        for place, size, (before, after) in zip(position, shape, pads, strict=True):
            if before == 0 and after == 0:
                index.append(place)
                continue
            source = place - before
            if self.mode == "constant":
                if not known_nonnegative(-before):
                    conditions.append(source)
                if not known_nonnegative(-after):
                    conditions.append(size - 1 - source)
            else:
                # what negative pads crop away is not there to be repeated or reflected
                cropped, left = -minimum(before, 0), size + minimum(before, 0) + minimum(after, 0)
                source = cropped + self._inside(source - cropped, left, max_pads=(before, after))
                if not known_positive(left):
                    conditions.append(left - 1)  # an empty axis has nothing to read
            index.append(source)
        return Read(0, tuple(index), tuple(conditions), self._fill(ctx.infer))

    def _inside(self, source: Dim, size: Dim, max_pads: tuple[Dim, Dim]) -> Dim:
        """An index outside [0, size) brought inside as the mode says."""
        if self.mode == "edge":
            return maximum(minimum(source, size - 1), 0)
        if self.mode == "wrap":
            return source % maximum(size, 1)
        last = size - 1
        if all(known_nonnegative(last - pad) for pad in max_pads):
            mirrored = maximum(source, -source)
        else:
            mirrored = source % maximum(2 * last, 1)
        return maximum(minimum(mirrored, 2 * last - mirrored), 0)

    def _fill(self, ctx: InferContext) -> float | int | Read:
        if self.mode != "constant" or ctx.optional(2) is None:
            return 0
        constant = ctx.const(2)
        if constant is not None and constant.size == 1 and constant.dtype.kind != "c":
            number = constant.reshape(-1)[0]
            return float(number) if constant.dtype.kind not in "iub" else int(number)
        given = ctx.input(2)
        return Read(2, (0,) * (given.rank or 0))
