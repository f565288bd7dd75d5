"""Inverses of small matrices.

for task in [begin, end):                  # one matrix
    left, right = x[task], identity
    for k: the row with the largest |left[., k]| becomes row k of both; divide it by left[k, k]; subtract multiples of
           it from all other rows, so that column k of left is that of the identity
    y[task] = right
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim

__all__ = ["Inverse"]


@dataclass(frozen=True)
class Inverse:
    """``y[t]`` is the inverse of ``x[t]`` for [size, size] matrices, row-major; ``size`` is an int or ``s0``.

    A singular matrix gives infinities or NaN. Buffers: 0 x, 1 y, 2 scratch of the compute dtype, twice as large as x.
    """

    dtype: DType
    size: Dim

    @property
    def name(self) -> str:
        return "inverse"

    def emit(self, b: KernelBuilder) -> None:
        compute = compute_dtype(self.dtype)
        x, y, scratch = b.buffer(0, self.dtype), b.buffer(1, self.dtype), b.buffer(2, compute)
        n = emit_dim(b, self.size, lambda name: b.size(int(name[1:])))
        zero, one = b.zero(Type(compute)), b.const(1.0, Type(compute))
        with b.tasks() as task:
            a = scratch.at(task * n * n * 2)  # left and right side by side
            width = n * 2
            with b.loop(n) as i, b.loop(n) as j:
                a.store(x.load(task * n * n + i * n + j).to(compute), i * width + j)
                a.store(b.select(i == j, one, zero), i * width + n + j)
            with b.loop(n) as k:
                _pivot(b, a, n, k)
                pivot = a.load(k * width + k)
                with b.loop(width) as j:
                    a.store(a.load(k * width + j) / pivot, k * width + j)
                with b.loop(n) as i, b.if_(i != k):
                    factor = a.load(i * width + k)
                    with b.loop(width) as j:
                        a.store(a.load(i * width + j) - factor * a.load(k * width + j), i * width + j)
            with b.loop(n) as i, b.loop(n) as j:
                y.store(a.load(i * width + n + j).to(self.dtype), task * n * n + i * n + j)


def _pivot(b: KernelBuilder, a: Pointer, n: Value, k: Value) -> None:
    """Swaps row k with the one from there on whose element in column k is largest."""
    width = n * 2
    best, row = b.var(b.abs(a.load(k * width + k))), b.var(k)
    with b.loop(n, k + 1) as i:
        candidate = b.abs(a.load(i * width + k))
        with b.if_(candidate > best.get()):
            best.set(candidate)
            row.set(i)
    with b.if_(row.get() != k), b.loop(width) as j:
        upper, lower = a.load(k * width + j), a.load(row.get() * width + j)
        a.store(lower, k * width + j)
        a.store(upper, row.get() * width + j)
