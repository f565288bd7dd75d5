"""Packing of a product's right operand into the panels that the micro-kernel reads.

    for task in [begin, end):                        # one panel of one batch element
        for k: for c < columns:
            packed[panel][k][c] = source[k, panel * columns + c], zero beyond the last column

Rows of unit stride are copied by vectors, columns of unit stride are transposed in registers, others gathered.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import TileShape
from sardonyx.kernels.sizes import emit_dim
from sardonyx.kernels.transpose import transposed
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Pack", "packed_size"]


def packed_size(k: Dim, n: Dim, columns: int) -> Dim:
    """Elements of one packed (k, n) operand."""
    return ceildiv(n, columns) * k * columns


@dataclass(frozen=True)
class Pack:
    """Packs a (k, n) operand, or one for each of ``batch`` elements, into panels of ``columns``.

    Element (k, n) of batch element i0 lies at ``offset + k * k_stride + n * n_stride``, ``offset`` an expression of
    ``i0``. Buffers: the packed memory, the source. Tasks: batch elements times panels.
    """

    k: Dim
    n: Dim
    source: DType
    dtype: DType
    k_stride: Dim
    n_stride: Dim
    columns: int
    lanes: int
    offset: Dim = 0

    @property
    def name(self) -> str:
        return "pack"

    @staticmethod
    def of(
        shape: TileShape, k: Dim, n: Dim, source: DType, dtype: DType, strides: tuple[Dim, Dim], offset: Dim = 0
    ) -> Pack:
        """The packing for a tile shape; ``strides`` are those of k and n."""
        return Pack(k, n, source, dtype, *strides, shape.columns, shape.lanes, offset)

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Pack, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.lanes = spec.lanes

    def dim(self, value: Dim, batch: Value | None = None) -> Value:
        def symbol(name: str) -> Value:
            return batch if name[0] == "i" and batch is not None else self.b.size(int(name[1:]))

        return emit_dim(self.b, value, symbol)

    def emit(self) -> None:
        b, spec = self.b, self.spec
        n, k = self.dim(spec.n), self.dim(spec.k)
        panels = self.dim(ceildiv(spec.n, spec.columns))
        with b.tasks() as task:
            batch, panel = b.index_div(task, panels), b.index_rem(task, panels)
            column = panel * spec.columns
            source = b.buffer(1, spec.source).at(self.dim(spec.offset, batch)).at(column * self.dim(spec.n_stride))
            target = b.buffer(0, spec.dtype).at(task * k * spec.columns)
            left = n - column
            if isinstance(spec.n, int) and spec.n % spec.columns == 0:
                self.panel(source, target, None)
            else:
                with b.if_else(left >= spec.columns) as (full, partial):
                    with full:
                        self.panel(source, target, None)
                    with partial:
                        self.panel(source, target, left)

    def panel(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        """One panel, of which only ``left`` columns exist (None: all)."""
        spec = self.spec
        for vector in range(0, spec.columns, spec.lanes):
            remaining = None if left is None else left - vector
            start, packed = source.at(vector * self.dim(spec.n_stride)), target.at(vector)
            if spec.n_stride == 1:
                self.copy(start, packed, remaining)
            elif spec.k_stride == 1 and spec.lanes & (spec.lanes - 1) == 0:
                self.transposed(start, packed, remaining)
            else:
                self.gathered(start, packed, remaining)

    def copy(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        b, spec = self.b, self.spec
        mask = None if left is None else b.tail_mask(b.maximum(left, 0), spec.lanes)
        with b.loop(self.dim(spec.k)) as k:
            value = source.load(k * self.dim(spec.k_stride), spec.lanes, mask)
            target.store(value.to(spec.dtype), k * spec.columns)

    def gathered(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        b, spec = self.b, self.spec
        mask = None if left is None else b.tail_mask(b.maximum(left, 0), spec.lanes)
        offsets = b.iota(I64.with_lanes(spec.lanes)) * self.dim(spec.n_stride)
        with b.loop(self.dim(spec.k)) as k:
            value = source.at(k * self.dim(spec.k_stride)).gather(offsets, mask)
            target.store(value.to(spec.dtype), k * spec.columns)

    def transposed(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        """Squares of ``lanes`` columns by ``lanes`` steps of k."""
        b, spec, lanes = self.b, self.spec, self.lanes
        stride, zero = self.dim(spec.n_stride), b.zero(Type(spec.dtype, lanes))

        def square(k: Value, mask: Value | None) -> None:
            rows = []
            for row in range(lanes):
                if left is None:
                    rows.append(source.at(row * stride).load(k, lanes, mask).to(spec.dtype))
                    continue
                value = b.var(zero)
                with b.if_(left > row):
                    value.set(source.at(row * stride).load(k, lanes, mask).to(spec.dtype))
                rows.append(value.get())
            for step, column in enumerate(transposed(b, rows, spec.dtype.itemsize)):
                if mask is None:
                    target.store(column, (k + step) * spec.columns)
                else:
                    with b.if_(k + step < self.dim(spec.k)):
                        target.store(column, (k + step) * spec.columns)

        b.vector_loop(spec.k if isinstance(spec.k, int) else self.dim(spec.k), lanes, square)
