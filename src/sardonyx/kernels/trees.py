"""Ensembles of decision trees.

A node is one record of 32-bit words: threshold, feature, false child, true child; a leaf's children are the leaf, and
its threshold's place holds what it weighs. Children are offsets of words from the table's start. All tests are
``x[feature] <= threshold``, which a NaN fails: the tables are brought to that form (ops/ml/tree_layout.py).

    for task in [begin, end):                          # a block of rows
        for tree in trees:
            for GROUP rows at once:                    # their chains of dependent loads overlap
                while some node changes: node = children[node][x[feature[node]] <= threshold[node]]
                scores[row] += weights[leaf]           # or minimum, maximum; in the order of the trees
        for each row of an incomplete group: the same with GROUP trees at once

Rows are walked with scalar loads: gathers of four values a step cost several times as much on the processors measured
(Zen 4), and no width is lost where rows end at different depths. A step has no branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.point import compute_dtype
from sardonyx.lang import BOOL, U8, KernelBuilder, Pointer, Type, Value
from sardonyx.symbols import Dim, ceildiv

__all__ = ["GROUP", "PackRows", "TreeWalk", "words_of"]

GROUP = 16
"""Rows, or trees, walked at once."""
GROUPS = 8
"""Groups of rows in one task; with a tree they fit the L1 cache."""
STEPS = 3
"""Steps between two looks at whether all rows have reached their leaf."""


def words_of(dtype: DType) -> int:
    """The 32-bit words of a node with thresholds of a float type: one or two, feature, two children, padding."""
    return 6 if dtype.itemsize == 8 else 4


@dataclass(frozen=True)
class PackRows:
    """Rows (s0, s1) in groups: ``y[group, column, row of the group]`` in ``compute``; the last group is filled up.

    With ``signed`` each column is followed by its negative. Buffers: x, y.
    """

    dtype: DType
    compute: DType
    signed: bool

    @property
    def name(self) -> str:
        return "pack_rows"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, GROUP * GROUPS)

    def emit(self, b: KernelBuilder) -> None:
        source, target = b.buffer(0, self.dtype), b.buffer(1, self.compute)
        rows, columns = b.size(0), b.size(1)
        groups = (rows + (GROUP - 1)) // GROUP
        width = GROUP * (2 if self.signed else 1)
        with b.tasks() as task, b.loop(b.minimum((task + 1) * GROUPS, groups), task * GROUPS) as group:
            lines = [source.at(b.minimum(group * GROUP + k, rows - 1) * columns) for k in range(GROUP)]
            with b.loop(columns) as column:
                place = target.at((group * columns + column) * width)
                for k, line in enumerate(lines):
                    value = line.load(column).to(compute_dtype(self.dtype)).to(self.compute)
                    place.store(value, k)
                    if self.signed:
                        place.store(-value, GROUP + k)


@dataclass(frozen=True)
class TreeWalk:
    """The raw scores (s0 rows, ``columns``) of packed rows of s1 columns under s2 trees.

    ``dtype`` is that of rows and thresholds, ``sums`` that of weights and scores. ``form`` says where weights are:
    "inline" (one column: in the leaf), "dense" (the leaf holds the place of ``columns`` weights) or "sparse" (the leaf
    holds its number, ``first[number]`` to ``first[number + 1]`` are its weights and their columns). ``aggregate`` is
    "add", "minimum" or "maximum"; ``present`` notes the scores that got a weight; ``flat``: all trees are a leaf.
    Buffers: packed rows, nodes, roots (filled up to a multiple of GROUP), scores, then weights, (sparse) first and
    columns of the weights, (present) a byte per score.
    """

    dtype: DType
    sums: DType
    columns: int
    form: str
    aggregate: str = "add"
    present: bool = False
    flat: bool = False

    @property
    def name(self) -> str:
        return "trees"

    @staticmethod
    def tasks(rows: Dim) -> Dim:
        """The number of parallel tasks for that many rows."""
        return ceildiv(rows, GROUP * GROUPS)

    def emit(self, b: KernelBuilder) -> None:
        _Emitter(self, b).emit()


class _Emitter:
    def __init__(self, spec: TreeWalk, b: KernelBuilder) -> None:
        self.spec, self.b = spec, b
        self.rows, self.width, self.trees = b.size(0), b.size(1), b.size(2)
        self.packed, self.nodes = b.buffer(0, spec.dtype), b.buffer(1, dtypes.int32)
        self.roots, self.scores = b.buffer(2, dtypes.int32), b.buffer(3, spec.sums)
        self.weights = b.buffer(4, spec.sums)
        self.feature = words_of(spec.dtype) - (4 if spec.dtype.itemsize == 8 else 3)

    def emit(self) -> None:
        b, block = self.b, GROUP * GROUPS
        with b.tasks() as task:
            first = task * block
            count = b.minimum(self.rows - first, block)
            self._start(first, count)
            whole = count - count % GROUP
            with b.loop(self.trees) as tree:
                root = self._root(tree)
                with b.loop(whole, 0, GROUP) as offset:
                    row = first + offset
                    leaves = self._walk(self.packed.at(row * self.width), [root] * GROUP, range(GROUP))
                    for k, leaf in enumerate(leaves):
                        self._add(leaf, row + k)
            with b.loop(count, whole) as offset:
                self._one_row(self.packed.at((first + whole) * self.width + (offset - whole)), first + offset)

    def _root(self, tree: Value) -> Value:
        return self.roots.load(tree).to(dtypes.int64)

    def _start(self, first: Value, count: Value) -> None:
        """The scores before any weight."""
        b, spec = self.b, self.spec
        start = {"add": 0.0, "minimum": float("inf"), "maximum": float("-inf")}[spec.aggregate]
        lanes = b.target.lanes(spec.sums.itemsize)
        line = self.scores.at(first * spec.columns)
        filled = b.const(start, Type(spec.sums, lanes))
        b.vector_loop(count * spec.columns, lanes, lambda i, mask: line.store(filled, i, mask))
        if spec.present:
            flags = self._flags().at(first * spec.columns)
            with b.loop(count * spec.columns) as i:
                flags.store(b.const(0, U8), i)

    def _flags(self) -> Pointer:
        return self.b.buffer(7 if self.spec.form == "sparse" else 5, dtypes.uint8)

    def _one_row(self, x: Pointer, row: Value) -> None:
        b = self.b
        found = b.local(dtypes.int64, GROUP)
        with b.loop(self.trees, 0, GROUP) as tree:
            leaves = self._walk(x, [self._root(tree + k) for k in range(GROUP)], [0] * GROUP)
            for k, leaf in enumerate(leaves):
                found.store(leaf, k)
            with b.loop(b.minimum(self.trees - tree, GROUP)) as place:
                self._add(found.load(place), row)

    def _walk(self, x: Pointer, starts: Sequence[Value], lanes: Sequence[int]) -> list[Value]:
        """The leaves below some nodes, for the rows that lie at ``lanes`` of a group."""
        b = self.b
        if self.spec.flat:
            return list(starts)
        nodes = [b.var(start) for start in starts]
        going = b.var(b.const(True, BOOL))
        with b.while_(going.get):
            changed = b.i64(0)
            for step in range(STEPS):
                for node, lane in zip(nodes, lanes, strict=True):
                    old = node.get()
                    new = self._step(x.at(lane), old)
                    node.set(new)
                    if step == STEPS - 1:
                        changed = changed | (new ^ old)
            going.set(changed != 0)
        return [node.get() for node in nodes]

    def _step(self, x: Pointer, node: Value) -> Value:
        place = self.nodes.at(node)
        value = x.load(place.load(self.feature).to(dtypes.int64))
        test = value <= place.cast(self.spec.dtype).load()
        return place.load(test.to(dtypes.int64) + (self.feature + 1)).to(dtypes.int64)

    # -- weights -------------------------------------------------------------------------------------------------

    def _add(self, leaf: Value, row: Value) -> None:
        spec, b = self.spec, self.b
        line = self.scores.at(row * spec.columns)
        place = self.nodes.at(leaf)
        if spec.form == "inline":
            self._join(line, place.cast(spec.sums).load())
            return
        number = place.load().to(dtypes.int64)
        if spec.form == "sparse":
            self._add_sparse(line, number, row)
        elif spec.columns <= b.target.lanes(spec.sums.itemsize):
            for column in range(spec.columns):
                self._join(line.at(column), self.weights.load(number + column))
        else:
            lanes = b.target.lanes(spec.sums.itemsize)

            def body(column: Value, mask: Value | None) -> None:
                self._join(line.at(column), self.weights.load(number + column, lanes, mask), mask)

            b.vector_loop(spec.columns, lanes, body)

    def _add_sparse(self, line: Pointer, number: Value, row: Value) -> None:
        b = self.b
        first, columns = b.buffer(5, dtypes.int32), b.buffer(6, dtypes.int32)
        start, stop = (first.load(number + k).to(dtypes.int64) for k in (0, 1))
        with b.loop(stop, start) as entry:
            column = columns.load(entry).to(dtypes.int64)
            self._join(line.at(column), self.weights.load(entry))
            if self.spec.present:
                flag = b.const(1, U8)
                self._flags().store(flag, row * self.spec.columns + column)

    def _join(self, place: Pointer, weight: Value, mask: Value | None = None) -> None:
        b = self.b
        score = place.load(0, weight.lanes, mask)
        joined = {"add": b.add, "minimum": b.minimum, "maximum": b.maximum}[self.spec.aggregate](score, weight)
        place.store(joined, 0, mask)
