"""Determinants of small matrices.

for task in [begin, end):                  # one matrix
    copy = x[task]
    for k: the row with the largest |copy[., k]| becomes row k; subtract multiples of it from the rows below
    y[task] = sign * product of copy[k, k]
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Type
from sardonyx.symbols import Dim

__all__ = ["Determinant"]


@dataclass(frozen=True)
class Determinant:
    """``y[t] = det(x[t])`` for [size, size] matrices, row-major; ``size`` is an int or ``s0``.

    Buffers: 0 x, 1 y, 2 scratch of the compute dtype, as large as x.
    """

    dtype: DType
    size: Dim

    @property
    def name(self) -> str:
        return "determinant"

    def emit(self, b: KernelBuilder) -> None:
        compute = compute_dtype(self.dtype)
        x, y, scratch = b.buffer(0, self.dtype), b.buffer(1, self.dtype), b.buffer(2, compute)
        n = emit_dim(b, self.size, lambda name: b.size(int(name[1:])))
        with b.tasks() as task:
            a = scratch.at(task * n * n)
            with b.loop(n * n) as i:
                a.store(x.load(task * n * n + i).to(compute), i)
            result = b.var(b.const(1.0, Type(compute)))
            with b.loop(n) as k:
                best, row = b.var(b.abs(a.load(k * n + k))), b.var(k)
                with b.loop(n, k + 1) as i:
                    candidate = b.abs(a.load(i * n + k))
                    with b.if_(candidate > best.get()):
                        best.set(candidate)
                        row.set(i)
                with b.if_(row.get() != k):
                    with b.loop(n) as j:
                        upper, lower = a.load(k * n + j), a.load(row.get() * n + j)
                        a.store(lower, k * n + j)
                        a.store(upper, row.get() * n + j)
                    result.set(-result.get())
                pivot = a.load(k * n + k)
                result.set(result.get() * pivot)
                with b.if_(pivot != 0.0), b.loop(n, k + 1) as i:
                    factor = a.load(i * n + k) / pivot
                    with b.loop(n, k) as j:
                        a.store(a.load(i * n + j) - factor * a.load(k * n + j), i * n + j)
            y.store(result.get().to(self.dtype), task)
