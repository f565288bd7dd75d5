"""Resize: one axis at a time, by a table of source places and weights for each place of the output.

    table:      for o: x = where o lies in the source; places[t, o], weights[t, o] for each tap t
    resample:   y[outer, o, inner] = sum over t of weights[t, o] * x[outer, places[t, o], inner]

Every mode is such a sum: one tap for nearest, two for linear, four for cubic, and with antialiasing as many as
there are source pixels under the filter. Coordinates and weights are computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import STATUS_INDEX, compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import F64, I64, KernelBuilder, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Resample", "ResampleTable", "TableSpec", "accumulator"]

BLOCK = 4096
"""Elements of the innermost loop in one task."""


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


def accumulator(dtype: DType) -> DType:
    """The dtype in which the weighted sums of a tensor of ``dtype`` are computed."""
    exact_in_float32 = dtype.bits <= 16 or dtype is dtypes.float32
    return dtypes.float32 if exact_in_float32 else dtypes.float64


@dataclass(frozen=True)
class TableSpec:
    """How output places map to source places, and how neighbours are weighed: the attributes of Resize.

    ``scale`` is the number given by the model, or None where it follows from sizes, or stands at place ``scales`` of a
    float32 input; ``roi`` is the dtype of the region input and the places of start and end in it.
    """

    mode: str
    transform: str
    nearest: str = "round_prefer_floor"
    antialias: bool = False
    exclude_outside: bool = False
    cubic_a: float = -0.75
    scale: float | None = None
    roi: tuple[DType, int, int] | None = None
    scales: int | None = None


@dataclass(frozen=True)
class ResampleTable:
    """The tables of one axis: ``places[taps, out]`` (int64) and ``weights[taps, out]``, a task per output place.

    ``source``, ``out`` and ``taps`` are ints or ``s0, s1 ...``. Without a scale in ``spec`` it is the least (``aspect``
    not_larger) or the greatest of the ratios in ``pairs`` (sizes before and after), or out / source. A place of -1 says
    that the output lies outside the source and takes the extrapolation value. Buffers: 0 places, 1 weights, 2 the
    region of interest, if there is one, and last the scales, if they are read.
    """

    spec: TableSpec
    dtype: DType
    source: Dim
    out: Dim
    taps: Dim
    pairs: tuple[tuple[Dim, Dim], ...] = ()
    aspect: str = ""

    @property
    def name(self) -> str:
        return "resample_table"

    def emit(self, b: KernelBuilder) -> None:
        places, weights = b.buffer(0, dtypes.int64), b.buffer(1, self.dtype)
        source, out, taps = (_dim(b, dim) for dim in (self.source, self.out, self.taps))
        with b.tasks() as place:
            x, outside = self._coordinate(b, place, source, out)
            # Far outside, an index would not fit an integer; every place there means the edge.
            x = b.maximum(b.minimum(x, source.to(F64) * 2.0), source.to(F64) * -2.0)
            if self.spec.mode == "nearest":
                first, count = self._nearest(b, x), b.i64(1)
                weights.store(b.const(1, Type(self.dtype)), place)
            else:
                first, count = self._weights(b, x, place, source, out, taps)
            with b.loop(count) as tap:
                index = b.maximum(b.minimum(first + tap, source - 1), 0)
                if outside is not None:
                    index = b.select(outside, -1, index)
                places.store(index, tap * out + place)

    def _scale(self, b: KernelBuilder, source: Value, out: Value) -> Value:
        if self.spec.scale is not None:
            return b.const(self.spec.scale, F64)
        if self.spec.scales is not None:
            return b.buffer(2 if self.spec.roi is None else 3, dtypes.float32).load(self.spec.scales).to(F64)
        ratios = [_dim(b, want).to(F64) / _dim(b, have).to(F64) for have, want in self.pairs]
        if ratios:
            return reduce(b.minimum if self.aspect == "not_larger" else b.maximum, ratios)
        return out.to(F64) / source.to(F64)

    def _coordinate(self, b: KernelBuilder, place: Value, source: Value, out: Value) -> tuple[Value, Value | None]:
        """Where an output place lies in the source, and whether that is outside (only asked for crops)."""
        o, n, scale = place.to(F64), source.to(F64), self._scale(b, source, out)
        width = scale * n
        single = width == 1.0
        half_pixel = (o + 0.5) / scale - 0.5
        match self.spec.transform:
            case "asymmetric":
                return o / scale, None
            case "align_corners":
                return b.select(single, 0.0 * o, o * (n - 1.0) / (width - 1.0)), None
            case "pytorch_half_pixel":
                return b.select(single, b.const(-0.5, F64), half_pixel), None
            case "tf_half_pixel_for_nn":
                return (o + 0.5) / scale, None
            case "half_pixel_symmetric":
                return n * 0.5 * (1.0 - out.to(F64) / width) + half_pixel, None
            case "tf_crop_and_resize":
                start, end = self._region(b)
                span = (end - start) * (n - 1.0)
                x = b.select(single, span * 0.5, o * span / (width - 1.0)) + start * (n - 1.0)
                return x, (x < 0.0) | (x > n - 1.0)
            case _:
                return half_pixel, None

    def _region(self, b: KernelBuilder) -> tuple[Value, Value]:
        if self.spec.roi is None:
            return b.const(0.0, F64), b.const(1.0, F64)
        dtype, start, end = self.spec.roi
        region = b.buffer(2, dtype)
        first, last = (region.load(place).to(compute_dtype(dtype)).to(F64) for place in (start, end))
        return first, last

    def _nearest(self, b: KernelBuilder, x: Value) -> Value:
        floor = b.floor(x)
        match self.spec.nearest:
            case "floor":
                chosen = floor
            case "ceil":
                chosen = b.ceil(x)
            case "round_prefer_ceil":
                chosen = b.select(x - floor >= 0.5, floor + 1.0, floor)
            case _:
                chosen = b.select(x - floor > 0.5, floor + 1.0, floor)
        return chosen.to(I64)

    def _weights(
        self, b: KernelBuilder, x: Value, place: Value, source: Value, out: Value, taps: Value
    ) -> tuple[Value, Value]:
        """Stores the weights of one output place; gives the first source index (not yet clamped) and the count.

        The neighbourhood has an even number of taps, and the fraction lies in (0, 1]: at a whole x, x itself is the
        right one of the two in the middle.
        """
        weights = b.buffer(1, self.dtype)
        floor = b.floor(x)
        whole = floor == x
        ratio = b.select(whole, b.const(1.0, F64), x - floor)
        half = taps // 2
        first = floor.to(I64) - half + b.select(whole, b.i64(0), b.i64(1))
        squeeze = b.const(1.0, F64)
        if self.spec.antialias:
            squeeze = b.minimum(self._scale(b, source, out), b.const(1.0, F64))

        def weight(tap: Value) -> Value:
            distance = ((tap - half + 1).to(F64) - ratio) * squeeze
            value = self._filter(b, b.abs(distance))
            if self.spec.exclude_outside:
                index = first + tap
                value = b.select((index < 0) | (index >= source), 0.0 * value, value)
            return value

        total = b.var(b.const(0.0, F64))
        with b.loop(taps) as tap:
            total.set(total.get() + weight(tap))
        normalised = self.spec.antialias or self.spec.exclude_outside
        divisor = b.select(total.get() == 0.0, b.const(1.0, F64), total.get())
        with b.loop(taps) as tap:
            value = weight(tap)
            weights.store((value / divisor if normalised else value).to(self.dtype), tap * out + place)
        return first, taps

    def _filter(self, b: KernelBuilder, x: Value) -> Value:
        """The weight at a distance: the triangle of linear, the piecewise cubic (Keys) of cubic."""
        if self.spec.mode == "linear":
            return b.maximum(1.0 - x, 0.0)
        a = self.spec.cubic_a
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        far = ((x * a - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
        return b.select(x <= 1.0, near, b.select(x < 2.0, far, 0.0 * x))


@dataclass(frozen=True)
class Resample:
    """The weighted sums along one axis of [outer, source, inner], all row-major; sizes are ints or ``s0, s1 ...``.

    Sums are in ``compute``. ``outside`` is the value of places marked -1, or None where there are none. With ``inner``
    1 the vectors run along the output axis and gather, else along inner. Buffers: 0 x, 1 places, 2 weights, 3 y.
    """

    source_dtype: DType
    dtype: DType
    compute: DType
    source: Dim
    out: Dim
    inner: Dim
    taps: Dim
    outside: float | None = None

    @property
    def name(self) -> str:
        return "resample"

    @staticmethod
    def tasks(outer: Dim, out: Dim, inner: Dim) -> Dim:
        """The number of parallel tasks for given sizes."""
        return outer if inner == 1 else outer * out * ceildiv(inner, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        x, places = b.buffer(0, self.source_dtype), b.buffer(1, dtypes.int64)
        compute = self.compute
        weights, y = b.buffer(2, compute), b.buffer(3, self.dtype)
        source, out, inner, taps = (_dim(b, dim) for dim in (self.source, self.out, self.inner, self.taps))
        lanes = b.target.lanes(8 if self.inner == 1 else compute.itemsize)

        def read(offset: Value, mask: Value | None) -> Value:
            value = x.gather(offset, mask) if offset.lanes > 1 else x.load(offset, lanes, mask)
            return value.to(compute_dtype(self.source_dtype)).to(compute)

        def finished(total: Value, index: Value) -> Value:
            if self.outside is not None:
                total = b.select(b.splat(index < 0, lanes), b.const(self.outside, total.type), total)
            return (b.round_even(total) if not self.dtype.is_float else total).to(self.dtype)

        def along_output(task: Value) -> None:
            def body(o: Value, mask: Value | None) -> None:
                total = b.var(b.zero(Type(compute, lanes)))
                with b.loop(taps) as tap:
                    index = b.maximum(places.load(tap * out + o, lanes, mask), 0)
                    total.set(
                        total.get() + read(task * source + index, mask) * weights.load(tap * out + o, lanes, mask)
                    )
                y.store(finished(total.get(), places.load(o, lanes, mask)), task * out + o, mask)

            b.vector_loop(out, lanes, body)

        def along_inner(task: Value) -> None:
            blocks = (inner + (BLOCK - 1)) // BLOCK
            row, first = task // blocks, (task % blocks) * BLOCK
            outer, o = row // out, row % out

            def body(i: Value, mask: Value | None) -> None:
                total = b.var(b.zero(Type(compute, lanes)))
                with b.loop(taps) as tap:
                    index = b.maximum(places.load(tap * out + o), 0)
                    value = read((outer * source + index) * inner + first + i, mask)
                    total.set(total.get() + value * weights.load(tap * out + o))
                y.store(finished(total.get(), places.load(o)), row * inner + first + i, mask)

            b.vector_loop(b.minimum(inner - first, BLOCK), lanes, body)

        with b.tasks() as task:
            b.return_if(source <= 0, STATUS_INDEX)
            (along_output if self.inner == 1 else along_inner)(task)
