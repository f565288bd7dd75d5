"""Random tensors: RandomNormal, RandomUniform, RandomNormalLike, RandomUniformLike, Bernoulli, Multinomial, Dropout.

A node with a ``seed`` gives the same numbers in every run; without one each run has its own, unless
``sardonyx.set_seed`` was called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.random import Drop, Normal, Sample, Trial, Uniform
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Anchor, InferContext, LowerContext
from sardonyx.ops.registry import op
from sardonyx.symbols import product

__all__: list[str] = []


def _seeded(ctx: LowerContext, seed: float | int | None) -> Operand:
    """The key: made from a node's seed, or the run's own."""
    if seed is None:
        return ctx.key()
    bits = np.asarray(seed, np.int64 if isinstance(seed, int) else np.float64).reshape(1)
    return ctx.constant(bits.view(np.uint64))


def _dtype(ctx: InferContext, code: int, kinds: str) -> DType:
    try:
        dtype = dtypes.from_onnx(code)
    except KeyError:
        ctx.fail(f"attribute 'dtype' is {code}, which is no element type of ONNX")
    if dtype.kind not in kinds:
        ctx.fail(f"attribute 'dtype' is {dtype}, which cannot be drawn")
    return dtype


class Generator(Anchor):
    """What the distributions have in common: ``dtype`` and the parameters; the shape is an attribute."""

    random: ClassVar[bool] = True
    dtype: int
    seed: float | None

    def shape_of(self, ctx: InferContext) -> TensorInfo:
        """Shape and, where there is no attribute, dtype."""
        raise NotImplementedError

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        like = self.shape_of(ctx)
        if not self.dtype and like.dtype is not None and not like.dtype.is_float:
            ctx.fail(f"without attribute 'dtype' the input's type must be one of floats, not {like.dtype}")
        return (TensorInfo(_dtype(ctx, self.dtype, "f") if self.dtype else like.dtype, like.shape),)


class FromShape(Generator):
    """The shape is an attribute."""

    shape: tuple[int, ...]

    def shape_of(self, ctx: InferContext) -> TensorInfo:
        if any(size < 0 for size in self.shape):
            ctx.fail(f"shape {list(self.shape)} has a negative size")
        return TensorInfo(dtypes.float32, self.shape)


class LikeInput(Generator):
    """The shape, and without ``dtype`` the type, are those of input 0, which is not read."""

    def shape_of(self, ctx: InferContext) -> TensorInfo:
        return ctx.input(0)

    def carries(self, ctx: InferContext) -> bool:
        return bool(self.dtype)


def _normal(ctx: LowerContext, seed: float | None, mean: float, scale: float) -> None:
    target, slots = ctx.output(), Slots()
    count = product(target.shape)
    kernel = Normal(target.dtype, slots.add(count), mean, scale)
    ctx.call(kernel, [_seeded(ctx, seed), target], slots.sizes, Normal.tasks(count), count * 40)


def _uniform(ctx: LowerContext, seed: float | None, low: float, high: float) -> None:
    target, slots = ctx.output(), Slots()
    count = product(target.shape)
    kernel = Uniform(target.dtype, slots.add(count), low, high)
    ctx.call(kernel, [_seeded(ctx, seed), target], slots.sizes, Uniform.tasks(count), count * 20)


@op("RandomNormal")
class RandomNormal(FromShape):
    """Normally distributed numbers in the shape of an attribute."""

    shape: tuple[int, ...]
    dtype: int = 1
    mean: float = 0.0
    scale: float = 1.0
    seed: float | None = None

    def lower(self, ctx: LowerContext) -> None:
        _normal(ctx, self.seed, self.mean, self.scale)


@op("RandomNormalLike")
class RandomNormalLike(LikeInput):
    """Normally distributed numbers in the shape of the input."""

    dtype: int = 0
    mean: float = 0.0
    scale: float = 1.0
    seed: float | None = None

    def lower(self, ctx: LowerContext) -> None:
        _normal(ctx, self.seed, self.mean, self.scale)


@op("RandomUniform")
class RandomUniform(FromShape):
    """Evenly distributed numbers in the shape of an attribute."""

    shape: tuple[int, ...]
    dtype: int = 1
    low: float = 0.0
    high: float = 1.0
    seed: float | None = None

    def lower(self, ctx: LowerContext) -> None:
        _uniform(ctx, self.seed, self.low, self.high)


@op("RandomUniformLike")
class RandomUniformLike(LikeInput):
    """Evenly distributed numbers in the shape of the input."""

    dtype: int = 0
    low: float = 0.0
    high: float = 1.0
    seed: float | None = None

    def lower(self, ctx: LowerContext) -> None:
        _uniform(ctx, self.seed, self.low, self.high)


@op("Bernoulli")
class Bernoulli(Anchor):
    """1 with the probability that the input holds, else 0."""

    random: ClassVar[bool] = True
    dtype: int = 0
    seed: float | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        return (TensorInfo(_dtype(ctx, self.dtype, "fiub") if self.dtype else data.dtype, data.shape),)

    def lower(self, ctx: LowerContext) -> None:
        source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
        count = product(target.shape)
        kernel = Trial(target.dtype, slots.add(count), source.dtype)
        ctx.call(kernel, [_seeded(ctx, self.seed), target, source], slots.sizes, Trial.tasks(count), count * 20)


@op("Multinomial")
class Multinomial(Anchor):
    """``sample_size`` classes for each row of unnormalised log-probabilities, drawn with replacement."""

    random: ClassVar[bool] = True
    dtype: int = 6
    sample_size: int = 1
    seed: float | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        if data.rank not in (None, 2):
            ctx.fail(f"the input must have rank 2, got {data.rank}")
        if self.sample_size < 0:
            ctx.fail(f"attribute 'sample_size' is {self.sample_size}; it must not be negative")
        shape = None if data.shape is None else (data.shape[0], self.sample_size)
        return (TensorInfo(_dtype(ctx, self.dtype, "iu"), shape),)

    def lower(self, ctx: LowerContext) -> None:
        source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
        rows, classes = source.shape
        sums = ctx.scratch(dtypes.float64, product(source.shape))
        kernel = Sample(source.dtype, target.dtype, slots.add(classes), slots.add(self.sample_size))
        work = rows * classes * (20 + 2 * self.sample_size)
        ctx.call(kernel, [_seeded(ctx, self.seed), target, source, sums], slots.sizes, rows, work)


@op("Dropout")
class Dropout(Anchor):
    """Zeros with probability ``ratio`` (input 1, else a half) and the rest scaled up, in training (input 2); else the
    input. Output 1 is true where an element is kept.
    """

    random: ClassVar[bool] = True
    seed: int | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data = ctx.input(0)
        for index, what in ((1, "ratio"), (2, "training mode")):
            info = ctx.optional(index)
            if info is not None and info.shape is not None:
                ctx.require_equal(product(info.shape), 1, f"the {what} must be one element, got {list(info.shape)}")
        return (TensorInfo(data.dtype, data.shape), TensorInfo(dtypes.bool_, data.shape))[: ctx.outputs]

    def lower(self, ctx: LowerContext) -> None:
        source, target, slots = ctx.contiguous(0), ctx.output(), Slots()
        count = product(target.shape)
        has_mask = len(ctx.outputs) > 1
        mask = ctx.output(1) if has_mask else ctx.scratch(dtypes.bool_, count)
        ratio = ctx.constant(np.asarray([0.5], np.float32)) if ctx.infer.optional(1) is None else ctx.contiguous(1)
        training = ctx.constant(np.zeros(1, np.bool_)) if ctx.infer.optional(2) is None else ctx.contiguous(2)
        kernel = Drop(target.dtype, ratio.dtype, slots.add(count))
        operands = [_seeded(ctx, self.seed), target, mask, source, ratio, training]
        ctx.call(kernel, operands, slots.sizes, Drop.tasks(count), count * 20)
