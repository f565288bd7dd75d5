"""Windows that slide over spatial dimensions: attributes, checks and output sizes shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx.ops.base import InferContext
from sardonyx.symbols import Dim, known_nonnegative, maximum, minimum

__all__ = ["LIMIT", "Window", "output_size", "per_axis", "same_pads", "size_of", "spatial_window"]

LIMIT = 2**31
"""Kernel sizes, strides, dilations and pads must stay below, so that no product of a few of them leaves 64 bits."""


@dataclass(frozen=True)
class Window:
    """A window over the spatial dimensions, one entry per dimension; only pads may be symbolic (auto_pad SAME)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[Dim, ...]
    end: tuple[Dim, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """What one window spans of the input, per dimension."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def padded(self) -> bool:
        """Whether any side has padding."""
        return any(p != 0 for p in (*self.begin, *self.end))


def per_axis(
    ctx: InferContext, name: str, values: tuple[int, ...], rank: int, default: int, least: int
) -> tuple[int, ...]:
    """An attribute with one number per spatial dimension, checked; empty means ``default`` everywhere."""
    if not values:
        return (default,) * rank
    if len(values) != rank:
        ctx.fail(f"attribute {name!r} must have {rank} values for this input; got {list(values)}")
    for value in values:
        if not least <= value < LIMIT:
            ctx.fail(f"attribute {name!r} must lie in [{least}, {LIMIT}); got {list(values)}")
    return values


def output_size(
    ctx: InferContext, size: Dim, pads: Dim, extent: int, stride: int, *, ceil: bool = False, begin: Dim = 0
) -> Dim:
    """Positions of a window along one dimension.

    With ``ceil`` the last window may begin inside the input (or the padding at its start, ``begin``) and end outside.
    """
    free = size + pads - extent
    if isinstance(free, int) and free < 0:
        ctx.fail(f"a window of {extent} does not fit into an input of {size} with padding {pads}")
    if not ceil or stride == 1:
        count = free // stride + 1
    else:
        count = (free + stride - 1) // stride + 1
        if isinstance(count, int) and isinstance(size, int) and isinstance(begin, int):
            if (count - 1) * stride >= size + begin:
                count -= 1
        else:
            # the last window is dropped where it would begin after the input
            count = minimum(count, (size + begin - 1) // stride + 1)
    return size_of(ctx, count)


def size_of(ctx: InferContext, size: Dim) -> Dim:
    """A computed size as one that is never negative; fails for a negative number."""
    if isinstance(size, int) and size < 0:
        ctx.fail(f"the output would have a size of {size}")
    return size if known_nonnegative(size) else maximum(size, 0)


def same_pads(size: Dim, extent: int, stride: int, *, upper: bool) -> tuple[Dim, Dim]:
    """The padding of auto_pad SAME_UPPER or SAME_LOWER: ceil(size / stride) windows."""
    positions = (size + (stride - 1)) // stride
    total = maximum((positions - 1) * stride + extent - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def spatial_window(
    ctx: InferContext,
    sizes: Sequence[Dim],
    kernel: Sequence[int],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    auto_pad: str,
) -> Window:
    """The checked window of a node over an input with the spatial ``sizes``."""
    rank = len(sizes)
    shape = per_axis(ctx, "kernel_shape", tuple(kernel), rank, 1, 1)
    step = per_axis(ctx, "strides", strides, rank, 1, 1)
    dilation = per_axis(ctx, "dilations", dilations, rank, 1, 1)
    extents = [d * (k - 1) + 1 for k, d in zip(shape, dilation, strict=True)]
    if any(extent >= LIMIT for extent in extents):
        ctx.fail(f"kernel_shape {list(shape)} with dilations {list(dilation)} spans more than {LIMIT} elements")
    begin: tuple[Dim, ...] = (0,) * rank
    end: tuple[Dim, ...] = (0,) * rank
    if auto_pad in ("NOTSET", ""):
        both = per_axis(ctx, "pads", pads, 2 * rank, 0, 0)
        begin, end = both[:rank], both[rank:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        sides = [
            same_pads(size, extent, s, upper=auto_pad == "SAME_UPPER")
            for size, extent, s in zip(sizes, extents, step, strict=True)
        ]
        begin, end = tuple(side[0] for side in sides), tuple(side[1] for side in sides)
    elif auto_pad != "VALID":
        ctx.fail(f"attribute 'auto_pad' must be NOTSET, SAME_UPPER, SAME_LOWER or VALID; got {auto_pad!r}")
    return Window(shape, step, dilation, begin, end)
