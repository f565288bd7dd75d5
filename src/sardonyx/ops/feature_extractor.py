"""ArrayFeatureExtractor of ai.onnx.ml: columns chosen by data; how scikit-learn's classifiers look up their labels."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import IndexContext, Indexed, InferContext, Read
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim, product

__all__ = ["ArrayFeatureExtractor"]


@op("ArrayFeatureExtractor", "ai.onnx.ml")
class ArrayFeatureExtractor(Indexed):
    """The elements of the last dimension that the indices (input 1, of any shape, flattened) name.

    A vector counts as one row: the output always has rank 2 or more.
    """

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        data, indices = ctx.input(0), ctx.input(1)
        if data.shape is None or indices.shape is None:
            return (TensorInfo(data.dtype),)
        if not data.shape:
            ctx.fail("the data is a scalar; expected rank 1 or more")
        rows: tuple[Dim, ...] = data.shape[:-1] or (1,)
        return (TensorInfo(data.dtype, (*rows, product(indices.shape))),)

    def lowers(self, ctx: InferContext) -> bool:
        return ctx.input(0).shape is not None and ctx.input(1).shape is not None

    def index(self, ctx: IndexContext, position: tuple[Dim, ...]) -> Read:
        shape, indices = ctx.infer.input(0).shape or (), ctx.infer.input(1).shape or ()
        found = ctx.load_index(1, _unflattened(position[-1], indices), shape[-1])
        return Read(0, (*position[: len(shape) - 1], found))


def _unflattened(place: Dim, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The position in each dimension of the element at ``place`` in row-major order."""
    position: list[Dim] = []
    for axis, size in enumerate(shape):
        inner = product(shape[axis + 1 :])
        position.append(0 if size == 1 else place // inner if axis == 0 else place // inner % size)
    return tuple(position)
