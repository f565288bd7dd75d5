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

BLOCK = 64
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
        with b.tasks() as task:
            row, first = (task // blocks) * count, (task % blocks) * BLOCK

            def column(offset: Value, mask: Value | None) -> None:
                total = b.var(b.const(1 if self.product else 0, Type(compute, lanes)))
                with b.loop(count) as step:
                    t = count - 1 - step if self.reverse else step
                    place = (row + t) * inner + first + offset
                    value = source.load(place, lanes, mask).to(compute)
                    before = total.get()
                    after = before * value if self.product else before + value
                    total.set(after)
                    target.store((before if self.exclusive else after).to(self.dtype), place, mask)

            b.vector_loop(b.minimum(inner - first, BLOCK), lanes, column)
