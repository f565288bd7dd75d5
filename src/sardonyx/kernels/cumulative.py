"""Running sums and products along one axis.

for task in [begin, end):                  # one row of outer x one vector of inner elements
    total = identity
    for t in 0 ... count (or from the end):
        inclusive: total op= x[t]; y[t] = total       exclusive: y[t] = total; total op= x[t]
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Cumulative"]

BLOCK = 512
"""Inner elements of one task."""


@dataclass(frozen=True)
class Cumulative:
    """``y = cumsum(x)`` (or the product) over the middle of [outer, count, inner], both row-major.

    ``count`` and ``inner`` are ints or ``s0, s1``. Elements are added in order in the compute dtype. Buffers: 0 x, 1 y.
    """

    dtype: DType
    product: bool
    exclusive: bool
    reverse: bool
    count: Dim
    inner: Dim

    @property
    def name(self) -> str:
        return "cumulative_product" if self.product else "cumulative_sum"

    @staticmethod
    def tasks(outer: Dim, inner: Dim) -> Dim:
        """The number of parallel tasks for given sizes."""
        return outer * ceildiv(inner, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        source, target = b.buffer(0, self.dtype), b.buffer(1, self.dtype)
        count, inner = (emit_dim(b, d, lambda name: b.size(int(name[1:]))) for d in (self.count, self.inner))
        compute = compute_dtype(self.dtype)
        lanes = 1 if self.inner == 1 else b.target.lanes(compute.itemsize)
        blocks = (inner + (BLOCK - 1)) // BLOCK
        identity = b.const(1 if self.product else 0, Type(compute, lanes))

        def step(total: Value, place: Value, mask: Value | None) -> Value:
            value = source.load(place, lanes, mask).to(compute)
            after = total * value if self.product else total + value
            target.store((total if self.exclusive else after).to(self.dtype), place, mask)
            return after

        def scan(row: Value, first: Value) -> None:
            """One running value in a register."""
            total = b.var(identity)
            with b.loop(count) as k:
                t = count - 1 - k if self.reverse else k
                total.set(step(total.get(), (row + t) * inner + first, None))

        def scan_block(row: Value, first: Value) -> None:
            """A block of running values on the stack."""
            totals, size = b.local(compute, BLOCK), b.minimum(inner - first, BLOCK)
            b.vector_loop(size, lanes, lambda i, mask: totals.store(identity, i, mask))
            with b.loop(count) as k:
                t = count - 1 - k if self.reverse else k

                def body(i: Value, mask: Value | None, t: Value = t) -> None:
                    after = step(totals.load(i, lanes, mask), (row + t) * inner + first + i, mask)
                    totals.store(after, i, mask)

                b.vector_loop(size, lanes, body)

        with b.tasks() as task:
            (scan if self.inner == 1 else scan_block)((task // blocks) * count, (task % blocks) * BLOCK)
