"""Discrete Fourier transforms of any length, many lines side by side.

    tables (once a call):  turn[j] = exp(-2 pi i j / m);  chirp[j] = exp(-pi i j j / n);  filter = FFT(conj(chirp))
    for task in [begin, end):                      # `lanes` lines at a time, a lane each
        n a power of two:  y = FFT(x)              # m = n: radix 2, each pass from one half of the scratch to the other
        any other n:       y = chirp * FFT'(FFT(x * chirp) * filter)      # Bluestein; m is a power of two >= 2 n - 1

The inverse exchanges real and imaginary parts before and after, and divides by n. All sums are in float64, so that
float32 results are right to the last places whatever the length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import F64, KernelBuilder, Pointer, Type, Value
from sardonyx.lang.vmath import cos, sin
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Fourier", "FourierTables", "scratch_size", "table_size"]

LANES = 8


def table_size(n: Dim) -> Dim:
    """float64 numbers of the tables for a length of ``n``."""
    return n * 18 + 16


def scratch_size(n: Dim) -> Dim:
    """float64 numbers that one task works in."""
    return (n * 4 + 4) * (4 * LANES)


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


@dataclass(frozen=True)
class _Plan:
    """The length, the power of two to transform in, and where the tables lie: turn[m], chirp[n], filter[m]."""

    b: KernelBuilder
    n: Value
    m: Value
    direct: Value
    tables: Pointer

    @staticmethod
    def of(b: KernelBuilder, n: Value, tables: Pointer) -> _Plan:
        power = b.var(b.i64(1))
        with b.while_(lambda: power.get() < n):
            power.set(power.get() * 2)
        direct = power.get() == n
        m = b.select(direct, n, power.get() * 2)
        return _Plan(b, n, m, direct, tables)

    @property
    def turn(self) -> Pointer:
        return self.tables

    @property
    def chirp(self) -> Pointer:
        return self.tables.at(self.m * 2)

    @property
    def filter(self) -> Pointer:
        return self.tables.at(self.m * 2 + self.n * 2)


@dataclass(frozen=True)
class _Line:
    """``lanes`` complex numbers at each of ``m`` places of the scratch: real parts, then imaginary parts."""

    b: KernelBuilder
    memory: Pointer
    lanes: int

    def load(self, place: Value) -> tuple[Value, Value]:
        real, imaginary = (self.memory.load((place * 2 + k) * self.lanes, self.lanes) for k in range(2))
        return real, imaginary

    def store(self, place: Value, real: Value, imaginary: Value) -> None:
        for k, part in enumerate((real, imaginary)):
            self.memory.store(part, (place * 2 + k) * self.lanes)


def _times(a: tuple[Value, Value], c: tuple[Value, Value]) -> tuple[Value, Value]:
    return a[0] * c[0] - a[1] * c[1], a[0] * c[1] + a[1] * c[0]


def _pair(b: KernelBuilder, table: Pointer, place: Value, lanes: int) -> tuple[Value, Value]:
    return b.splat(table.load(place * 2), lanes), b.splat(table.load(place * 2 + 1), lanes)


def _transform(b: KernelBuilder, scratch: Pointer, plan: _Plan, lanes: int) -> Value:
    """The transform of length m in the scratch's halves; gives the offset of the half with the result.

    for (half, step) = (m / 2, 1), (m / 4, 2) ... (1, m / 2):
        for p < half, q < step:
            a, c = x[q + step p], x[q + step (p + half)]
            y[q + 2 step p] = a + c;  y[q + 2 step p + step] = (a - c) turn[p step]
    """
    width = plan.m * (2 * lanes)
    half, step, source = b.var(plan.m // 2), b.var(b.i64(1)), b.var(b.i64(0))
    with b.while_(lambda: half.get() > 0):
        x, y = _Line(b, scratch.at(source.get()), lanes), _Line(b, scratch.at(width - source.get()), lanes)
        halves, steps = half.get(), step.get()
        with b.loop(halves) as p:
            factor = _pair(b, plan.turn, p * steps, lanes)
            with b.loop(steps) as q:
                a, c = x.load(q + steps * p), x.load(q + steps * (p + halves))
                y.store(q + steps * p * 2, a[0] + c[0], a[1] + c[1])
                y.store(q + steps * p * 2 + steps, *_times((a[0] - c[0], a[1] - c[1]), factor))
        half.set(halves // 2)
        step.set(steps * 2)
        source.set(width - source.get())
    return source.get()


@dataclass(frozen=True)
class FourierTables:
    """The tables for length ``n`` (an int or ``s0``), in one task. Buffers: 0 tables, 1 scratch, both float64."""

    n: Dim

    @property
    def name(self) -> str:
        return "fourier_tables"

    def emit(self, b: KernelBuilder) -> None:
        tables, scratch = b.buffer(0, dtypes.float64), b.buffer(1, dtypes.float64)
        n = _dim(b, self.n)
        with b.tasks():
            plan = _Plan.of(b, n, tables)
            with b.loop(plan.m) as j:
                self._unit(plan.turn, j, j.to(F64) * -2.0 / plan.m.to(F64))
            with b.if_(b.not_(plan.direct)):
                with b.loop(n) as j:
                    self._unit(plan.chirp, j, -((j * j) % (n * 2)).to(F64) / n.to(F64))
                line = _Line(b, scratch, 1)
                with b.loop(plan.m) as j:
                    near = b.minimum(j, plan.m - j)  # the chirp goes both ways round
                    exists = near < n
                    place = b.select(exists, near, b.i64(0))
                    real, imaginary = plan.chirp.load(place * 2), plan.chirp.load(place * 2 + 1)
                    zero = b.zero(F64)
                    line.store(j, b.select(exists, real, zero), b.select(exists, -imaginary, zero))
                result = _Line(b, scratch.at(_transform(b, scratch, plan, 1)), 1)
                with b.loop(plan.m) as j:
                    for k, part in enumerate(result.load(j)):
                        plan.filter.store(part / plan.m.to(F64), j * 2 + k)

    @staticmethod
    def _unit(table: Pointer, place: Value, half_turns: Value) -> None:
        angle = half_turns * math.pi
        table.store(cos(angle), place * 2)
        table.store(sin(angle), place * 2 + 1)


@dataclass(frozen=True)
class Fourier:
    """Transforms along the middle of [outer, length, inner, parts] to [outer, out, inner, 2 or 1], row-major.

    Lines are cut or filled up with zeros to ``n``; ``parts`` is 1 for real input and 2 for complex. ``one_sided``
    gives the first half of the frequencies, or for the inverse takes it and gives real numbers. Buffers: 0 x, 1 y,
    2 tables, 3 scratch.
    """

    dtype: DType
    parts: int
    inverse: bool
    one_sided: bool
    n: Dim
    lines: Dim
    length: Dim
    out: Dim
    inner: Dim

    @property
    def name(self) -> str:
        return "fourier"

    @staticmethod
    def tasks(lines: Dim) -> Dim:
        """The number of parallel tasks for so many lines."""
        return ceildiv(lines, LANES)

    def emit(self, b: KernelBuilder) -> None:
        y, tables = b.buffer(1, self.dtype), b.buffer(2, dtypes.float64)
        n, lines, out, inner = (_dim(b, dim) for dim in (self.n, self.lines, self.out, self.inner))
        real_output = self.inverse and self.one_sided
        with b.tasks() as task:
            scratch = b.buffer(3, dtypes.float64).at(task * _dim(b, scratch_size(self.n)))
            plan = _Plan.of(b, n, tables)
            line = b.splat(task * LANES, LANES) + b.iota(Type(dtypes.int64, LANES))
            mask = line < b.splat(lines, LANES)
            line = b.select(mask, line, b.zero(line.type))
            outer, across = line // b.splat(inner, LANES), line % b.splat(inner, LANES)
            self._read(b, plan, scratch, outer, across, mask)
            half = _transform(b, scratch, plan, LANES)
            offset = b.var(half)
            with b.if_(b.not_(plan.direct)):
                self._filter(b, plan, scratch, offset.get())
                offset.set(_transform(b, scratch, plan, LANES))
            result = _Line(b, scratch.at(offset.get()), LANES)
            scale = 1.0 / n.to(F64)
            with b.loop(out) as k:
                real, imaginary = result.load(k)
                with b.if_(b.not_(plan.direct)):
                    # the second transform of Bluestein's is an inverse by exchanged parts
                    value = _times((imaginary, real), _pair(b, plan.chirp, k, LANES))
                    result.store(k, *value)
                real, imaginary = result.load(k)
                if self.inverse:
                    real, imaginary = imaginary * b.splat(scale, LANES), real * b.splat(scale, LANES)
                place = (outer * b.splat(out, LANES) + b.splat(k, LANES)) * b.splat(inner, LANES) + across
                for part, component in enumerate((real,) if real_output else (real, imaginary)):
                    number = component.to(compute_dtype(self.dtype)).to(self.dtype)
                    y.scatter(number, place * (1 if real_output else 2) + part, mask)

    def _read(self, b: KernelBuilder, plan: _Plan, scratch: Pointer, outer: Value, across: Value, mask: Value) -> None:
        """Fills the scratch with the lines, times the chirp where there is one, and zeros."""
        x, line = b.buffer(0, self.dtype), _Line(b, scratch, LANES)
        n, length, inner = (_dim(b, dim) for dim in (self.n, self.length, self.inner))
        zero = b.zero(Type(dtypes.float64, LANES))
        mirrored = self.inverse and self.one_sided
        limit = b.minimum(length, n // 2 + 1 if mirrored else n)
        with b.loop(plan.m) as j:
            source, sign = j, b.const(1.0, F64)
            if mirrored:  # the other half of the frequencies is the conjugate of this one
                beyond = j > n // 2
                source = b.select(beyond, n - j, j)
                sign = b.select(beyond, b.const(-1.0, F64), sign)
            exists = (j < n) & (source < limit)
            place = (outer * b.splat(length, LANES) + b.splat(b.select(exists, source, 0), LANES)) * b.splat(
                inner, LANES
            ) + across
            inside = mask & b.splat(exists, LANES)
            real = self._part(b, x, place, inside, 0)
            imaginary = self._part(b, x, place, inside, 1) * b.splat(sign, LANES) if self.parts == 2 else zero
            real, imaginary = (b.select(inside, part, zero) for part in (real, imaginary))
            line.store(j, *((imaginary, real) if self.inverse else (real, imaginary)))
        with b.if_(b.not_(plan.direct)), b.loop(n) as j:
            line.store(j, *_times(line.load(j), _pair(b, plan.chirp, j, LANES)))

    def _part(self, b: KernelBuilder, x: Pointer, place: Value, mask: Value, part: int) -> Value:
        value = x.gather(place * self.parts + part, mask)
        return value.to(compute_dtype(self.dtype)).to(dtypes.float64)

    @staticmethod
    def _filter(b: KernelBuilder, plan: _Plan, scratch: Pointer, source: Value) -> None:
        """The product with the filter, parts exchanged for the inverse, to the start of the scratch."""
        x, y = _Line(b, scratch.at(source), LANES), _Line(b, scratch, LANES)
        with b.loop(plan.m) as j:
            real, imaginary = _times(x.load(j), _pair(b, plan.filter, j, LANES))
            y.store(j, imaginary, real)
