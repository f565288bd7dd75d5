"""Optionals: a value, or None. A tensor or a sequence is an optional that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.ops.base import InferContext, Op, View
from sardonyx.ops.joining import as_value, element_of
from sardonyx.ops.registry import op
from sardonyx.ops.types import type_info

__all__ = ["Optional", "OptionalGetElement", "OptionalHasElement"]


@op("Optional")
class Optional(Op):
    """An optional that holds the input; without one, an empty optional of ``type``."""

    any_rank = True
    type: ir.TypeAndShape | None = None

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        held = ctx.optional(0)
        if held is None:
            if self.type is None:
                ctx.fail("without an input it needs the attribute 'type'")
            held = type_info(self.type.type, self.type.shape)
        return (held if held.optional is not None else TensorInfo(optional=element_of(held)),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        return (values[0] if values else None,)


@op("OptionalHasElement")
class OptionalHasElement(Op):
    """Whether an optional holds something."""

    any_rank = True

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        given = ctx.optional(0)
        if given is None:
            return (TensorInfo(dtypes.bool_, (), (0,)),)
        certain = given.optional is None and (given.dtype is not None or given.sequence is not None)
        return (TensorInfo(dtypes.bool_, (), (1,) if certain else None),)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        return (np.array(bool(values) and values[0] is not None),)


@op("OptionalGetElement")
class OptionalGetElement(View):
    """What an optional holds."""

    any_rank = True

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        given = ctx.input(0)
        return (given if given.optional is None else as_value(given.optional, ctx.fresh),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        return (source,)

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        if not values or values[0] is None:
            raise ValueError("the optional holds nothing")
        return (values[0],)
