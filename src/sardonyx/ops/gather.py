"""Elements chosen by data: Gather, GatherElements, GatherND, ReverseSequence, TensorScatter."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.axes import axis_of, unknown
from sardonyx.ops.base import IndexContext, Indexed, InferContext, Read
from sardonyx.ops.registry import op
from sardonyx.ops.values import carried, integers
from sardonyx.symbols import Dim, known_nonnegative

__all__ = ["Gather", "GatherElements", "GatherND", "ReverseSequence", "TensorScatter"]

MAX_START = 1 << 62
"""Where an update that goes around may start: as far as sums stay in 64 bits."""


def _check_range(ctx: InferContext, index: int, size: Dim) -> None:
    """Constant indices outside [-size, size) are found before any run."""
    constant = ctx.const(index)
    if constant is not None and constant.size and isinstance(size, int):
        low, high = int(constant.min()), int(constant.max())
        if low < -size or high >= size:
            ctx.fail(f"index {low if low < -size else high} is outside [{-size}, {size})")


def _inside(shape: Sequence[Dim], limits: Sequence[Dim], position: Sequence[Dim]) -> tuple[Dim, ...]:
    """Conditions that keep a position of a ``shape`` inside ``limits``, where the sizes do not say so themselves."""
    triples = zip(shape, limits, position, strict=True)
    return tuple(limit - 1 - place for size, limit, place in triples if not known_nonnegative(limit - size))


@op("Gather")
class Gather(Indexed):
    """The slices of ``axis`` that the indices (input 1) name."""

    axis: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices = ctx.input(0), ctx.input(1)
        if data.shape is None or indices.shape is None:
            rank = None if data.rank is None or indices.rank is None else data.rank + indices.rank - 1
            return (unknown(ctx, data, rank),)
        if not data.shape:
            ctx.fail("the data is a scalar; expected rank 1 or more")
        axis = axis_of(ctx, self.axis, len(data.shape))
        _check_range(ctx, 1, data.shape[axis])
        shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
        chosen = integers(ctx, 1)
        values: list[Dim] | None = None
        contents = integers(ctx, 0)
        if contents is not None and chosen is not None and all(isinstance(k, int) for k in chosen):
            if any(isinstance(k, int) and not -len(contents) <= k < len(contents) for k in chosen):
                ctx.fail(f"indices {list(chosen)} are not all inside a tensor of {len(contents)} elements")
            values = [contents[k] for k in chosen if isinstance(k, int)]
        return (carried(data.dtype, shape, values),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(1).shape is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, indices = ctx.infer.input(0).shape or (), ctx.infer.input(1).shape or ()
        axis, depth = axis_of(ctx.infer, self.axis, len(shape)), len(indices)
        found = ctx.load_index(1, position[axis : axis + depth], shape[axis])
        return Read(0, (*position[:axis], found, *position[axis + depth :]))


@op("GatherElements")
class GatherElements(Indexed):
    """Element p of the output is the input's at p, with the index at p (input 1) in the place of ``axis``."""

    axis: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices = ctx.input(0), ctx.input(1)
        if data.rank is not None and indices.rank is not None and data.rank != indices.rank:
            ctx.fail(f"data and indices must have one rank, got {data.rank} and {indices.rank}")
        if indices.shape is None or data.shape is None:
            return (TensorInfo(data.dtype, indices.shape),)
        axis = axis_of(ctx, self.axis, len(data.shape))
        _check_range(ctx, 1, data.shape[axis])
        for place, (size, limit) in enumerate(zip(indices.shape, data.shape, strict=True)):
            if place != axis and isinstance(size, int) and isinstance(limit, int) and size > limit:
                ctx.fail(f"the indices have size {size} along axis {place}, the data only {limit}")
        return (TensorInfo(data.dtype, indices.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(1).shape is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, indices = ctx.infer.input(0).shape or (), ctx.infer.input(1).shape or ()
        axis = axis_of(ctx.infer, self.axis, len(shape))
        found = ctx.load_index(1, position, shape[axis])
        others = [place for place in range(len(shape)) if place != axis]
        conditions = _inside(*([sizes[place] for place in others] for sizes in (indices, shape, position)))
        return Read(0, (*position[:axis], found, *position[axis + 1 :]), conditions)


@op("GatherND")
class GatherND(Indexed):
    """The slices at the index tuples in the last dimension of input 1, after ``batch_dims`` shared ones."""

    length_of = (1,)
    batch_dims: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices = ctx.input(0), ctx.input(1)
        depth = indices.shape[-1] if indices.shape else None
        if data.shape is None or indices.shape is None or not isinstance(depth, int):
            return (unknown(ctx, data, None),)
        batch = self.batch_dims
        if not 0 <= batch < min(len(data.shape), len(indices.shape)) or batch + depth > len(data.shape):
            ctx.fail(
                f"index tuples of {depth} after {batch} batch dimensions do not fit data of rank {len(data.shape)} and "
                f"indices of rank {len(indices.shape)}"
            )
        for axis in range(batch):
            message = f"batch dimension {axis} has size {data.shape[axis]} in data and {indices.shape[axis]} in indices"
            ctx.require_equal(data.shape[axis], indices.shape[axis], message)
        return (TensorInfo(data.dtype, indices.shape[:-1] + data.shape[batch + depth :]),)

    def lowers(self, ctx: InferContext) -> bool:
        indices = ctx.input(1).shape
        return ctx.input(0).shape is not None and indices is not None and isinstance(indices[-1], int)

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, indices = ctx.infer.input(0).shape or (), ctx.infer.input(1).shape or ()
        outer, batch = len(indices) - 1, self.batch_dims
        depth = indices[-1] if isinstance(indices[-1], int) else 0
        found = [ctx.load_index(1, (*position[:outer], k), shape[batch + k]) for k in range(depth)]
        conditions = _inside(indices[:batch], shape[:batch], position[:batch])
        return Read(0, (*position[:batch], *found, *position[outer:]), conditions)


@op("ReverseSequence")
class ReverseSequence(Indexed):
    """The first ``sequence_lens[b]`` (input 1) steps of ``time_axis`` reversed, for each b of ``batch_axis``."""

    batch_axis: int = 1
    time_axis: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, lengths = ctx.input(0), ctx.input(1)
        if data.shape is not None:
            if len(data.shape) < 2:
                ctx.fail(f"the input must have rank 2 or more, got {len(data.shape)}")
            if sorted((self.batch_axis, self.time_axis)) != [0, 1]:
                ctx.fail(f"batch_axis {self.batch_axis} and time_axis {self.time_axis} must be 0 and 1, or 1 and 0")
            if lengths.shape is not None:
                size = data.shape[self.batch_axis]
                if len(lengths.shape) != 1:
                    ctx.fail(f"sequence_lens must have rank 1, got {len(lengths.shape)}")
                ctx.require_equal(lengths.shape[0], size, f"{lengths.shape[0]} sequence_lens for a batch of {size}")
        return (TensorInfo(data.dtype, data.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(1).shape is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape = ctx.infer.input(0).shape or ()
        time = position[self.time_axis]
        length = ctx.load_index(1, (position[self.batch_axis],), shape[self.time_axis] + 1, wraps=False)
        reversed_time = length - 1 - time
        mirrored = tuple(reversed_time if axis == self.time_axis else place for axis, place in enumerate(position))
        return Read(0, mirrored, (reversed_time,), Read(0, position))


@op("TensorScatter")
class TensorScatter(Indexed):
    """The cache (input 0) with the update (input 1) written along ``axis`` from ``write_indices[b]`` (input 2, else 0)
    on. Beyond the end it goes on at the start in ``mode`` circular; in ``mode`` linear it must not reach beyond.
    """

    axis: int = -2
    mode: str = "linear"

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        cache, update = ctx.input(0), ctx.input(1)
        if self.mode not in ("linear", "circular"):
            ctx.fail(f"mode {self.mode!r}; expected linear or circular")
        if cache.shape is not None and update.shape is not None:
            if len(cache.shape) != len(update.shape):
                ctx.fail(f"cache and update must have one rank, got {len(cache.shape)} and {len(update.shape)}")
            axis = axis_of(ctx, self.axis, len(cache.shape))
            if axis == 0:
                ctx.fail("axis 0 is the batch; the update goes along another")
            for place, (have, new) in enumerate(zip(cache.shape, update.shape, strict=True)):
                if place != axis:
                    ctx.require_equal(have, new, f"axis {place} has size {have} in the cache and {new} in the update")
                else:
                    ctx.require_least(have, new, f"the update has {new} entries along axis {place}, the cache {have}")
            starts = ctx.optional(2)
            if starts is not None and starts.shape is not None:
                message = f"write_indices of shape {list(starts.shape)} for a batch of {cache.shape[0]}"
                if len(starts.shape) != 1:
                    ctx.fail(message)
                ctx.require_equal(starts.shape[0], cache.shape[0], message)
        return (TensorInfo(cache.dtype, cache.shape),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(1).shape is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, update = ctx.infer.input(0).shape or (), ctx.infer.input(1).shape or ()
        axis = axis_of(ctx.infer, self.axis, len(shape))
        start: Dim = 0
        if ctx.infer.optional(2) is not None:
            last = MAX_START if self.mode == "circular" else shape[axis] - update[axis]
            start = ctx.load_index(2, (position[0],), last + 1, wraps=False)
        place = position[axis] - start
        conditions = [place, update[axis] - 1 - place]
        if self.mode == "circular":
            place = place % shape[axis]
            conditions = [update[axis] - 1 - place]
        written = tuple(place if k == axis else p for k, p in enumerate(position))
        others = [k for k in range(len(shape)) if k != axis]
        conditions += _inside(*([sizes[k] for k in others] for sizes in (shape, update, position)))
        return Read(1, written, tuple(conditions), Read(0, position))
