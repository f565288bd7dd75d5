"""Scatter: elements or slices written to places that data names.

Both kernels split their tasks so that two tasks never write one element; updates of one element are applied in the
order of the indices, whatever the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.map import unravel
from sardonyx.kernels.point import STATUS_INDEX, compute_dtype
from sardonyx.kernels.sizes import emit_dim
from sardonyx.lang import KernelBuilder, Pointer, Value
from sardonyx.symbols import Dim, ceildiv, product

__all__ = ["REDUCTIONS", "ScatterElements", "ScatterSlices"]

REDUCTIONS = ("none", "add", "mul", "min", "max")
BLOCK = 1024
"""Elements of a slice in one task."""


def _combine(b: KernelBuilder, reduction: str, old: Value, new: Value) -> Value:
    if old.dtype is dtypes.bool_:
        return old & new if reduction in ("mul", "min") else old | new
    if reduction == "add":
        return old + new
    if reduction == "mul":
        return old * new
    return b.minimum(old, new) if reduction == "min" else b.maximum(old, new)


def _update(b: KernelBuilder, reduction: str, place: Pointer, new: Value, mask: Value | None = None) -> None:
    """One read-modify-write, in the compute dtype."""
    if reduction == "none":
        place.store(new, 0, mask)
        return
    compute = compute_dtype(place.dtype)
    old = place.load(0, new.lanes, mask)
    place.store(_combine(b, reduction, old.to(compute), new.to(compute)).to(place.dtype), 0, mask)


def _dim(b: KernelBuilder, dim: Dim) -> Value:
    return emit_dim(b, dim, lambda name: b.size(int(name[1:])))


def _wrapped(b: KernelBuilder, index: Value, bound: Value) -> Value:
    """An index in [-bound, bound) as one in [0, bound); any other ends the kernel with STATUS_INDEX."""
    wrapped = b.select(index < 0, index + bound, index)
    b.return_if((wrapped < 0) | (wrapped >= bound), STATUS_INDEX)
    return wrapped


@dataclass(frozen=True)
class ScatterElements:
    """``data[p with axis replaced by indices[p]] op= updates[p]`` for every position p of the indices, in place.

        for task in [begin, end):              # one position of the dimensions other than axis
            for k in 0 ... indices.shape[axis]: data[..., indices[..., k, ...], ...] op= updates[..., k, ...]

    ``extents`` is the shape of the indices, ``limits`` that of the data; all sizes and strides are ints or
    ``s0, s1 ...``. Buffers: 0 data, 1 indices, 2 updates.
    """

    dtype: DType
    index_dtype: DType
    axis: int
    reduction: str
    extents: tuple[Dim, ...]
    limits: tuple[Dim, ...]
    data_strides: tuple[Dim, ...]
    index_strides: tuple[Dim, ...]
    update_strides: tuple[Dim, ...]

    @property
    def name(self) -> str:
        return "scatter_elements"

    @staticmethod
    def tasks(extents: tuple[Dim, ...], axis: int) -> Dim:
        """The number of parallel tasks for given sizes."""
        return product(size for place, size in enumerate(extents) if place != axis)

    def emit(self, b: KernelBuilder) -> None:
        data, indices, updates = b.buffer(0, self.dtype), b.buffer(1, self.index_dtype), b.buffer(2, self.dtype)
        others = [place for place in range(len(self.extents)) if place != self.axis]
        sizes = [_dim(b, self.extents[place]) for place in others]
        limits = [_dim(b, limit) for limit in self.limits]
        strides = [[_dim(b, s) for s in row] for row in (self.data_strides, self.index_strides, self.update_strides)]
        count = _dim(b, self.extents[self.axis])
        with b.tasks() as task:
            position = unravel(b, task, sizes) if others else []
            starts = [b.i64(0), b.i64(0), b.i64(0)]
            for place, coordinate in zip(others, position, strict=True):
                b.return_if(coordinate >= limits[place], STATUS_INDEX)
                starts = [start + coordinate * row[place] for start, row in zip(starts, strides, strict=True)]
            with b.loop(count) as k:
                offset = [start + k * row[self.axis] for start, row in zip(starts[1:], strides[1:], strict=True)]
                index = indices.load(offset[0]).to(dtypes.int64)
                index = _wrapped(b, index, limits[self.axis])
                place_ = data.at(starts[0] + index * strides[0][self.axis])
                _update(b, self.reduction, place_, updates.load(offset[1]))


@dataclass(frozen=True)
class ScatterSlices:
    """``data[indices[n]] op= updates[n]`` for every index tuple n (ScatterND), in place; all buffers are row-major.

        for task in [begin, end):              # one block of the elements of a slice
            for n in 0 ... count:
                data[indices[n], block] op= updates[n, block]

    ``limits`` are the sizes of the dimensions that a tuple indexes, ``count`` the number of tuples, ``slice`` the
    elements of a slice. Buffers: 0 data, 1 indices [count, len(limits)], 2 updates [count, slice].
    """

    dtype: DType
    reduction: str
    limits: tuple[Dim, ...]
    count: Dim
    slice: Dim

    @property
    def name(self) -> str:
        return "scatter_slices"

    @staticmethod
    def tasks(slice_: Dim) -> Dim:
        """The number of parallel tasks for a slice of that many elements."""
        return ceildiv(slice_, BLOCK)

    def emit(self, b: KernelBuilder) -> None:
        data, indices, updates = b.buffer(0, self.dtype), b.buffer(1, dtypes.int64), b.buffer(2, self.dtype)
        limits = [_dim(b, limit) for limit in self.limits]
        size, count = _dim(b, self.slice), _dim(b, self.count)
        lanes = 1 if self.slice == 1 else b.target.lanes(compute_dtype(self.dtype).itemsize)
        with b.tasks() as task:
            start = task * BLOCK
            block = b.minimum(size - start, BLOCK)
            with b.loop(count) as n:
                row = b.i64(0)
                for k, limit in enumerate(limits):
                    index = indices.load(n * len(limits) + k)
                    row = row * limit + _wrapped(b, index, limit)
                target, source = data.at(row * size + start), updates.at(n * size + start)

                def body(i: Value, mask: Value | None, target: Pointer = target, source: Pointer = source) -> None:
                    _update(b, self.reduction, target.at(i), source.load(i, lanes, mask), mask)

                b.vector_loop(block, lanes, body)
