"""Einsum: sums of products over named dimensions, lowered to a matrix product where there are two operands."""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.axes import axis_of, row_major
from sardonyx.ops.base import Anchor, InferContext, LowerContext, View
from sardonyx.ops.composite import Builder, Reducible
from sardonyx.ops.product import SUPPORTED, Matrix, lower_product
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, known_equal

__all__ = ["Einsum"]


@dataclass(frozen=True)
class _Terms:
    """An equation with its ellipses spelled out: one label per dimension of each operand and of the result."""

    operands: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]


@op("Einsum")
class Einsum(Anchor, Reducible):
    """The Einstein summation of numpy.einsum.

    Two operands without repeated labels become one batched matrix product: labels of both operands and the result are
    batch, labels of both but not of the result are summed, all others are rows or columns. Other equations are made of
    such products, diagonals, sums and transpositions: operands are contracted one after the other, from the left.
    """

    equation: str

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        dtype = next((info.dtype for info in ctx.inputs if info is not None), None)
        shapes = [info.shape for info in ctx.inputs if info is not None]
        if any(shape is None for shape in shapes):
            return (TensorInfo(dtype, None),)
        sizes, terms = self._sizes(ctx), self._terms(ctx)
        return (TensorInfo(dtype, tuple(sizes[label] for label in terms.result)),)

    def _terms(self, ctx: InferContext) -> _Terms:
        """The equation for these ranks; fails where it is malformed or does not fit them."""
        left, arrow, right = self.equation.replace(" ", "").partition("->")
        written = left.split(",")
        ranks = [len(info.shape or ()) for info in ctx.inputs if info is not None]
        if len(written) != len(ranks):
            ctx.fail(f"equation {self.equation!r} has {len(written)} terms for {len(ranks)} operands")
        named = [term.replace("...", "") for term in written]
        if not all(set(term) <= set(string.ascii_letters) for term in (*named, right.replace("...", ""))):
            ctx.fail(f"equation {self.equation!r} is malformed: a term is letters with at most one ellipsis")
        widths = [rank - len(term) for rank, term in zip(ranks, named, strict=True)]
        for term, rank, width in zip(written, ranks, widths, strict=True):
            if width < 0 or (width > 0 and "..." not in term):
                ctx.fail(f"term {term!r} of equation {self.equation!r} does not fit an operand of rank {rank}")
        hidden = max((width for width, term in zip(widths, written, strict=True) if "..." in term), default=0)

        def spell(term: str, width: int) -> tuple[str, ...]:
            before, dots, after = term.partition("...")
            return (*before, *(f".{place}" for place in range(hidden - width, hidden) if dots), *after)

        operands = tuple(spell(term, width) for term, width in zip(written, widths, strict=True))
        if arrow:
            result = spell(right, hidden)
        else:
            counts = "".join(named)
            once = sorted(label for label in set(counts) if counts.count(label) == 1)
            result = (*(f".{place}" for place in range(hidden)), *once)
        unknown = set(result) - set(itertools.chain(*operands))
        if unknown or len(set(result)) != len(result):
            ctx.fail(f"the result of equation {self.equation!r} has labels that repeat or come from no operand")
        return _Terms(operands, result)

    def _sizes(self, ctx: InferContext) -> dict[str, Dim]:
        """The size of each label; dimensions of size 1 stretch."""
        sizes: dict[str, Dim] = {}
        infos = [info for info in ctx.inputs if info is not None]
        for term, info in zip(self._terms(ctx).operands, infos, strict=True):
            for label, size in zip(term, info.shape or (), strict=True):
                known = sizes.setdefault(label, size)
                if known == 1:
                    sizes[label] = size
                elif size != 1:
                    ctx.require_equal(known, size, f"label {label!r} of {self.equation!r} has sizes {known} and {size}")
        return sizes

    def lowers(self, ctx: InferContext) -> bool:
        infos = [info for info in ctx.inputs if info is not None]
        if len(infos) != 2 or infos[0].dtype not in SUPPORTED or any(info.shape is None for info in infos):
            return False
        terms, sizes = self._terms(ctx), self._sizes(ctx)
        for term, info in zip(terms.operands, infos, strict=True):
            stretched = not all(known_equal(s, sizes[label]) for label, s in zip(term, info.shape or (), strict=True))
            if len(set(term)) != len(term) or stretched:
                return False
        left, right = (set(term) for term in terms.operands)
        return (left ^ right) <= set(terms.result)

    def lower(self, ctx: LowerContext) -> None:
        terms = self._terms(ctx.infer)
        # The result's innermost dimension should be one of B's, so that vectors are stored as they are.
        left, right = (0, 1) if not terms.result or terms.result[-1] in terms.operands[1] else (1, 0)
        first, second = terms.operands[left], terms.operands[right]
        batch = [label for label in terms.result if label in first and label in second]
        rows = [label for label in terms.result if label in first and label not in second]
        columns = [label for label in terms.result if label in second and label not in first]
        summed = [label for label in first if label in second and label not in batch]
        a = _matrix(ctx, left, first, batch, rows, summed, adjacent=True)
        b = _matrix(ctx, right, second, batch, summed, columns, adjacent=False)
        out = ctx.output(0)
        places = {label: axis for axis, label in enumerate(terms.result)}
        loops = [[places[x] for x in group] for group in (batch, rows, columns)]
        c = Matrix(out, *(tuple(loop) for loop in loops))
        sizes = [out.shape[axis] for axis in loops[0]]
        constant = ctx.const(right) is not None
        epilogue = ctx.epilogue(loops if batch else loops[1:])
        lower_product(ctx, a, b, sizes, c, a.operand.dtype, epilogue, constant_b=constant)

    def expands(self, ctx: InferContext) -> bool:
        return all(info is not None and info.shape is not None and info.dtype is not None for info in ctx.inputs)

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        terms, sizes = self._terms(b.infer), self._sizes(b.infer)
        waiting = [_Factor(b.input(k), term) for k, term in enumerate(terms.operands)]
        waiting = [_plain(b, factor, sizes) for factor in waiting]
        total = waiting.pop(0)
        while waiting:
            other = waiting.pop(0)
            wanted = {*terms.result, *(label for factor in waiting for label in factor.labels)}
            total = _contracted(b, _summed(b, total, wanted | set(other.labels)), other, wanted)
        total = _summed(b, total, set(terms.result))
        missing = [label for label in terms.result if label not in total.labels]  # sizes of 1 that were squeezed
        value = b.unsqueeze(total.value, *range(len(missing))) if missing else total.value
        labels = (*missing, *total.labels)
        return (b.transpose(value, *(labels.index(label) for label in terms.result)) if labels else value,)


@dataclass(frozen=True)
class _Factor:
    """An operand while an equation is taken apart: a value and the labels of its dimensions, none of them twice."""

    value: ir.Value
    labels: tuple[str, ...]


def _plain(b: Builder, factor: _Factor, sizes: Mapping[str, Dim]) -> _Factor:
    """Diagonals taken where a label repeats, and dimensions of size 1 that stretch left out."""
    value, labels = factor.value, list(factor.labels)
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            value = b.op("Diagonal", value, domain="sardonyx", first=first, second=second)
            labels.pop(second)
    stretched = [k for k, size in enumerate(b.shape(value)) if size == 1 and sizes[labels[k]] != 1]
    if stretched:
        value = b.op("Squeeze", value, b.ints(*stretched))
    return _Factor(value, tuple(label for k, label in enumerate(labels) if k not in stretched))


def _summed(b: Builder, factor: _Factor, wanted: set[str]) -> _Factor:
    """A factor without the labels that nobody wants."""
    axes = [k for k, label in enumerate(factor.labels) if label not in wanted]
    if not axes:
        return factor
    value = b.op("ReduceSum", factor.value, b.ints(*axes), keepdims=0)
    return _Factor(value, tuple(label for label in factor.labels if label in wanted))


def _contracted(b: Builder, left: _Factor, right: _Factor, wanted: set[str]) -> _Factor:
    """The product of two factors, summed over what nobody wants: a matrix product, or pointwise for other types."""
    right = _summed(b, right, wanted | set(left.labels))
    labels = tuple(dict.fromkeys((*left.labels, *right.labels)))
    if b.dtype(left.value) in SUPPORTED:
        spelled = dict(zip(labels, string.ascii_letters, strict=False))
        kept = tuple(label for label in labels if label in wanted)
        parts = ["".join(spelled[label] for label in term) for term in (left.labels, right.labels, kept)]
        value = b.op("Einsum", left.value, right.value, equation=f"{parts[0]},{parts[1]}->{parts[2]}")
        return _Factor(value, kept)
    aligned = []
    for factor in (left, right):
        order = [factor.labels.index(label) for label in labels if label in factor.labels]
        value = b.transpose(factor.value, *order) if order else factor.value
        absent = [k for k, label in enumerate(labels) if label not in factor.labels]
        aligned.append(b.unsqueeze(value, *absent) if absent else value)
    return _summed(b, _Factor(b.op("Mul", *aligned), labels), wanted)


@op("Diagonal", "sardonyx")
class Diagonal(View):
    """The elements whose places along dimensions ``first`` and ``second`` are the same; the second is dropped."""

    first: int
    second: int

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x = ctx.input(0)
        if x.shape is None:
            return (TensorInfo(x.dtype, None),)
        first, second = (axis_of(ctx, axis, len(x.shape)) for axis in (self.first, self.second))
        if first >= second:
            ctx.fail(f"dimension {first} does not stand before {second}")
        ctx.require_equal(x.shape[first], x.shape[second], f"the sizes of a diagonal differ: {list(x.shape)}")
        return (TensorInfo(x.dtype, (*x.shape[:second], *x.shape[second + 1 :])),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand]:
        shape, strides = list(source.shape), list(source.strides)
        strides[self.first] = strides[self.first] + strides[self.second]
        del shape[self.second], strides[self.second]
        return (replace(source, shape=tuple(shape), strides=tuple(strides)),)


def _matrix(
    ctx: LowerContext,
    index: int,
    term: Sequence[str],
    batch: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    adjacent: bool,
) -> Matrix:
    """An operand as batch, rows and columns, copied where it is not evenly spaced, or its columns not ``adjacent``."""
    groups = [tuple(term.index(label) for label in labels) for labels in (batch, rows, columns)]
    matrix = Matrix(ctx.input(index), *groups)
    step = matrix.column_stride()
    if matrix.row_stride() is None or step is None or (adjacent and step != 1):
        order = [axis for group in groups for axis in group]
        operand = ctx.contiguous(index, order)
        steps = dict(zip(order, row_major([operand.shape[axis] for axis in order]), strict=True))
        matrix = Matrix(replace(operand, strides=tuple(steps[axis] for axis in range(operand.rank))), *groups)
    return matrix
