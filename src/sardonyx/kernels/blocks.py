"""Right operands of products that stay small integers in memory, with a scale for each block along k.

    for panel in group: for block of the stretch of k: for k in block: for c < columns:
        unpacked[panel][k][c] = (integer[panel][k][c] - zero[panel][block][c]) * scale[panel][block][c]

A task makes floats of the stretch it is about to multiply, which stay in the nearest caches for all of its rows of A;
memory is read at the size of the integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.lang import KernelBuilder, Pointer, Value

__all__ = ["STRETCH", "Unpack"]

STRETCH = 64
"""Steps of k that are made floats at a time."""


@dataclass(frozen=True)
class Unpack:
    """Integers of ``bits`` (2, 4 or 8), the first of a byte in its lowest bits, in blocks of ``block`` steps of k.

    ``block`` is a power of two, at least 16; the last one may reach beyond k. Buffers from ``first`` on: the float32
    scales, packed as B is with a row for each block, and with ``zeros`` the float32 zero points likewise; without, they
    are the middle of the range.
    """

    bits: int
    block: int
    blocks: int
    zeros: bool
    first: int = 3

    @property
    def buffers(self) -> int:
        """How many buffers it adds to the product's."""
        return 1 + self.zeros

    @property
    def rows(self) -> int:
        """Rows of bytes in one packed panel."""
        return self.blocks * self.block * self.bits // 8

    def emit(
        self, b: KernelBuilder, panel: Value, columns: int, lanes: int, start: Value, depth: Value, target: Pointer
    ) -> None:
        """Makes floats of ``depth`` steps of a panel from ``start``, a multiple of ``STRETCH``, on."""
        source = b.buffer(1, dtypes.uint8).at(panel * (self.rows * columns))
        chunk, each = min(self.block, STRETCH), 8 // self.bits
        numbers = [
            b.buffer(self.first + k, dtypes.float32).at(panel * (self.blocks * columns)) for k in range(self.buffers)
        ]
        with b.loop((depth + (chunk - 1)) // chunk) as part:
            first = start + part * chunk
            row = first // self.block * columns
            vectors = range(0, columns, lanes)
            loaded = [[pointer.load(row + place, lanes) for pointer in numbers] for place in vectors]
            bytes_, floats = source.at(first // each * columns), target.at(part * (chunk * columns))
            with b.loop(chunk // each) as line:
                for place, (scale, *zero) in zip(vectors, loaded, strict=True):
                    raw = bytes_.load(line * columns + place, lanes).to(dtypes.int32)
                    for k in range(each):
                        integer = (raw >> (self.bits * k)) & ((1 << self.bits) - 1)
                        middle = zero[0] if zero else float(1 << (self.bits - 1))
                        value = (integer.to(dtypes.float32) - middle) * scale
                        floats.store(value, (line * each + k) * columns + place)
