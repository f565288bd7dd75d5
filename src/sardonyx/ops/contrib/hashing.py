"""MurmurHash3 of numbers and strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.graph.info import TensorInfo
from sardonyx.ops.base import InferContext, Op
from sardonyx.ops.composite import Builder, Composite
from sardonyx.ops.contrib.activations import MICROSOFT
from sardonyx.ops.registry import op

__all__ = ["StringHash"]

FIRST, SECOND, ADDED, FINAL = 0xCC9E2D51, 0x1B873593, 0xE6546B64, (0x85EBCA6B, 0xC2B2AE35)
MASK = 0xFFFFFFFF


@op("MurmurHash3", MICROSOFT)
class MurmurHash3(Composite):
    """The 32-bit hash of each element: of the bytes of a number, or of a string in UTF-8.

    Source: A. Appleby, MurmurHash3_x86_32. ``positive``: as uint32, else int32.
    """

    positive: int = 1
    seed: int = 0

    def expand(self, b: Builder) -> Sequence[ir.Value]:
        x, dtype = b.input(0), b.dtype(b.input(0))
        if dtype == dtypes.string:
            attributes = {"positive": self.positive, "seed": self.seed}
            return b.ops("StringHash", [x], domain="sardonyx", attributes=attributes)
        if dtype.kind not in "iuf" or dtype.bits not in (32, 64):
            b.fail(f"input 0 must hold strings or numbers of 32 or 64 bits, got {dtype}")
        bits = dtypes.uint32 if dtype.bits == 32 else dtypes.uint64
        words = [x if dtype == bits else b.op("BitCast", x, to=bits.onnx)]
        if dtype.bits == 64:
            low = b.op("BitwiseAnd", words[0], b.number(MASK, bits))
            high = b.op("BitShift", words[0], b.number(32, bits), direction="RIGHT")
            words = [b.cast(low, dtypes.uint32), b.cast(high, dtypes.uint32)]
        result = _Numbers(b).hash(words, self.seed & MASK, dtype.bits // 8)
        return (result if self.positive else b.op("BitCast", result, to=dtypes.int32.onnx),)


class _Numbers:
    """The hash of uint32 words in operators."""

    def __init__(self, b: Builder) -> None:
        self.b = b

    def number(self, value: int) -> ir.Value:
        return self.b.number(value, dtypes.uint32)

    def shift(self, x: ir.Value, count: int, direction: str) -> ir.Value:
        return self.b.op("BitShift", x, self.number(count), direction=direction)

    def rotate(self, x: ir.Value, count: int) -> ir.Value:
        return self.b.op("BitwiseOr", self.shift(x, count, "LEFT"), self.shift(x, 32 - count, "RIGHT"))

    def times(self, x: ir.Value, factor: int) -> ir.Value:
        return self.b.op("Mul", x, self.number(factor))

    def mixed(self, x: ir.Value, count: int) -> ir.Value:
        return self.b.op("BitwiseXor", x, self.shift(x, count, "RIGHT"))

    def hash(self, words: Sequence[ir.Value], seed: int, length: int) -> ir.Value:
        result = self.number(seed)
        for word in words:
            scrambled = self.times(self.rotate(self.times(word, FIRST), 15), SECOND)
            turned = self.rotate(self.b.op("BitwiseXor", result, scrambled), 13)
            result = self.b.op("Add", self.times(turned, 5), self.number(ADDED))
        result = self.b.op("BitwiseXor", result, self.number(length))
        result = self.times(self.mixed(result, 16), FINAL[0])
        return self.mixed(self.times(self.mixed(result, 13), FINAL[1]), 16)


@op("StringHash", "sardonyx")
class StringHash(Op):
    """MurmurHash3 of strings; what it expands to for them."""

    positive: int = 1
    seed: int = 0

    def infer(self, ctx: InferContext) -> Sequence[TensorInfo]:
        return (TensorInfo(self._dtype, ctx.input(0).shape),)

    @property
    def _dtype(self) -> DType:
        return dtypes.uint32 if self.positive else dtypes.int32

    def hosts(self, ctx: InferContext) -> bool:
        return True

    def host(self, *values: Any) -> Sequence[Any]:
        text = np.asarray(values[0], dtype=object)
        hashes = [_murmur(str(item).encode(), self.seed & MASK) for item in text.reshape(-1)]
        return [np.array(hashes, np.uint32).view(self._dtype.numpy).reshape(text.shape)]


def _murmur(data: bytes, seed: int) -> int:
    def scrambled(word: int) -> int:
        word = word * FIRST & MASK
        return ((word << 15 | word >> 17) & MASK) * SECOND & MASK

    result, whole = seed, len(data) & ~3
    for place in range(0, whole, 4):
        result ^= scrambled(int.from_bytes(data[place : place + 4], "little"))
        result = ((result << 13 | result >> 19) & MASK) * 5 + ADDED & MASK
    if whole < len(data):
        result ^= scrambled(int.from_bytes(data[whole:], "little"))
    result ^= len(data)
    result = (result ^ result >> 16) * FINAL[0] & MASK
    result = (result ^ result >> 13) * FINAL[1] & MASK
    return result ^ result >> 16
