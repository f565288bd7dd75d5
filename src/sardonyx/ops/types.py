"""What a type of the file says of a value."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import ElementInfo, TensorInfo

__all__ = ["type_info"]


def type_info(kind: ir.TypeProtocol | None, shape: ir.Shape | None) -> TensorInfo:
    """A tensor's dtype, without sizes; for a sequence or an optional also what is known of the sizes inside."""
    if isinstance(kind, ir.SequenceType):
        return TensorInfo(sequence=_element(kind.elem_type, shape))
    if isinstance(kind, ir.OptionalType):
        return TensorInfo(optional=_element(kind.elem_type, shape))
    return TensorInfo(_dtype(kind))


def _element(kind: ir.TypeProtocol, shape: ir.Shape | None) -> ElementInfo:
    if isinstance(kind, ir.SequenceType):
        return ElementInfo(sequence=_element(kind.elem_type, shape))
    # a name stands for another size in each element
    sizes = None if shape is None else tuple(d if isinstance(d, int) and d >= 0 else None for d in shape)
    return ElementInfo(_dtype(kind), sizes)


def _dtype(kind: Any) -> DType | None:
    return dtypes.from_onnx(int(kind.dtype)) if isinstance(kind, ir.TensorType) else None
