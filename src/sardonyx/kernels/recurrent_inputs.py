"""The inputs' products of a recurrent layer of a single row, made in the shadow of the recurrent weights' loads.

The products of one row with the recurrent weights wait for the second-level cache: it delivers half of what the
multiply-adds could take. Here the products of the inputs fill that gap: those of the next block of steps are summed
beside the recurrent ones, one step of k of each in one loop.

    for block of steps, and one more:
        copy the inputs of the block's steps
        for step of the block before:                       # see kernels/recurrent.py
            for k < hidden: recurrent sums += h[k] * R[k];  input sums += x[steps of the block, k'] * W[k']
        the rest of the input sums

The sums of two blocks are kept, that in use and that in the making.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sardonyx.dtypes import DType
from sardonyx.kernels.gemm_tile import RunningTile, row_offsets
from sardonyx.lang import KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim
from sardonyx.targets import Target

__all__ = ["MOST_INPUTS", "VECTORS", "Access", "InputProducts", "InputStream", "input_rows"]

VECTORS = 2
"""Vectors of columns of one panel of W."""

MOST_INPUTS = 2
"""Most inputs for each hidden unit: of more, too little fits beside the recurrent products."""

MANY_REGISTERS = 32


def input_rows(target: Target, sums: int) -> int:
    """Steps in one block: what fits the registers beside so many other sums; 0 where that is too few to pay."""
    if target.vector_registers < MANY_REGISTERS:
        return 0
    return (target.vector_registers - sums - VECTORS - 2) // VECTORS


@dataclass(frozen=True)
class Access:
    """An operand with hidden units in its last, dense dimension: element ``unit`` of a row at a time lies at
    ``time * t + direction * d + row * r + unit``."""

    buffer: int
    dtype: DType
    time: Dim = 0
    direction: Dim = 0
    row: Dim = 0


@dataclass(frozen=True)
class InputProducts:
    """Products of ``x`` [time, size] with the weights in buffer ``weights``, which have ``columns`` columns and are
    packed in panels (kernels/pack.py), direction after direction, for blocks of ``rows`` steps."""

    x: Access
    weights: int
    size: int
    columns: int
    rows: int
    lanes: int

    @property
    def panel(self) -> int:
        """Columns of one panel."""
        return VECTORS * self.lanes

    @property
    def panels(self) -> int:
        return -(-self.columns // self.panel)

    @property
    def width(self) -> int:
        """Elements of one row of sums."""
        return self.panels * self.panel

    @property
    def packed(self) -> int:
        """Elements of the packed weights of one direction."""
        return self.width * self.size

    @property
    def row(self) -> int:
        """Elements from one row of copied inputs to the next: no power of two, so that rows lie in different sets."""
        return -(-self.size // self.lanes) * self.lanes + self.lanes

    @property
    def memory(self) -> int:
        """Elements of scratch memory: one block of inputs, two of sums."""
        return self.rows * (self.row + 2 * self.width)


class InputStream:
    """The code that makes the products, given scratch ``memory`` and the direction's packed ``weights``."""

    def __init__(self, b: KernelBuilder, spec: InputProducts, memory: Pointer, weights: Pointer) -> None:
        self.b = b
        self.spec = spec
        self.inputs = memory
        self.sums = memory.at(spec.rows * spec.row)
        self.weights = weights
        self.target = self.sums
        self.rows, self.done, self.all = (b.var(b.i64(0)) for _ in range(3))

    def sums_of(self, step: Value) -> Pointer:
        """The finished sums of a step."""
        return self.sums.at(step % (2 * self.spec.rows) * self.spec.width)

    def begin(self, first: Value, rows: Value, source: Callable[[Value], Pointer]) -> None:
        """Turns to a block of ``rows`` steps from ``first`` on, a multiple of a block's (none: nothing is left to do).

        ``source`` gives a step's inputs.
        """
        b, spec = self.b, self.spec
        dtype, lanes = self.inputs.dtype, spec.lanes
        with b.loop(rows) as row:
            inputs, copy = source(first + row), self.inputs.at(row * spec.row)
            b.vector_loop(spec.size, lanes, lambda k, mask: copy.store(inputs.load(k, lanes, mask).to(dtype), k))
        self.target = self.sums_of(first)
        self.rows.set(rows)
        self.done.set(0)
        self.all.set(b.select(rows > 0, spec.panels * spec.size, b.i64(0)))

    def beside(self, count: int, step: Callable[[Value], None]) -> None:
        """``step(k)`` for k < count, each beside one step of the block's products as long as there are any."""
        b = self.b
        at = b.var(b.i64(0))
        with b.while_(lambda: at.get() < count):
            first = at.get()
            with b.if_else(self.done.get() < self.all.get()) as (both, alone):
                with both:
                    made = self.advance(count - first, self.spec.rows, lambda k: step(first + k))
                    at.set(first + made)
                with alone:
                    with b.loop(count, first) as k:
                        step(k)
                    at.set(count)

    def finish(self) -> None:
        """What is left of the block's products; few rows do not take as long as many."""
        b, below = self.b, 0
        for height in (1, 4, self.spec.rows):
            fits = (self.rows.get() > below) & (self.rows.get() <= height)
            with b.if_(fits), b.while_(lambda: self.done.get() < self.all.get()):
                self.advance(b.i64(self.spec.size), height, lambda k: None)
            below = height

    def advance(self, most: Value, height: int, step: Callable[[Value], None]) -> Value:
        """Up to ``most`` steps of k of the panel that is in the making; gives their number."""
        b, spec = self.b, self.spec
        done = self.done.get()
        panel, k = done // spec.size, done % spec.size
        count = b.minimum(most, spec.size - k)
        weights, rows = self.weights.at(done * spec.panel), row_offsets(spec.row, height)
        tile = RunningTile(b, rows, VECTORS, self.inputs.at(k), weights, spec.lanes, spec.panel)
        target = self.target.at(panel * spec.panel)
        places = [(s, r * spec.width + v * spec.lanes) for r, row in enumerate(tile.sums) for v, s in enumerate(row)]
        with b.if_(k > 0):
            for total, place in places:
                total.set(target.load(place, spec.lanes))
        with b.loop(count) as i:
            step(i)
            tile.step(i)
        for total, place in places:
            target.store(total.get(), place)
        self.done.set(done + count)
        return count
