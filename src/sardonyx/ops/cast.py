"""Conversion of element types: Cast, CastLike, BitCast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.kernels.spec import Operand
from sardonyx.lang import Value, promoted
from sardonyx.ops.base import Elementwise, InferContext, View, computable
from sardonyx.ops.cast_text import from_text, to_text
from sardonyx.ops.registry import op
from sardonyx.symbols import Dim

__all__ = ["cast"]


def cast(x: Value, dtype: DType, saturate: bool = True, round_mode: str = "up") -> Value:
    """A value as ``Cast`` converts it, in the dtype that ``dtype`` is computed in.

    A float out of an integer's range is not defined by ONNX: 32 and 64 bits saturate, narrower integers take the low
    bits of the 32-bit result, as x86 compilers have it.
    """
    if x.dtype.is_float and dtype.is_integer and dtype.bits < 32:
        x = x.to(dtypes.int32)
    elif dtype.is_float and dtype.bits <= 8:
        x = x.b.narrow(x.b.single(x), dtype, saturate=saturate, round_mode=round_mode)
    return x.to(dtype).to(promoted(dtype) or dtype)


def _named(ctx: InferContext, code: int) -> DType:
    try:
        return dtypes.from_onnx(code)
    except KeyError:
        ctx.fail(f"attribute 'to' is {code}, which is no element type of ONNX")


def _concerns_text(source: DType | None, target: DType | None) -> bool:
    return source is not None and target is not None and dtypes.string in (source, target)


def _cast_text(x: npt.NDArray[Any], dtype: DType, saturate: bool) -> npt.NDArray[Any]:
    return to_text(x) if dtype is dtypes.string else from_text(x, dtype, saturate=saturate)


def _check_round_mode(ctx: InferContext, mode: str) -> None:
    if mode not in ("up", "down", "nearest"):
        ctx.fail(f"attribute 'round_mode' must be up, down or nearest, got {mode!r}")


@op("Cast")
class Cast(Elementwise):
    """x as the type ``to`` (a ``TensorProto.DataType``).

    ``saturate`` concerns 8-bit floats: whether what is too large becomes the greatest number, not infinity or NaN;
    ``round_mode`` (up, down, nearest) float8_e8m0fnu.
    """

    to: int
    saturate: int = 1
    round_mode: str = "up"

    def compute(self, *values: Value) -> Value:
        (x,) = values
        return cast(x, dtypes.from_onnx(self.to), bool(self.saturate), self.round_mode)

    def symbolic(self, *values: Dim) -> Dim | None:
        (x,) = values
        if self.to == dtypes.bool_.onnx:
            return int(x != 0) if isinstance(x, int) else None
        return x

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        _check_round_mode(ctx, self.round_mode)
        return (_named(ctx, self.to),)

    def hosts(self, ctx: InferContext) -> bool:
        return _concerns_text(ctx.input(0).dtype, _named(ctx, self.to))

    def host(self, *values: Any) -> Sequence[Any]:
        return (_cast_text(values[0], dtypes.from_onnx(self.to), bool(self.saturate)),)

    def lowers(self, inputs: Sequence[DType | None]) -> bool:
        return super().lowers(inputs) and computable(dtypes.from_onnx(self.to))


@op("CastLike")
class CastLike(Elementwise):
    """The first input as the type of the second."""

    required = 2
    same_dtype = ()
    saturate: int = 1
    round_mode: str = "up"

    def specialise(self, inputs: Sequence[DType | None]) -> tuple[Elementwise, tuple[int, ...]]:
        _, like = inputs
        if like is None:
            return super().specialise(inputs)
        return Cast(like.onnx, self.saturate, self.round_mode), (0,)

    def symbolic(self, *values: Dim) -> Dim | None:
        x, _ = values
        return x

    def result_dtypes(self, ctx: InferContext) -> tuple[DType | None, ...]:
        _check_round_mode(ctx, self.round_mode)
        return (ctx.input(1).dtype,)

    def hosts(self, ctx: InferContext) -> bool:
        return _concerns_text(ctx.input(0).dtype, ctx.input(1).dtype)

    def host(self, *values: Any) -> Sequence[Any]:
        x, like = values
        return (_cast_text(x, dtypes.from_numpy(like.dtype), bool(self.saturate)),)

    def result_shape(self, ctx: InferContext) -> tuple[Dim, ...] | None:
        return ctx.input(0).shape


@op("BitCast")
class BitCast(View):
    """The same bits read as the type ``to``, which has the same size."""

    to: int

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        x, dtype = ctx.input(0), _named(ctx, self.to)
        if x.dtype is not None and x.dtype.bits != dtype.bits:
            ctx.fail(f"cannot read the {x.dtype.bits} bits of {x.dtype} as {dtype}, which has {dtype.bits}")
        return (TensorInfo(dtype, x.shape),)

    def view(self, ctx: InferContext, outputs: Sequence[TensorInfo], source: Operand) -> Sequence[Operand] | None:
        return (replace(source, dtype=outputs[0].dtype or source.dtype),)
