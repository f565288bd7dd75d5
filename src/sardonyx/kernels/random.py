"""Random tensors from a counter-based generator: element i depends on the key and on i alone, so never on threads.

The generator is Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a
bijection of 128-bit counters under a 64-bit key. The counter is the position of the element.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import I64, KernelBuilder, Type, Value, vmath
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Drop", "Normal", "Sample", "Trial", "Uniform", "philox"]

BLOCK = 4096
"""Elements of one task."""
ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Value, key: tuple[Value, Value]) -> list[Value]:
    """The four random uint32 of a counter (uint64; scalar or vector); ``key`` are two uint32 scalars."""
    b, lanes = counter.b, counter.lanes
    zero = b.zero(Type(dtypes.uint32, lanes))
    words = [counter.to(dtypes.uint32), (counter >> 32).to(dtypes.uint32), zero, zero]
    keys = [b.splat(half, lanes) for half in key]
    for _ in range(ROUNDS):
        products = [words[2 * k].to(dtypes.uint64) * _MULTIPLIERS[k] for k in range(2)]
        high = [(product >> 32).to(dtypes.uint32) for product in products]
        low = [product.to(dtypes.uint32) for product in products]
        words = [high[1] ^ words[1] ^ keys[0], low[1], high[0] ^ words[3] ^ keys[1], low[0]]
        keys = [half + weyl for half, weyl in zip(keys, _WEYL, strict=True)]
    return words


def unit(words: list[Value], dtype: DType) -> Value:
    """A number in [0, 1) from the first words: a multiple of 2 ** -24, or 2 ** -53 in float64."""
    if dtype is not dtypes.float64:
        return (words[0] >> 8).to(dtypes.float32) * 2.0**-24
    digits = ((words[0] >> 5).to(dtypes.uint64) << 26) | (words[1] >> 6).to(dtypes.uint64)
    return digits.to(dtypes.float64) * 2.0**-53


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


def _key(b: KernelBuilder, slot: int) -> tuple[Value, Value]:
    key = b.buffer(slot, dtypes.uint32)
    return key.load(0), key.load(1)


def draw_dtype(dtype: DType) -> DType:
    """The float that draws for a dtype are made in."""
    return dtypes.float64 if dtype is dtypes.float64 else dtypes.float32


@dataclass(frozen=True)
class _Draw:
    """``y[i] = value(philox(i))`` for i in [0, count). Buffers: 0 the key, 1 y, then the inputs; ``count`` is an int or
    ``s0``."""

    dtype: DType
    count: Dim

    @property
    def name(self) -> str:
        return f"random_{type(self).__name__.lower()}"

    @staticmethod
    def tasks(count: Dim) -> Dim:
        """The number of parallel tasks for that many elements."""
        return ceildiv(count, BLOCK)

    def value(self, b: KernelBuilder, words: list[Value], place: Value, mask: Value | None) -> Value:
        """The element at ``place``, a vector, from its random words."""
        raise NotImplementedError

    def emit(self, b: KernelBuilder) -> None:
        key, target = _key(b, 0), b.buffer(1, self.dtype)
        lanes = b.target.lanes(8)
        count = _dim(b, self.count)
        with b.tasks() as task:
            first = task * BLOCK

            def body(offset: Value, mask: Value | None) -> None:
                place = first + offset
                counter = (b.splat(place, lanes) + b.iota(I64.with_lanes(lanes))).to(dtypes.uint64)
                target.store(self.value(b, philox(counter, key), place, mask).to(self.dtype), place, mask)

            b.vector_loop(b.minimum(count - first, BLOCK), lanes, body)


@dataclass(frozen=True)
class Uniform(_Draw):
    """Evenly between ``low`` and ``high``."""

    low: float
    high: float

    def value(self, b: KernelBuilder, words: list[Value], place: Value, mask: Value | None) -> Value:
        return unit(words, draw_dtype(self.dtype)) * (self.high - self.low) + self.low


@dataclass(frozen=True)
class Normal(_Draw):
    """Normally distributed with ``mean`` and standard deviation ``scale``, by Box and Muller's transform."""

    mean: float
    scale: float

    def value(self, b: KernelBuilder, words: list[Value], place: Value, mask: Value | None) -> Value:
        if draw_dtype(self.dtype) is dtypes.float64:
            radius, angle = 1.0 - unit(words, dtypes.float64), unit(words[2:], dtypes.float64)
        else:
            radius = words[0].to(dtypes.float32) * 2.0**-32 + 2.0**-33  # all bits: they make the tail
            angle = unit(words[1:], dtypes.float32)
        length = b.sqrt(b.maximum(vmath.log(radius) * -2.0, 0.0))
        return length * vmath.cos(angle * (2 * math.pi)) * self.scale + self.mean


@dataclass(frozen=True)
class Trial(_Draw):
    """1 with the probability that input 2 holds for the element, else 0."""

    probability: DType

    def value(self, b: KernelBuilder, words: list[Value], place: Value, mask: Value | None) -> Value:
        wide = draw_dtype(self.probability)
        chance = b.buffer(2, self.probability).load(place, b.target.lanes(8), mask).to(wide)
        return (unit(words, wide) < chance).to(compute_dtype(self.dtype))


@dataclass(frozen=True)
class Drop:
    """Dropout: ``mask[i] = draw >= ratio``, ``y[i] = mask[i] ? x[i] / (1 - ratio) : 0`` for i in [0, count).

    Where ``training`` is false the ratio is 0. Buffers: 0 the key, 1 y, 2 mask, 3 x, 4 ratio, 5 training (one element
    each).
    """

    dtype: DType
    ratio: DType
    count: Dim

    @property
    def name(self) -> str:
        return "dropout"

    tasks = staticmethod(_Draw.tasks)

    def emit(self, b: KernelBuilder) -> None:
        key, wide = _key(b, 0), draw_dtype(self.dtype)
        target, kept_target, source = b.buffer(1, self.dtype), b.buffer(2, dtypes.bool_), b.buffer(3, self.dtype)
        training = b.buffer(5, dtypes.bool_).load()
        ratio = b.select(training, b.buffer(4, self.ratio).load().to(wide), b.zero(Type(wide)))
        scale = 1.0 / (1.0 - ratio)
        lanes = b.target.lanes(8)
        count = _dim(b, self.count)
        with b.tasks() as task:
            first = task * BLOCK

            def body(offset: Value, mask: Value | None) -> None:
                place = first + offset
                counter = (b.splat(place, lanes) + b.iota(I64.with_lanes(lanes))).to(dtypes.uint64)
                kept = unit(philox(counter, key), wide) >= b.splat(ratio, lanes)
                x = source.load(place, lanes, mask).to(wide)
                result = b.select(kept, x * scale, b.zero(x.type))
                target.store(result.to(self.dtype), place, mask)
                kept_target.store(kept, place, mask)

            b.vector_loop(b.minimum(count - first, BLOCK), lanes, body)


@dataclass(frozen=True)
class Sample:
    """Draws classes by their unnormalised log-probabilities: ``y[n, s]`` is the first class whose running sum of
    ``exp(x[n])`` is above a draw below the total.

        for n in [begin, end):
            sums[n, c] = sums[n, c - 1] + exp(x[n, c] - max x[n])          for c in 0 ... classes
            y[n, s] = number of c with sums[n, c] <= draw(n, s) * sums[n, classes - 1]     for s in 0 ... samples

    Buffers: 0 the key, 1 y, 2 x, 3 sums (float64); ``classes`` and ``samples`` are ints or ``s0, s1``.
    """

    dtype: DType
    result: DType
    classes: Dim
    samples: Dim

    @property
    def name(self) -> str:
        return "multinomial"

    def emit(self, b: KernelBuilder) -> None:
        key, target, source, sums = (
            _key(b, 0),
            b.buffer(1, self.result),
            b.buffer(2, self.dtype),
            b.buffer(3, dtypes.float64),
        )
        classes, samples = _dim(b, self.classes), _dim(b, self.samples)
        with b.tasks() as row:
            x, sum_ = source.at(row * classes), sums.at(row * classes)
            highest = b.var(b.const(-math.inf, Type(dtypes.float64)))
            with b.loop(classes) as c:
                highest.set(b.maximum(highest.get(), x.load(c).to(dtypes.float64)))
            total = b.var(b.const(0.0, Type(dtypes.float64)))
            with b.loop(classes) as c:
                total.set(total.get() + vmath.exp(x.load(c).to(dtypes.float64) - highest.get()))
                sum_.store(total.get(), c)
            with b.loop(samples) as s:
                place = row * samples + s
                limit = unit(philox(place.to(dtypes.uint64), key), dtypes.float64) * total.get()
                chosen = b.var(b.i64(0))
                with b.loop(classes) as c:
                    chosen.set(chosen.get() + (sum_.load(c) <= limit).to(dtypes.int64))
                last = b.maximum(classes - 1, 0)
                target.store(b.minimum(chosen.get(), last).to(self.result), place)
