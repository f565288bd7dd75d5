"""An open batch for exporters that write the batch of their example into the model.

Two exports of one source, with batches of two sizes, must have the same nodes; what differs between them are constants
that hold the batch. Numbers of the form ``a x batch + c`` (new shapes, ends of slices) are computed from the first
input, and arrays that repeat one row (initial states) are repeated as often as the batch is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["SIZES", "BakedBatchError", "with_open_batch"]

SIZES = (5, 7)
"""The batches of the two exports."""


class BakedBatchError(Exception):
    """The exports differ in more than constants that can be computed from the batch; says in what."""


def with_open_batch(few: onnx.ModelProto, more: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A model of any batch, from exports with batches of ``SIZES``; ``name`` is the axis'. Raises BakedBatchError."""
    if len(few.graph.node) != len(more.graph.node):
        raise BakedBatchError("its steps depend on the number of rows")
    opened = _Opened(few, _constants(more))
    for one, other in zip(few.graph.node, more.graph.node, strict=True):
        if one.op_type != "Constant" and one.SerializeToString() != other.SerializeToString():
            raise BakedBatchError(f"its {one.op_type} {one.name or one.output[0]} depends on the number of rows")
    model = opened.model()
    pairs = [(model.graph.input, more.graph.input), (model.graph.output, more.graph.output)]
    for values, others in pairs:
        for value, other in zip(values, others, strict=True):
            _open(value, other, name)
    return model


def _open(value: onnx.ValueInfoProto, other: onnx.ValueInfoProto, name: str) -> None:
    """Opens the axes in which a value and its counterpart differ; those that are no batch have no name."""
    dims = value.type.tensor_type.shape.dim
    for one, two in zip(dims, other.type.tensor_type.shape.dim, strict=True):
        if one.dim_value != two.dim_value:
            is_batch = (one.dim_value, two.dim_value) == SIZES
            one.ClearField("value")
            if is_batch:
                one.dim_param = name


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Tensors by name: initializers and Constant nodes."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found


class _Opened:
    """The nodes that compute what depends on the batch, and the model with them."""

    def __init__(self, few: onnx.ModelProto, others: Mapping[str, onnx.TensorProto]) -> None:
        self._few = few
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._batch = ""
        self._changed: set[str] = set()
        for name, tensor in _constants(few).items():
            if name not in others:
                raise BakedBatchError(f"its constant {name} depends on the number of rows")
            self._compare(name, numpy_helper.to_array(tensor), numpy_helper.to_array(others[name]))

    def _compare(self, name: str, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
        if one.shape == other.shape:
            if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                self._changed.add(name)
                self._line(name, one, other)
            return
        self._changed.add(name)
        axes = [axis for axis, (a, b) in enumerate(zip(one.shape, other.shape, strict=False)) if a != b]
        if one.ndim != other.ndim or len(axes) != 1 or not one.shape[axes[0]]:
            raise BakedBatchError(f"its constant {name} depends on the number of rows")
        row, same = (np.take(array, [0], axes[0]) for array in (one, other))
        if np.any(one != row) or np.any(other != same) or np.any(row != same):
            raise BakedBatchError(f"its constant {name} has rows that differ")
        self._line(f"{name}/shape", np.asarray(one.shape), np.asarray(other.shape))
        self._nodes.append(helper.make_node("Expand", [self._weight(f"{name}/row", row), f"{name}/shape"], [name]))

    def _line(self, name: str, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
        """Computes integers as ``slope x batch + base``."""
        if one.dtype.kind not in "iu":
            raise BakedBatchError(f"its constant {name} depends on the number of rows")
        apart = SIZES[1] - SIZES[0]
        slope = (other.astype(np.int64) - one) // apart
        if np.any(slope * apart + one != other):
            raise BakedBatchError(f"its constant {name} depends on the number of rows")
        base = one - slope * SIZES[0]
        scaled = self._node("Mul", [self._rows(), self._weight(f"{name}/slope", slope.astype(np.int64))], f"{name}/x")
        if one.ndim == 0:
            scaled = self._node("Squeeze", [scaled], f"{name}/scalar")
        if one.dtype == np.int64:
            self._node("Add", [scaled, self._weight(f"{name}/base", base)], name)
            return
        moved = self._node("Add", [scaled, self._weight(f"{name}/base", base.astype(np.int64))], f"{name}/moved")
        kind = helper.np_dtype_to_tensor_dtype(one.dtype)
        self._nodes.append(helper.make_node("Cast", [moved], [name], to=kind))

    def _rows(self) -> str:
        """The batch as a vector of one number: the size of the first input's first axis."""
        if not self._batch:
            shape = self._node("Shape", [self._few.graph.input[0].name], "batch/shape")
            first = self._weight("batch/first", np.zeros(1, np.int64))
            self._batch = self._node("Gather", [shape, first], "batch/rows")
        return self._batch

    def _node(self, kind: str, inputs: list[str], output: str) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output))
        return output

    def _weight(self, name: str, values: npt.NDArray[Any]) -> str:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def model(self) -> onnx.ModelProto:
        made = onnx.ModelProto()
        made.CopyFrom(self._few)
        kept = [tensor for tensor in self._few.graph.initializer if tensor.name not in self._changed]
        del made.graph.initializer[:], made.graph.node[:], made.graph.value_info[:]
        made.graph.initializer.extend([*kept, *self._weights])
        made.graph.node.extend([*self._nodes, *self._unchanged()])
        return made

    def _unchanged(self) -> Iterator[onnx.NodeProto]:
        for node in self._few.graph.node:
            if node.op_type != "Constant" or node.output[0] not in self._changed:
                yield node
