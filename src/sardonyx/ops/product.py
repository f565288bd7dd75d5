"""Lowering of matrix products: MatMul, Gemm and whatever can be written as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.blocks import Unpack
from sardonyx.kernels.dot import Atom, plain_atom
from sardonyx.kernels.gemm import Gemm
from sardonyx.kernels.gemm_grid import plan_grid
from sardonyx.kernels.gemm_tile import TileShape
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.kernels.slots import Slots
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import Fused, InferContext, LowerContext
from sardonyx.symbols import Dim, ceildiv, known_equal, minimum, product, symbol

__all__ = ["SUPPORTED", "Matrix", "Right", "lower_product", "require_broadcast"]

SUPPORTED = (
    dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16, dtypes.int32, dtypes.int64, dtypes.uint32,
    dtypes.uint64,
)  # fmt: skip
"""Element types that products are computed on."""

UNPACKED_ROWS = 32
"""Fewest rows of A for which a B made at run time is packed: fewer would not read it often enough to pay."""


def require_broadcast(ctx: InferContext, own: Dim, size: Dim, message: str) -> None:
    """A dimension must be 1 or ``size``: checked now where that can be seen, else when the model runs."""
    if isinstance(own, int) and isinstance(size, int) and own not in (1, size):
        ctx.fail(message)
    ctx.require_equal((own - 1) * (own - size), 0, message)


def merge(shape: Sequence[Dim], strides: Sequence[Dim]) -> list[tuple[Dim, Dim]]:
    """(size, stride) of the fewest loops that walk dimensions in row-major order."""
    loops: list[tuple[Dim, Dim]] = []
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if loops and known_equal(loops[-1][1], stride * size):
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    return loops


def walk(slots: Slots, position: Dim, shape: Sequence[Dim], strides: Sequence[Dim]) -> Dim:
    """The offset of a flat row-major position in dimensions of given strides, as the kernel sees it."""
    loops = merge(shape, strides)
    offset: Dim = 0
    for place, (size, stride) in reversed(list(enumerate(loops))):
        index = position % slots.add(size) if place else position
        offset = offset + index * slots.add(stride)
        position = position // slots.add(size) if place else position
    return offset


@dataclass(frozen=True)
class Matrix:
    """One operand of a product: the dimensions of an operand that are batch, rows and columns, outermost first."""

    operand: Operand
    batch: tuple[int, ...]
    row: tuple[int, ...]
    column: tuple[int, ...]

    def sizes(self, axes: Sequence[int]) -> list[Dim]:
        return [self.operand.shape[axis] for axis in axes]

    def strides(self, axes: Sequence[int]) -> list[Dim]:
        return [self.operand.strides[axis] for axis in axes]

    @property
    def rows(self) -> Dim:
        return product(self.sizes(self.row))

    @property
    def columns(self) -> Dim:
        return product(self.sizes(self.column))

    def column_stride(self) -> Dim | None:
        """The distance of columns; None where columns of several dimensions are not evenly spaced."""
        loops = merge(self.sizes(self.column), self.strides(self.column))
        if not loops:
            return 1
        return loops[0][1] if len(loops) == 1 else None

    def row_stride(self) -> Dim | None:
        """The distance of rows; None where rows of several dimensions are not evenly spaced."""
        loops = merge(self.sizes(self.row), self.strides(self.row))
        if not loops:
            return self.columns
        return loops[0][1] if len(loops) == 1 else None


@dataclass(frozen=True)
class Right:
    """The right operand as the kernel takes it; ``unpack`` says how to make floats of it, with ``beside`` it."""

    operand: Operand
    batch: Dim = 0
    row: Dim | None = None
    unpack: Unpack | None = None
    beside: tuple[Operand, ...] = ()


def lower_product(
    ctx: LowerContext,
    a: Matrix,
    b: Matrix,
    batch: Sequence[Dim],
    c: Matrix,
    dtype: DType,
    epilogue: Fused,
    *,
    constant_b: bool,
    scale: Fused | None = None,
    atom: Atom | None = None,
    right: Right | None = None,
) -> None:
    """Emits C = epilogue(scale(A B)) for each element of ``batch``, to which the batches of A and B are broadcast.

    A's rows must be evenly spaced with adjacent elements. ``epilogue`` runs over (batch,) m, n: without ``batch``, over
    m, n. ``atom`` is the multiply-accumulate where it is not that of one element of ``dtype``, A's;
    ``right`` is B where it lies packed already.
    """
    m, n, k = a.rows, b.columns, a.columns
    atom = atom or plain_atom(dtype)
    sums = atom.sums
    grid = plan_grid(ctx.target, sums, m, n, ceildiv(k, atom.depth))
    slots = Slots()
    right = right or _right(ctx, slots, b, batch, grid.shape, m, atom, constant_b)
    places: list[Dim] = [symbol("i0"), symbol("i1"), symbol("i2")] if batch else [0, symbol("i0"), symbol("i1")]
    c_offset: Dim = 0
    for place, axes in zip(places, (c.batch, c.row, c.column), strict=True):
        c_offset = c_offset + walk(slots, place, c.sizes(axes), c.strides(axes))
    stride = a.row_stride()
    if stride is None:
        raise AssertionError("rows that are not evenly spaced")
    spec = Gemm(
        m=slots.add(m),
        n=slots.add(n),
        k=slots.add(k),
        a_dtype=dtype,
        dtype=sums,
        a_row=slots.add(stride),
        c_dtype=c.operand.dtype,
        c_offset=c_offset,
        epilogue=epilogue.program,
        batch=slots.add(product(batch)) if batch else None,
        a_batch=_batch_offset(slots, a, batch),
        b_batch=right.batch,
        b_row=right.row,
        scale=None if scale is None else scale.program,
        atom=atom if atom.depth > 1 else None,
        unpack=right.unpack,
    )
    spec = replace(spec, sizes=len(slots.sizes))
    fused = [part for part in (scale, epilogue) if part is not None]
    operands = [a.operand, right.operand, c.operand, *right.beside, *(o for part in fused for o in part.operands)]
    sizes = [*slots.sizes, *(s for part in fused for s in part.sizes)]
    count = product(batch)
    ctx.call(spec, operands, sizes, grid.tasks * count, 2 * m * n * k * count)


def _batch_offset(slots: Slots, matrix: Matrix, batch: Sequence[Dim]) -> Dim:
    """The offset of batch element i0, whose dimensions are ``batch``, in a matrix that may be broadcast to it."""
    strides: list[Dim] = [0] * (len(batch) - len(matrix.batch))
    for axis, size in zip(matrix.batch, batch[len(strides) :], strict=True):
        own, stride = matrix.operand.shape[axis], matrix.operand.strides[axis]
        # Where only a run can tell whether there is one element, the stride is an expression that is 0 then.
        certain = isinstance(own, int) or known_equal(own, size)
        strides.append(0 if own == 1 else stride if certain else stride * minimum(own - 1, 1))
    return walk(slots, symbol("i0"), batch, strides)


def _right(
    ctx: LowerContext,
    slots: Slots,
    b: Matrix,
    batch: Sequence[Dim],
    shape: TileShape,
    m: Dim,
    atom: Atom,
    constant: bool,
) -> Right:
    """B packed when the model is loaded, packed now, or taken as it lies."""
    k, n, sums = b.rows, b.columns, atom.sums
    own_batch = b.sizes(b.batch)
    few_rows = isinstance(m, int) and m < UNPACKED_ROWS
    row, column = b.row_stride(), b.column_stride()
    if row is None or column is None:
        raise AssertionError("rows or columns that are not evenly spaced")
    if not constant and few_rows and isinstance(n, int) and column == 1 and b.operand.dtype == sums:
        return Right(b.operand, _batch_offset(slots, b, batch), slots.add(row))
    inner = Slots()
    source = walk(inner, symbol("i0"), own_batch, b.strides(b.batch))
    strides = (inner.add(row), inner.add(column))
    pack = Pack.of(
        shape, inner.add(k), inner.add(n), b.operand.dtype, sums, strides, source, atom if atom.depth > 1 else None
    )
    each, count = packed_size(k, n, shape.columns, atom.depth), product(own_batch)
    tasks = ceildiv(n, shape.columns) * count
    total = each * count
    if constant and isinstance(total, int) and isinstance(tasks, int):
        packed = ctx.prepared(sums, total, pack, [b.operand], inner.sizes, tasks)
    else:
        packed = ctx.scratch(sums, total)
        ctx.call(pack, [packed, b.operand], inner.sizes, tasks, k * n * count)
    steps: list[Dim] = []
    step: Dim = each
    for size in reversed(own_batch):
        steps.insert(0, step)
        step = step * size
    as_packed = replace(
        b, operand=Operand(packed.buffer, sums, (*own_batch,), (*steps,)), batch=tuple(range(len(own_batch)))
    )
    return Right(packed, _batch_offset(slots, as_packed, batch))
