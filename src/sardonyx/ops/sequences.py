"""Sequences: lists of tensors of one dtype, made, read and changed on the host.

What is known of the elements, dtype and sizes, goes with a sequence, so that what is computed from them runs natively.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import ElementInfo, TensorInfo
from sardonyx.ops.axes import axis_of
from sardonyx.ops.base import Control, InferContext, Op
from sardonyx.ops.control import exported
from sardonyx.ops.joining import as_value, element_of, join_elements
from sardonyx.ops.registry import op
from sardonyx.ops.values import integers
from sardonyx.symbols import Dim

__all__ = [
    "ConcatFromSequence",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SequenceMap",
    "SplitToSequence",
]


class _OnHost(Op):
    any_rank = True

    def hosts(self, ctx: InferContext) -> bool:
        return True


def _elements(ctx: InferContext, index: int = 0) -> ElementInfo:
    """What is known of the elements of an input that is a sequence."""
    info = ctx.input(index)
    if info.sequence is not None:
        return info.sequence
    if info.dtype is not None or info.optional is not None:
        ctx.fail(f"input {index} must be a sequence, got {info.dtype or 'an optional'}")
    return ElementInfo()


def _tensor(ctx: InferContext, index: int) -> TensorInfo:
    info = ctx.input(index)
    if info.is_container:
        ctx.fail(f"input {index} must be a tensor, got a {'sequence' if info.sequence is not None else 'n optional'}")
    return info


def _one_dtype(ctx: InferContext, found: Sequence[DType | None]) -> None:
    names = dict.fromkeys(dtype for dtype in found if dtype is not None)
    if len(names) > 1:
        ctx.fail(f"the elements of a sequence have one type, got {' and '.join(d.name for d in names)}")


def _position(value: Any, count: int, what: str) -> int:
    """A position as 0 ... count - 1; ValueError outside [-count, count)."""
    position = int(np.asarray(value).item())
    if not -count <= position < count:
        raise ValueError(f"position {position} is outside of a sequence of {what}")
    return position % count


def _count(sequence: Sequence[Any]) -> str:
    return f"{len(sequence)} element{'' if len(sequence) == 1 else 's'}"


@op("SequenceEmpty")
class SequenceEmpty(_OnHost):
    """A sequence without elements; ``dtype`` is the type that they would have."""

    dtype: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        try:
            kind = dtypes.from_onnx(self.dtype)
        except KeyError:
            ctx.fail(f"dtype {self.dtype} is not defined by ONNX")
        return (TensorInfo(sequence=ElementInfo(kind, empty=True)),)

    def host(self, *values: Any) -> Sequence[Any]:
        return ([],)


@op("SequenceConstruct")
class SequenceConstruct(_OnHost):
    """The inputs as a sequence."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        if not ctx.inputs:
            ctx.fail("it takes at least one input")
        given = [_tensor(ctx, index) for index in range(len(ctx.inputs))]
        _one_dtype(ctx, [info.dtype for info in given])
        return (TensorInfo(sequence=reduce(join_elements, map(element_of, given))),)

    def host(self, *values: Any) -> Sequence[Any]:
        return (list(values),)


@op("SequenceInsert")
class SequenceInsert(_OnHost):
    """The sequence with a tensor (input 1) put in front of a position (input 2), or at its end."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        elements, given = _elements(ctx), _tensor(ctx, 1)
        _one_dtype(ctx, [elements.dtype, given.dtype])
        return (TensorInfo(sequence=join_elements(elements, element_of(given))),)

    def host(self, *values: Any) -> Sequence[Any]:
        sequence, item, *place = values
        result = list(sequence)
        if place and place[0] is not None:
            position = int(np.asarray(place[0]).item())
            if not -len(result) <= position <= len(result):
                raise ValueError(f"position {position} is outside of a sequence of {_count(result)}")
            result.insert(position + len(result) if position < 0 else position, item)
        else:
            result.append(item)
        return (result,)


@op("SequenceErase")
class SequenceErase(_OnHost):
    """The sequence without the element at a position (input 1), or without its last one."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (TensorInfo(sequence=_elements(ctx)),)

    def host(self, *values: Any) -> Sequence[Any]:
        sequence, *place = values
        result = list(sequence)
        del result[_position(place[0] if place and place[0] is not None else -1, len(result), _count(result))]
        return (result,)


@op("SequenceAt")
class SequenceAt(_OnHost):
    """The element at a position (input 1)."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (as_value(_elements(ctx), ctx.fresh),)

    def host(self, *values: Any) -> Sequence[Any]:
        sequence, position = values
        return (sequence[_position(position, len(sequence), _count(sequence))],)


@op("SequenceLength")
class SequenceLength(_OnHost):
    """The number of elements."""

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        _elements(ctx)
        return (TensorInfo(dtypes.int64, ()),)

    def host(self, *values: Any) -> Sequence[Any]:
        return (np.array(len(values[0]), np.int64),)


@op("SplitToSequence")
class SplitToSequence(_OnHost):
    """The parts of one axis as a sequence: of the sizes in input 1, of the one size that it is (the last part may be
    smaller), or of 1; without ``keepdims`` these last lose the axis."""

    axis: int = 0
    keepdims: int = 1

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, split = _tensor(ctx, 0), ctx.optional(1)
        if data.shape is None:
            return (TensorInfo(sequence=ElementInfo(data.dtype)),)
        axis = axis_of(ctx, self.axis, len(data.shape))
        before, after = data.shape[:axis], data.shape[axis + 1 :]
        if split is None:
            middle: tuple[Dim | None, ...] = (1,) if self.keepdims else ()
        else:
            middle = (self._part(ctx, split, data.shape[axis]),)
        return (TensorInfo(sequence=ElementInfo(data.dtype, (*before, *middle, *after))),)

    @staticmethod
    def _part(ctx: InferContext, split: TensorInfo, size: Dim) -> int | None:
        """The size of all parts, where it is known and one."""
        sizes = integers(ctx, 1)
        if sizes is None:
            return None
        if any(isinstance(part, int) and part < 0 for part in sizes) or (split.shape == () and sizes[0] == 0):
            ctx.fail(f"sizes to split into must be positive, got {list(sizes)}")
        first = sizes[0] if sizes else None
        if not isinstance(first, int) or any(part != first for part in sizes):
            return None
        whole = split.shape != () or (isinstance(size, int) and size % first == 0)
        return first if whole else None

    def host(self, *values: Any) -> Sequence[Any]:
        data, *split = values
        array = np.asarray(data)
        if not -array.ndim <= self.axis < array.ndim:
            raise ValueError(f"axis {self.axis} is outside of a tensor of shape {array.shape}")
        moved = np.moveaxis(array, self.axis, 0)
        if not split or split[0] is None:
            bounds = list(range(len(moved) + 1))
        else:
            bounds = _bounds(np.asarray(split[0]), len(moved))
        parts = [moved[begin:end] for begin, end in pairwise(bounds)]
        if (not split or split[0] is None) and not self.keepdims:
            return ([np.ascontiguousarray(part[0, ...]).reshape(part.shape[1:]) for part in parts],)
        return ([np.ascontiguousarray(np.moveaxis(part, 0, self.axis)) for part in parts],)


def _bounds(split: Any, size: int) -> list[int]:
    """Where the parts of an axis begin, and the axis' end."""
    if split.ndim == 0:
        step = int(split)
        if step <= 0:
            raise ValueError(f"the size to split into must be positive, got {step}")
        return [*range(0, size, step), size] if size else [0]
    sizes = [int(part) for part in split.reshape(-1)]
    if sum(sizes) != size or any(part < 0 for part in sizes):
        raise ValueError(f"sizes {sizes} to split into do not add up to the axis' size {size}")
    return [0, *accumulate(sizes)]


@op("ConcatFromSequence")
class ConcatFromSequence(_OnHost):
    """The elements joined along an axis, or with ``new_axis`` stacked along a new one."""

    axis: int
    new_axis: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        elements = _elements(ctx)
        if elements.shape is None or elements.sequence is not None:
            return (TensorInfo(elements.dtype),)
        rank = len(elements.shape) + (1 if self.new_axis else 0)
        axis = axis_of(ctx, self.axis, rank)
        sizes = [ctx.fresh("element") if size is None else size for size in elements.shape]
        if self.new_axis:
            sizes.insert(axis, ctx.fresh("elements"))
        else:
            sizes[axis] = ctx.fresh("elements")
        return (TensorInfo(elements.dtype, tuple(sizes)),)

    def host(self, *values: Any) -> Sequence[Any]:
        (sequence,) = values
        if not sequence:
            raise ValueError("a sequence without elements cannot be joined")
        shapes = [np.shape(item) for item in sequence]
        rank = len(shapes[0]) + (1 if self.new_axis else 0)
        if not -rank <= self.axis < rank:
            raise ValueError(f"axis {self.axis} is outside [{-rank}, {rank})")
        axis = self.axis % rank
        alike = {shape if self.new_axis else (*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(alike) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ValueError(f"elements of shapes {shapes[:8]} cannot be joined along axis {axis}")
        return (np.stack(sequence, axis) if self.new_axis else np.concatenate(sequence, axis),)


@op("SequenceMap")
class SequenceMap(Control):
    """The results of ``body`` for each element of a sequence, and of further sequences of the same length; tensors
    among the inputs go to every one."""

    body: ir.Graph

    def bodies(self) -> tuple[ir.Graph, ...]:
        return (self.body,)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        _elements(ctx)
        if len(self.body.inputs) != len(ctx.inputs) or len(self.body.outputs) < ctx.outputs:
            ctx.fail(
                f"the body must have {len(ctx.inputs)} inputs and {ctx.outputs} outputs, got {len(self.body.inputs)} "
                f"and {len(self.body.outputs)}"
            )
        given = [ctx.input(index) for index in range(len(ctx.inputs))]
        ports = [info if info.sequence is None else as_value(info.sequence, ctx.fresh) for info in given]
        made = ctx.body(self.body, ports)[: ctx.outputs]
        return [exported(ctx, TensorInfo(sequence=element_of(info))) for info in made]
