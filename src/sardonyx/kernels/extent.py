"""The smallest and the largest element of a tensor, and the quantisation that follows from them.

    for piece in tasks:                     # Extent
        low[piece], high[piece] = min(0, elements of the piece), max(0, elements of the piece)

    low, high = over all pieces             # DynamicScale, one task
    scale = (high - low) / 255, or 1 / 255 where there is nothing but zero
    zero point = saturate(round(-low / scale))

Both take zero in, so that zero is always a number that can be represented.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.lang import F32, KernelBuilder, Type, Value, Var

__all__ = ["PIECE", "DynamicScale", "Extent"]

PIECE = 1 << 14
"""Elements of one task."""
ACCUMULATORS = 4


@dataclass(frozen=True)
class Extent:
    """Buffers: the float32 elements, then low and high of each piece, one array after the other; i64 arguments: the
    number of elements, the number of pieces."""

    @property
    def name(self) -> str:
        return "extent"

    def emit(self, b: KernelBuilder) -> None:
        source, result = b.buffer(0, dtypes.float32), b.buffer(1, dtypes.float32)
        lanes = b.target.lanes(4)
        wide, step = Type(dtypes.float32, lanes), lanes * ACCUMULATORS
        with b.tasks() as task:
            count = b.minimum(b.size(0) - task * PIECE, PIECE)
            start = source.at(task * PIECE)
            low, high = ([b.var(b.zero(wide)) for _ in range(ACCUMULATORS)] for _ in range(2))

            def note(place: int, value: Value, low: list[Var] = low, high: list[Var] = high) -> None:
                low[place].set(b.minimum(low[place].get(), value))
                high[place].set(b.maximum(high[place].get(), value))

            whole = count // step * step
            with b.loop(whole, 0, step) as at:
                for place in range(ACCUMULATORS):
                    note(place, start.load(at + place * lanes, lanes))
            rest = start.at(whole)
            b.vector_loop(count - whole, lanes, lambda at, mask: note(0, rest.load(at, lanes, mask)))
            for variables, combine, offset in ((low, b.minimum, b.i64(0)), (high, b.maximum, b.size(1))):
                total = variables[0].get()
                for variable in variables[1:]:
                    total = combine(total, variable.get())
                result.store(b.reduce(combine, total), offset + task)


@dataclass(frozen=True)
class DynamicScale:
    """Buffers: what ``Extent`` left, the float32 scale, the uint8 zero point; i64 argument: the number of pieces."""

    @property
    def name(self) -> str:
        return "dynamic_scale"

    def emit(self, b: KernelBuilder) -> None:
        source, scale, zero = b.buffer(0, dtypes.float32), b.buffer(1, dtypes.float32), b.buffer(2, dtypes.uint8)
        with b.tasks():
            low, high = b.var(b.zero(F32)), b.var(b.zero(F32))
            with b.loop(b.size(0)) as piece:
                low.set(b.minimum(low.get(), source.load(piece)))
                high.set(b.maximum(high.get(), source.load(piece + b.size(0))))
            width = b.select(high.get() == low.get(), 1.0, high.get() - low.get())
            step = width / 255.0
            scale.store(step)
            zero.store(b.saturate(b.round_even(-low.get() / step), dtypes.uint8))
