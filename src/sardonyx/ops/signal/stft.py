"""STFT and MelWeightMatrix: spectra of windows that slide over a signal, and the weights of mel bands over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.registry import op
from sardonyx.ops.values import scalar_integer
from sardonyx.symbols import Dim

__all__ = ["STFT", "MelWeightMatrix"]


@op("STFT")
class STFT(Reducible):
    """The DFT of each window of ``frame_length`` samples, ``frame_step`` apart, of signals (batch, length, 1 or 2)."""

    onesided: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        signal, step, frame = ctx.input(0), scalar_integer(ctx, 1), self._frame(ctx)
        if signal.shape is None:
            return (TensorInfo(signal.dtype, None),)
        if len(signal.shape) not in (2, 3):
            ctx.fail(f"the signal must have shape (batch, length, 1 or 2), got {list(signal.shape)}")
        if self.onesided and len(signal.shape) == 3 and signal.shape[-1] == 2:
            ctx.fail("a one-sided transform takes real input")
        if isinstance(step, int) and step < 1:
            ctx.fail(f"frame_step must be positive, got {step}")
        frames: Dim = ctx.fresh("frames")
        if step is not None and frame is not None and isinstance(step, int):
            frames = (signal.shape[1] - frame) // step + 1
        bins: Dim = ctx.fresh("bins") if frame is None else frame // 2 + 1 if self.onesided else frame
        return (TensorInfo(signal.dtype, (signal.shape[0], frames, bins, 2)),)

    @staticmethod
    def _frame(ctx: InferContext) -> Dim | None:
        """Samples of a window."""
        window = ctx.optional(2)
        if ctx.optional(3) is not None:
            return scalar_integer(ctx, 3)
        if window is not None:
            return window.shape[0] if window.shape else None
        shape = ctx.input(0).shape
        return None if shape is None else shape[1]

    def expands(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(0).dtype is not None

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        signal, step, window = b.input(0), b.reshape(b.cast(b.input(1), dtypes.int64), 1), b.optional(2)
        if b.rank(signal) == 2:
            signal = b.unsqueeze(signal, 2)
        given = b.optional(3)
        if given is not None:
            frame = b.reshape(b.cast(given, dtypes.int64), 1)
        else:
            frame = b.size(signal, 1) if window is None else b.size(window, 0)
        one = b.ints(1)
        frames = b.op("Add", b.op("Div", b.op("Sub", b.size(signal, 1), frame), step), one)
        starts = b.op("Mul", self._range(b, frames), step)
        places = b.op("Add", b.unsqueeze(starts, 1), b.unsqueeze(self._range(b, frame), 0))
        cut = b.op("Gather", signal, places, axis=1)
        if window is not None:
            cut = b.op("Mul", cut, b.unsqueeze(b.cast(window, b.dtype(signal)), 1))
        length = b.op("Squeeze", frame, b.ints(0))
        return (b.op("DFT", cut, length, b.number(2, dtypes.int64), onesided=self.onesided),)

    @staticmethod
    def _range(b: Builder, count: ir.Value) -> ir.Value:
        """0, 1 ... below a count of shape [1]."""
        zero, one = b.number(0, dtypes.int64), b.number(1, dtypes.int64)
        return b.op("Range", zero, b.op("Squeeze", count, b.ints(0)), one)


@op("MelWeightMatrix")
class MelWeightMatrix(Reducible):
    """Triangular weights [dft_length / 2 + 1, num_mel_bins] of bands that are evenly spaced on the mel scale."""

    output_datatype: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        bands, length = scalar_integer(ctx, 0), scalar_integer(ctx, 1)
        rows: Dim = ctx.fresh("bins") if length is None else length // 2 + 1
        columns: Dim = ctx.fresh("bands") if bands is None else bands
        return (TensorInfo(dtypes.from_onnx(self.output_datatype), (rows, columns)),)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        exact = dtypes.float64
        bands, length, rate = (b.cast(b.reshape(b.input(k)), dtypes.int64) for k in range(3))
        low, high = (self._mel(b, b.cast(b.reshape(b.input(k)), exact)) for k in (3, 4))
        zero, one, two = (b.number(k, dtypes.int64) for k in range(3))
        edges = b.cast(b.op("Range", zero, b.op("Add", bands, two), one), exact)
        step = b.op("Div", b.op("Sub", high, low), b.cast(b.op("Add", bands, two), exact))
        mel = b.op("Add", b.op("Mul", edges, step), low)
        power = b.op("Pow", b.number(10.0, exact), b.op("Div", mel, b.number(2595.0, exact)))
        hertz = b.op("Mul", b.op("Sub", power, b.number(1.0, exact)), b.number(700.0, exact))
        scaled = b.op("Mul", hertz, b.cast(b.op("Add", length, one), exact))
        places = b.op("Floor", b.op("Div", scaled, b.cast(rate, exact)))
        lower, center, upper = (
            b.unsqueeze(b.op("Slice", places, b.ints(k), b.ints(end), b.ints(0)), 0)
            for k, end in ((0, -2), (1, -1), (2, 1 << 62))
        )
        count = b.op("Add", b.op("Div", length, two), one)
        bins = b.unsqueeze(b.cast(b.op("Range", zero, count, one), exact), 1)
        return (b.cast(self._triangles(b, bins, lower, center, upper), dtypes.from_onnx(self.output_datatype)),)

    @staticmethod
    def _mel(b: Builder, hertz: ir.Value) -> ir.Value:
        exact = dtypes.float64
        ratio = b.op("Add", b.op("Div", hertz, b.number(700.0, exact)), b.number(1.0, exact))
        return b.op("Mul", b.op("Log", ratio), b.number(2595.0 / np.log(10.0), exact))

    @staticmethod
    def _triangles(b: Builder, bins: ir.Value, lower: ir.Value, center: ir.Value, upper: ir.Value) -> ir.Value:
        """Up from the lower edge to the center, down to before the upper one; 1 at a center without a slope up."""
        exact = dtypes.float64
        zero, one = b.number(0.0, exact), b.number(1.0, exact)
        width_up, width_down = b.op("Sub", center, lower), b.op("Sub", upper, center)
        flat = b.op("Equal", width_up, zero)
        up = b.op("Div", b.op("Sub", bins, lower), b.op("Where", flat, one, width_up))
        rising = b.op("And", b.op("GreaterOrEqual", bins, lower), b.op("LessOrEqual", bins, center))
        peak = b.op("Where", b.op("Equal", bins, center), one, zero)
        first = b.op("Where", flat, peak, b.op("Where", rising, up, zero))
        steep = b.op("Greater", width_down, zero)
        down = b.op("Div", b.op("Sub", upper, bins), b.op("Where", steep, width_down, one))
        falling = b.op("And", b.op("GreaterOrEqual", bins, center), b.op("Less", bins, upper))
        return b.op("Where", b.op("And", steep, falling), down, first)
