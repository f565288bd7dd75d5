"""Fused maps: one loop nest for any chain of pointwise, broadcasting and shape-moving operators.

for task in [begin, end):                    # one task: one row of the outer loops, or a block of it
    i0 ... i[n-2], block = unravel(task)
    for i[n-1] in block, step lanes:         # vectors, masked in the tail
        values = program(i0 ... i[n-1])
        for each store: buffer[offset(i0 ...)] = value
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.point import PointProgram, Position, emit_point, emit_store, program_lanes
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Value
from sardonyx.symbols import Dim, ceildiv, product

__all__ = ["BLOCK", "Map", "Store", "unravel"]

BLOCK = 4096
"""Elements of the innermost loop in one task."""


@dataclass(frozen=True)
class Store:
    """Where a result of the program goes: a buffer slot and an offset in elements, an expression of ``i`` and ``s``."""

    buffer: int
    dtype: DType
    offset: Dim


def unravel(b: KernelBuilder, position: Value, extents: list[Value]) -> list[Value]:
    """The row-major coordinates of a flat position; the first extent is not needed and may be anything."""
    index: list[Value] = []
    for extent in reversed(extents[1:]):
        index.append(b.index_rem(position, extent))
        position = b.index_div(position, extent)
    return [position, *reversed(index)]


@dataclass(frozen=True)
class Map:
    """A point program over a loop nest.

    ``extents`` are the loops' sizes, outermost first (ints or expressions of ``s0, s1 ...``); there is at least one.
    ``stores[k]`` takes the program's result k. Buffer slots: the program's own.
    """

    extents: tuple[Dim, ...]
    program: PointProgram
    stores: tuple[Store, ...]

    @property
    def name(self) -> str:
        return "map"

    @staticmethod
    def tasks(extents: tuple[Dim, ...]) -> Dim:
        """The number of parallel tasks for given sizes."""
        return product(extents[:-1]) * ceildiv(extents[-1], BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        sizes = [emit_dim(b, extent, lambda name: b.size(int(name[1:]))) for extent in self.extents]
        inner = sizes[-1]
        blocks = b.index_div(inner + (BLOCK - 1), BLOCK)
        lanes = program_lanes(b, self.program)
        one_block = isinstance(self.extents[-1], int) and self.extents[-1] <= BLOCK
        with b.tasks() as task:
            row = task if one_block else b.index_div(task, blocks)
            start = b.i64(0) if one_block else b.index_rem(task, blocks) * BLOCK
            outer = unravel(b, row, sizes[:-1]) if len(sizes) > 1 else []
            count: Value | int = (
                self.extents[-1] if one_block and isinstance(self.extents[-1], int) else b.minimum(inner - start, BLOCK)
            )

            def body(offset: Value, mask: Value | None) -> None:
                position = Position([*outer, start + offset], lanes, len(sizes) - 1, mask)
                results = emit_point(b, self.program, position)
                for store, value in zip(self.stores, results, strict=True):
                    emit_store(b, store.buffer, store.dtype, store.offset, value, position)

            b.vector_loop(count, lanes, body)
