"""Support vector machines: the Gaussian kernel, and classes from one-against-one decisions."""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.kernels.class_scores import logistic
from sardonyx.lang import F32, KernelBuilder, Pointer, Type, Value
from sardonyx.lang.vmath import exp
from sardonyx.symbols import Dim, ceildiv

__all__ = ["GaussianKernel", "PairwiseVotes"]

ROWS = 4
"""Rows that share the loads of a block of support vectors."""
BLOCK = 64
"""Rows of one task."""
MAX_SWEEPS = 100
LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class GaussianKernel:
    """``y[n, s] = exp(-gamma * sum over f of (x[n, f] - v[f, s])**2)`` in float32.

        for task in [begin, end):                     # a block of rows
            for ROWS rows, for s in steps of `lanes`:
                for f: sums[row] += (x[row, f] - v[f, s])**2
                y[row, s] = exp(-gamma * sums[row])

    The differences are squared one by one: expanding the square would cancel. Buffers: x, v, y; sizes: rows, f, s.
    """

    gamma: float

    @property
    def name(self) -> str:
        return "gaussian_kernel"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        rows = b.size(0)
        with b.tasks() as task:
            first = task * BLOCK
            last = b.minimum(first + BLOCK, rows)
            with b.loop(last, first, ROWS) as row:
                # rows past the end are computed as copies of the last one
                self._rows(b, [b.minimum(row + k, last - 1) for k in range(ROWS)])

    def _rows(self, b: KernelBuilder, rows: list[Value]) -> None:
        x, vectors, target = (b.buffer(slot, dtypes.float32) for slot in range(3))
        features, count = b.size(1), b.size(2)
        lanes = b.target.lanes(4)
        lines = [x.at(row * features) for row in rows]

        def body(s: Value, mask: Value | None) -> None:
            sums = [b.var(b.zero(F32.with_lanes(lanes))) for _ in rows]
            with b.loop(features) as f:
                vector = vectors.load(f * count + s, lanes, mask)
                for total, line in zip(sums, lines, strict=True):
                    difference = vector - line.load(f)
                    total.set(b.fma(difference, difference, total.get()))
            for total, row in zip(sums, rows, strict=True):
                target.store(exp(total.get() * -self.gamma), row * count + s, mask)

        b.vector_loop(count, lanes, body)


@dataclass(frozen=True)
class PairwiseVotes:
    """Labels, and with ``proba`` probabilities, of s1 classes from the decisions of all pairs i < j of them.

    A positive decision is a vote for i, others are for j; the label is that of the first class with the most votes.
    Probabilities couple those of the pairs, 1 / (1 + exp(a d + b)), as libsvm does (Wu, Lin and Weng 2004, method 2).
    Buffers: decisions (s0 rows), table, labels, room (a task: ``room(classes)``), then a, b, probabilities.
    """

    proba: bool

    @property
    def name(self) -> str:
        return "pairwise_votes"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, BLOCK)

    @staticmethod
    def room(classes: int) -> int:
        """float32 scratch elements of a task: votes, two matrices, two vectors."""
        return 2 * classes * classes + 2 * classes

    def emit(self, b: KernelBuilder) -> None:
        rows, classes = b.size(0), b.size(1)
        pairs = classes * (classes - 1) // 2
        decisions, table, labels = b.buffer(0, dtypes.float32), b.buffer(1, dtypes.int64), b.buffer(2, dtypes.int64)
        with b.tasks() as task:
            room = b.buffer(3, dtypes.float32).at(task * (classes * (classes + 1) * 2))
            with b.loop(b.minimum(rows, (task + 1) * BLOCK), task * BLOCK) as row:
                line = decisions.at(row * pairs)
                labels.store(table.load(self._vote(b, line, room)), row)
                if self.proba:
                    _Coupling(b, line, room, b.buffer(6, dtypes.float32).at(row * classes)).emit()

    def _vote(self, b: KernelBuilder, line: Pointer, votes: Pointer) -> Value:
        classes = b.size(1)
        with b.loop(classes) as c:
            votes.store(b.const(0.0, F32), c)
        pair = b.var(b.i64(0))
        with b.loop(classes) as i, b.loop(classes, i + 1) as j:
            winner = b.select(line.load(pair.get()) > 0.0, i, j)
            votes.store(votes.load(winner) + 1.0, winner)
            pair.set(pair.get() + 1)
        best, most = b.var(b.i64(0)), b.var(votes.load())
        with b.loop(classes) as c:
            count = votes.load(c)
            more = count > most.get()
            best.set(b.select(more, c, best.get()))
            most.set(b.select(more, count, most.get()))
        return best.get()


class _Coupling:
    """The probabilities of one row: p minimises the sum over pairs of (r[j, i] p[i] - r[i, j] p[j])**2."""

    def __init__(self, b: KernelBuilder, line: Pointer, room: Pointer, p: Pointer) -> None:
        self.b, self.line, self.p = b, line, p
        self.classes = b.size(1)
        self.r = room
        self.q = room.at(self.classes * self.classes)
        self.qp = self.q.at(self.classes * self.classes)

    def emit(self) -> None:
        b = self.b
        self._pairs()
        self._matrix()
        sweeps, going = b.var(b.i64(0)), b.var(b.const(True, Type(dtypes.bool_)))
        with b.while_(going.get):
            total, error = self._products()
            enough = error < 0.005 / self.classes.to(dtypes.float32)
            with b.if_(b.not_(enough)):
                self._sweep(total)
            sweeps.set(sweeps.get() + 1)
            going.set(b.not_(enough) & (sweeps.get() < MAX_SWEEPS))

    def _pairs(self) -> None:
        """r[i, j]: the probability of i, given that it is i or j."""
        b, n = self.b, self.classes
        slopes, offsets = b.buffer(4, dtypes.float32), b.buffer(5, dtypes.float32)
        pair = b.var(b.i64(0))
        with b.loop(n) as i, b.loop(n, i + 1) as j:
            k = pair.get()
            value = logistic(-(self.line.load(k) * slopes.load(k) + offsets.load(k)))
            value = b.minimum(b.maximum(value, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
            self.r.store(value, i * n + j)
            self.r.store(1.0 - value, j * n + i)
            pair.set(k + 1)

    def _matrix(self) -> None:
        b, n = self.b, self.classes
        with b.loop(n) as i:
            self.p.store(1.0 / n.to(dtypes.float32), i)
            square = b.var(b.const(0.0, F32))
            with b.loop(n) as j, b.if_(i != j):
                back = self.r.load(j * n + i)
                square.set(square.get() + back * back)
                self.q.store(-(back * self.r.load(i * n + j)), i * n + j)
            self.q.store(square.get(), i * n + i)

    def _products(self) -> tuple[Value, Value]:
        """Stores Q p; gives p Q p and the largest difference of an element of Q p from it."""
        b, n = self.b, self.classes
        total, error = b.var(b.const(0.0, F32)), b.var(b.const(0.0, F32))
        with b.loop(n) as i:
            product = b.var(b.const(0.0, F32))
            with b.loop(n) as j:
                product.set(product.get() + self.q.load(i * n + j) * self.p.load(j))
            self.qp.store(product.get(), i)
            total.set(total.get() + self.p.load(i) * product.get())
        with b.loop(n) as i:
            distance = b.abs(self.qp.load(i) - total.get())
            error.set(b.select(distance > error.get(), distance, error.get()))
        return total.get(), error.get()

    def _sweep(self, total: Value) -> None:
        """One round over the classes, each moved to its best place."""
        b, n = self.b, self.classes
        value = b.var(total)
        with b.loop(n) as i:
            own, product = self.q.load(i * n + i), self.qp.load(i)
            step = (value.get() - product) / own
            self.p.store(self.p.load(i) + step, i)
            scale = step + 1.0
            value.set((value.get() + step * (step * own + product * 2.0)) / scale / scale)
            with b.loop(n) as j:
                self.qp.store((self.qp.load(j) + step * self.q.load(i * n + j)) / scale, j)
                self.p.store(self.p.load(j) / scale, j)
