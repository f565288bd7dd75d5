"""Lowering of convolutions of 8-bit integers with zero points.

The padding holds x's zero point p, so that with p' = p + x_shift and weights w' = w - q (see ops/quantised/product.py)

    sum over taps of (x - p) (w - q) = sum of x' w' - p' sum of w'

costs one addition for each result, that of a bias. Weights whose zero point q is known to be what the atom shifts by
stay bytes; others are made 16-bit integers w - q first. Groups of few channels are summed directly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.kernels.dot import BYTES, Atom, choose_atom
from sardonyx.kernels.map import Map, Store
from sardonyx.kernels.point import Apply, Instruction, Load, PointProgram
from sardonyx.kernels.point_ops import Convert
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.arithmetic import Add, Div, Mul, Sub
from sardonyx.ops.base import InferContext, LowerContext
from sardonyx.ops.conv import conv_axes, conv_weights
from sardonyx.ops.conv_lowering import (
    channels_last,
    direct_sums,
    few_channels,
    pad_input,
    plain_input,
    product_loops,
    product_of_taps,
)
from sardonyx.ops.product import require_broadcast
from sardonyx.ops.quantised.sums import SumProgram, sums_of
from sardonyx.ops.spatial import Window
from sardonyx.symbols import Dim, minimum, symbol

__all__ = ["ConvPlaces", "IntegerConv", "flat_window"]


@dataclass(frozen=True)
class ConvPlaces:
    """The inputs of a convolution: x, w, their zero points, an int32 bias, and further inputs: ``channels`` with one
    number or one for each output channel, ``numbers`` with one."""

    x: int
    w: int
    x_zero: int
    w_zero: int
    bias: int | None = None
    channels: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()

    def fits(self, ctx: InferContext) -> bool:
        """Whether the convolution can be lowered: 8-bit integers, known weights' sizes, vectors of numbers at most."""
        x, w = ctx.input(self.x), ctx.input(self.w)
        if x.dtype not in BYTES or w.dtype not in BYTES or x.shape is None or w.shape is None:
            return False
        if not 3 <= len(x.shape) <= 5 or not all(isinstance(size, int) and size > 0 for size in w.shape):
            return False
        given = [ctx.optional(index) for index in (self.x_zero, self.w_zero, *self.numbers, *self.channels)]
        return all(info is None or (info.shape is not None and len(info.shape) <= 1) for info in given)

    def check(self, ctx: InferContext) -> None:
        """Fails where there are more numbers than one, or than one for each output channel."""
        w = ctx.input(self.w)
        if w.shape == ():
            ctx.fail("the weights are a scalar, expected a rank of 3 or more")
        wanted = [*((index, 1) for index in (self.x_zero, *self.numbers))]
        results = [] if w.shape is None else [(index, w.shape[0]) for index in (self.w_zero, *self.channels)]
        for index, size in [*wanted, *results]:
            info = ctx.optional(index)
            for own in info.shape if info is not None and info.shape is not None else ():
                require_broadcast(ctx, own, size, f"input {index} must have 1 or {size} elements, got {own}")


def flat_window(window: Window) -> bool:
    """Whether every pixel of the input gives one of the output."""
    return all(n == 1 for n in (*window.kernel, *window.strides)) and not window.padded


class IntegerConv:
    """The convolution of one node and the program that its sums go through; see the module."""

    def __init__(self, ctx: LowerContext, places: ConvPlaces, window: Window, group: int) -> None:
        self.ctx = ctx
        self.places = places
        self.window = window
        self.program = SumProgram(ctx)
        self.weights, self.strides = conv_weights(ctx, places.w, group)
        x = ctx.infer.input(places.x).dtype
        assert x is not None
        self.x_dtype = x
        self.direct = few_channels(ctx.target, dtypes.int32, group, self.weights.channels, self.weights.results)
        self.atom: Atom = choose_atom(ctx.target, x, self.weights.operand.dtype)
        if not self._bytes_suit():
            centred = self._centred()  # which may find that they are not constant
            self.weights = replace(self.weights, operand=centred)
            self.atom = Atom(dtypes.int32, dtypes.int16, 2)
        positions = ctx.outputs[0].shape
        assert positions is not None
        self.positions = positions
        self.flat = flat_window(window) and not self.direct
        self.channel = symbol(f"i{len(product_loops(positions, flat=self.flat)) - 1}")

    # -- weights -------------------------------------------------------------------------------------------------

    def _zero(self, index: int) -> npt.NDArray[Any] | None:
        """A zero point that is known; an omitted one is zero."""
        given = self.ctx.infer.optional(index) is not None
        return self.ctx.const(index) if given else np.zeros((1,), np.int32)

    def _shift(self) -> int:
        """What the packing adds to each weight."""
        return 0 if self.direct else self.atom.b_shift(self.weights.operand.dtype)

    def _bytes_suit(self) -> bool:
        zero = self._zero(self.places.w_zero)
        return zero is not None and bool(np.all(zero.astype(np.int64) + self._shift() == 0))

    def _centred(self) -> Operand:
        """The weights less their zero points, as 16-bit integers: computed now, or before each run."""
        ctx, places = self.ctx, self.places
        weights, zero = ctx.const(places.w), self._zero(places.w_zero)
        operand = self.weights.operand
        if weights is not None and zero is not None:
            by_channel = zero.astype(np.int16).reshape(-1, *(1 for _ in weights.shape[1:]))
            return ctx.constant(np.ascontiguousarray(weights.astype(np.int16) - by_channel))
        self.weights = replace(self.weights, constant=False)
        results, each = self._matrix(operand)
        zeros = ctx.contiguous(places.w_zero) if zero is None else ctx.constant(zero.astype(operand.dtype.numpy))
        slots = Slots()
        size = zeros.shape[0] if zeros.shape else 1
        row = symbol("i0") * slots.add(minimum(size - 1, 1))
        wide = dtypes.int16
        loads: list[Instruction] = [
            Load(0, operand.dtype, symbol("i0") * each + symbol("i1")),
            Load(1, zeros.dtype, row),
        ]
        casts = [Apply(Convert(), (place,), wide) for place in (0, 1)]
        program = PointProgram((*loads, *casts, Apply(Sub(), (2, 3), wide)), (4,), 2, len(slots.sizes))
        result = replace(ctx.scratch(wide, results * each), shape=operand.shape, strides=operand.strides)
        kernel = Map((results, each), program, (Store(2, wide, symbol("i0") * each + symbol("i1")),))
        ctx.call(kernel, [operand, zeros, result], slots.sizes, Map.tasks((results, each)), results * each)
        return result

    @staticmethod
    def _matrix(operand: Operand) -> tuple[int, int]:
        """Output channels, and weights of each."""
        results, *others = (size for size in operand.shape if isinstance(size, int))
        return results, int(np.prod(others, dtype=np.int64))

    # -- the program of sums -------------------------------------------------------------------------------------

    def input(self, index: int, dtype: dtypes.DType) -> int:
        """The place of an input's number, or of its number for the output channel."""
        return self.program.input(index, self._by_channel, dtype)

    def _by_channel(self, operand: Operand) -> Dim:
        """The offset of the output channel's number; the only one where a run finds that there is one."""
        (size,), (stride,) = operand.shape, operand.strides
        return self.channel * (
            stride if isinstance(size, int) else self.program.slots.add(stride * minimum(size - 1, 1))
        )

    def corrected(self) -> int:
        """The place of the sum with zero points and bias taken into account."""
        ctx, program, places = self.ctx, self.program, self.places
        total, shift = 0, self.atom.a_shift
        bias = places.bias if places.bias is not None and ctx.infer.optional(places.bias) is not None else None
        zero = self._zero(places.x_zero)
        weights, w_zero = ctx.const(places.w), self._zero(places.w_zero)
        factor = None if zero is None else int(zero.reshape(-1)[0]) + shift
        if self.direct:
            factor = 0
        if factor and weights is not None and w_zero is not None and (bias is None or ctx.const(bias) is not None):
            sums = weights.reshape(weights.shape[0], -1).sum(1, dtype=np.int64)
            sums -= weights[0].size * w_zero.astype(np.int64).reshape(-1)
            numbers = 0 if bias is None else np.asarray(ctx.const(bias)).astype(np.int64).reshape(-1)
            array = np.asarray(numbers - factor * sums).astype(np.int32)
            return program.apply(Add(), total, program.vector(array, self.channel))
        if factor != 0:
            place = program.apply(Mul(), self._shifted_zero(), self._summed_weights())
            total = program.apply(Sub(), total, place)
        return total if bias is None else program.apply(Add(), total, self.input(bias, dtypes.int32))

    def _shifted_zero(self) -> int:
        program, index = self.program, self.places.x_zero
        if self.ctx.infer.optional(index) is None:
            return program.number(self.atom.a_shift)
        return program.apply(Add(), self.input(index, dtypes.int32), program.number(self.atom.a_shift))

    def _summed_weights(self) -> int:
        """sum of w', for each output channel, before each run."""
        program, operand = self.program, self.weights.operand
        results, each = self._matrix(operand)
        matrix = replace(operand, shape=(results, each), strides=(each, 1))
        sums = program.load(sums_of(self.ctx, matrix, 1), self.channel, dtypes.int32)
        return program.apply(Add(), sums, program.number(each * self._shift())) if self._shift() else sums

    def scale(self, x: int, w: int, y: int) -> int:
        """The place of the float32 scale x w / y of these inputs."""
        program, f32 = self.program, dtypes.float32
        known = [self.ctx.const(index) for index in (x, w, y)]
        if all(array is not None for array in known):
            a, b, c = (np.asarray(array).astype(np.float32).reshape(-1) for array in known)
            array = a[0] * b / c[0]
            return program.number(float(array[0]), f32) if array.size == 1 else program.vector(array, self.channel)
        place = program.apply(Mul(), self.input(x, f32), self.input(w, f32), dtype=f32)
        return program.apply(Div(), place, self.input(y, f32), dtype=f32)

    # -- the call ------------------------------------------------------------------------------------------------

    def lower(self, result: int) -> None:
        """Emits the convolution; the program's result is what the epilogue gets."""
        ctx, window, weights = self.ctx, self.window, self.weights
        scale = self.program.fused(result)
        channels = weights.channels * weights.groups
        output = ctx.output(0, channels_last(len(self.positions)))
        given = ctx.infer.optional(self.places.x_zero) is not None
        zero = ctx.input(self.places.x_zero) if given else None
        if self.direct:
            source = plain_input(ctx, channels)
            direct_sums(ctx, dtypes.int32, source, weights, None, window, output, scale=scale, zero_point=zero)
            return
        axes, used = conv_axes(self.positions[2:], window, self.strides)
        if window.padded or self.x_dtype != self.atom.a or weights.channels % self.atom.depth:
            align = self.atom.depth
            source = pad_input(
                ctx, self.atom.a, channels, window.begin, used, window.strides[-1], align=align, fill=zero
            )
        else:
            source = plain_input(ctx, channels)
        atom = self.atom
        product_of_taps(ctx, dtypes.int32, source, weights, None, axes, output, flat=self.flat, scale=scale, atom=atom)
