"""Copies between strided views in a lowering."""

from __future__ import annotations

from sardonyx.kernels.spec import Operand
from sardonyx.kernels.transpose import Transpose
from sardonyx.ops.base import LowerContext

__all__ = ["copy"]


def copy(ctx: LowerContext, source: Operand, target: Operand) -> None:
    """Copies ``source`` to ``target``, which has its shape and dtype."""
    kernel, sizes, tasks = Transpose.plan(target.shape, source.strides, target.strides, target.dtype)
    ctx.call(kernel, [source, target], sizes, tasks)
