"""Operators that are compositions of others: they are replaced by those before anything else looks at a graph.

    @op("BiasGelu", "com.microsoft")
    class BiasGelu(Composite):
        inputs = (2, 2)

        def expand(self, b: Builder) -> Sequence[ir.Value]:
            return (b.op("Gelu", b.op("Add", b.input(0), b.input(1))),)

``passes/composites.py`` does the replacing, node by node with inference, so that ``expand`` knows types and symbolic
sizes. No pass and no kernel ever sees such an operator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from sardonyx.dtypes import DType
from sardonyx.errors import InvalidModelError, UnsupportedOpError
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op
from sardonyx.symbols import Dim

__all__ = ["Builder", "Composite", "Reducible"]


class Reducible(Op):
    """An operator that ``expand`` writes in terms of others where it has no lowering for its inputs."""

    def expands(self, ctx: InferContext) -> bool:
        """Whether ``expand`` can do it for these inputs."""
        return True

    def expand(self, b: Builder) -> Sequence[ir.Value | None]:
        """The values of the outputs (None: not produced), made of the node's inputs with ``b``."""
        raise NotImplementedError(type(self).__name__)


class Composite(Reducible):
    """An operator that is always expanded. ``inputs`` are the fewest and the most that it takes, the last of which is
    None for any number."""

    any_rank = True
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo] | None:
        """Before it is expanded, only what the model declares of its outputs is known."""
        return None


class Builder(ABC):
    """What ``Composite.expand`` builds with: new nodes in front of one node, inferred as they are made."""

    def __init__(self, node: ir.Node, label: str) -> None:
        self.node = node
        self._label = f"node {label!r} ({node.domain or 'ai.onnx'}::{node.op_type})"

    @abstractmethod
    def ops(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        outputs: int = 1,
        domain: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """A new node of the newest opset; its outputs."""

    @abstractmethod
    def constant(self, array: npt.NDArray[Any]) -> ir.Value:
        """A new constant."""

    @abstractmethod
    def info(self, value: ir.Value) -> TensorInfo:
        """What is known of a value."""

    @property
    @abstractmethod
    def infer(self) -> InferContext:
        """The node's context of inference, for a ``Reducible``."""

    # -- the node ------------------------------------------------------------------------------------------------

    def optional(self, index: int) -> ir.Value | None:
        """An input that may be left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def input(self, index: int) -> ir.Value:
        """An input that must be there."""
        value = self.optional(index)
        if value is None:
            self.fail(f"input {index} is required")
        return value

    def wants(self, index: int) -> bool:
        """Whether the file names an output."""
        return index < len(self.node.outputs) and bool(self.node.outputs[index].name)

    def fail(self, message: str) -> NoReturn:
        """The model is wrong here."""
        raise InvalidModelError(f"{self._label}: {message}")

    def unsupported(self, message: str) -> NoReturn:
        """The operator allows it, but it cannot be run."""
        raise UnsupportedOpError(f"{self._label}: {message}")

    # -- values --------------------------------------------------------------------------------------------------

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        shape = self.info(value).shape
        if shape is None:
            self.unsupported(f"the rank of {value.name!r} is not known")
        return shape

    def rank(self, value: ir.Value) -> int:
        return len(self.shape(value))

    def dtype(self, value: ir.Value) -> DType:
        dtype = self.info(value).dtype
        if dtype is None:
            self.unsupported(f"the element type of {value.name!r} is not known")
        return dtype

    def of_rank(self, index: int, *ranks: int) -> ir.Value:
        """A required input that must have one of these ranks."""
        value = self.input(index)
        if self.rank(value) not in ranks:
            wanted = " or ".join(map(str, ranks))
            self.fail(f"input {index} must have rank {wanted}, got shape {[*map(str, self.shape(value))]}")
        return value

    def known(self, size: Dim, what: str) -> int:
        """A size that must be a number when the model is compiled."""
        if not isinstance(size, int):
            self.unsupported(f"{what} must be a constant, got {size}")
        return size

    # -- new values ----------------------------------------------------------------------------------------------

    def op(self, op_type: str, *inputs: ir.Value | None, domain: str = "", **attributes: Any) -> ir.Value:
        """A new node of the newest opset with one output."""
        return self.ops(op_type, inputs, 1, domain, attributes)[0]

    def ints(self, *numbers: int) -> ir.Value:
        """An int64 constant of rank 1."""
        return self.constant(np.array(numbers, np.int64))

    def number(self, number: float, like: ir.Value | DType) -> ir.Value:
        """A scalar constant of an element type."""
        dtype = like if isinstance(like, DType) else self.dtype(like)
        return self.constant(np.asarray(number).astype(dtype.numpy))

    def cast(self, value: ir.Value, dtype: DType) -> ir.Value:
        """The value in another element type; itself where it has that."""
        return value if self.info(value).dtype == dtype else self.op("Cast", value, to=dtype.onnx)

    def size(self, value: ir.Value, axis: int) -> ir.Value:
        """One size of a value as an int64 tensor of shape [1]."""
        axis %= self.rank(value)
        return self.op("Shape", value, start=axis, end=axis + 1)

    def sizes(self, *parts: int | ir.Value) -> ir.Value:
        """Numbers and int64 tensors of rank 1, one behind the other."""
        if all(isinstance(part, int) for part in parts):
            return self.ints(*(part for part in parts if isinstance(part, int)))
        return self.op("Concat", *(self.ints(part) if isinstance(part, int) else part for part in parts), axis=0)

    def reshape(self, value: ir.Value, *parts: int | ir.Value) -> ir.Value:
        """Reshape; 0 keeps a size, -1 is what is left."""
        return self.op("Reshape", value, self.sizes(*parts))

    def transpose(self, value: ir.Value, *perm: int) -> ir.Value:
        return self.op("Transpose", value, perm=list(perm))

    def unsqueeze(self, value: ir.Value, *axes: int) -> ir.Value:
        return self.op("Unsqueeze", value, self.ints(*axes))

    def slice(self, value: ir.Value, axis: int, start: int | ir.Value, end: int | ir.Value) -> ir.Value:
        """The elements from ``start`` to before ``end`` along an axis."""
        return self.op("Slice", value, self.sizes(start), self.sizes(end), self.ints(axis))

    def split(self, value: ir.Value, axis: int, *sizes: int) -> Sequence[ir.Value]:
        """Parts of given sizes along an axis."""
        return self.ops("Split", [value, self.ints(*sizes)], len(sizes), attributes={"axis": axis})
