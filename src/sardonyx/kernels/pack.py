"""Packing of a product's right operand into the panels that the micro-kernel reads.

    for task in [begin, end):                        # one panel of one batch element
        for k: for c < columns:
            packed[panel][k][c] = source[k, panel * columns + c], zero beyond the last column

With a deeper atom (kernels/dot.py), k counts its steps, and packed elements are words of several of the source's.
Rows of unit stride are copied by vectors, columns of unit stride are transposed in registers, others gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.kernels.gemm_tile import TileShape
from sardonyx.kernels.sizes import emit_dim
from sardonyx.kernels.transpose import transposed
from sardonyx.lang import I64, KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["Pack", "packed_size"]


def packed_size(k: Dim, n: Dim, columns: int, depth: int = 1) -> Dim:
    """Elements of one packed (k, n) operand, words of ``depth`` elements."""
    return ceildiv(n, columns) * ceildiv(k, depth) * columns


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
    atom: Atom | None = None

    @property
    def name(self) -> str:
        return "pack"

    @staticmethod
    def of(
        shape: TileShape,
        k: Dim,
        n: Dim,
        source: DType,
        dtype: DType,
        strides: tuple[Dim, Dim],
        offset: Dim = 0,
        atom: Atom | None = None,
    ) -> Pack:
        """The packing for a tile shape; ``strides`` are those of k and n."""
        return Pack(k, n, source, dtype, *strides, shape.columns, shape.lanes, offset, atom)

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: Pack, b: KernelBuilder) -> None:
        self.spec = spec
        self.b = b
        self.lanes = spec.lanes
        self.atom = spec.atom or plain_atom(spec.dtype)
        self.steps = ceildiv(spec.k, self.atom.depth)

    def dim(self, value: Dim, batch: Value | None = None) -> Value:
        def symbol(name: str) -> Value:
            return batch if name[0] == "i" and batch is not None else self.b.size(int(name[1:]))

        return emit_dim(self.b, value, symbol)

    def emit(self) -> None:
        b, spec = self.b, self.spec
        n, steps = self.dim(spec.n), self.dim(self.steps)
        panels = self.dim(ceildiv(spec.n, spec.columns))
        with b.tasks() as task:
            batch, panel = b.index_div(task, panels), b.index_rem(task, panels)
            column = panel * spec.columns
            source = b.buffer(1, spec.source).at(self.dim(spec.offset, batch)).at(column * self.dim(spec.n_stride))
            target = b.buffer(0, spec.dtype).at(task * steps * spec.columns)
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
        self.rows(target, lambda k: source.load(k * self.dim(spec.k_stride), spec.lanes, mask))

    def gathered(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        b, spec = self.b, self.spec
        mask = None if left is None else b.tail_mask(b.maximum(left, 0), spec.lanes)
        offsets = b.iota(I64.with_lanes(spec.lanes)) * self.dim(spec.n_stride)
        self.rows(target, lambda k: source.at(k * self.dim(spec.k_stride)).gather(offsets, mask))

    def rows(self, target: Pointer, load: Callable[[Value], Value]) -> None:
        """Every step of k, from the vectors of its rows of B."""
        b, spec, depth = self.b, self.spec, self.atom.depth
        rest = spec.k % depth
        with b.loop(self.dim(spec.k // depth)) as step:
            word = self.atom.word(b, [load(step * depth + row) for row in range(depth)])
            target.store(word, step * spec.columns)
        if isinstance(rest, int) and rest == 0:
            return
        last = self.dim(spec.k // depth)
        for missing in range(1, depth):
            with b.if_(self.dim(rest) == depth - missing):
                word = self.atom.word(b, [load(last * depth + row) for row in range(depth - missing)])
                target.store(word, last * spec.columns)

    def transposed(self, source: Pointer, target: Pointer, left: Value | None) -> None:
        """Squares of ``lanes`` columns by ``lanes`` steps of k."""
        b, spec, lanes = self.b, self.spec, self.lanes
        stride, zero = self.dim(spec.n_stride), b.zero(Type(spec.dtype, lanes))
        depth = self.atom.depth

        def square(k: Value, mask: Value | None) -> None:
            def words(row: int) -> Value:
                return self.atom.words(b, source.at(row * stride).load(k, lanes * depth, mask), mask)

            rows = []
            for row in range(lanes):
                if left is None:
                    rows.append(words(row))
                    continue
                value = b.var(zero)
                with b.if_(left > row):
                    value.set(words(row))
                rows.append(value.get())
            first = k // depth
            for step, column in enumerate(transposed(b, rows, spec.dtype.itemsize)):
                if mask is None:
                    target.store(column, (first + step) * spec.columns)
                else:
                    with b.if_(first + step < self.dim(self.steps)):
                        target.store(column, (first + step) * spec.columns)

        b.vector_loop(spec.k if isinstance(spec.k, int) else self.dim(spec.k), lanes * depth, square)
