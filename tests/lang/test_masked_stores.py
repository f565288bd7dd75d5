"""Masked stores write their lanes and nothing else, also where the compiler knows the mask."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.lang import F32, I32, I64, Module
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.lang.loader import load_objects
from sardonyx.lang.types import PTR
from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, WASM, Target

LANES = 8
NARROW = [dtypes.int8, dtypes.uint8, dtypes.int16, dtypes.uint16, dtypes.int32, dtypes.bfloat16, dtypes.float16]


def text(target: Target, source: DType, stored: DType, count: int) -> str:
    """``dest[0:count] = convert(source[0:count])`` in one vector whose mask is a constant."""
    module = Module(target, "masked")
    with module.function("masked", I64.llvm, [PTR, PTR]) as b:
        mask = b.tail_mask(count, LANES)
        value = b.pointer_argument(0, source).load(0, LANES, mask).to(stored)
        b.pointer_argument(1, stored).store(value, 0, mask)
        b.return_(0)
    return module.text()


@pytest.mark.parametrize("count", range(1, LANES))
@pytest.mark.parametrize("stored", NARROW, ids=str)
def test_nothing_behind_the_last_lane_is_written(stored: DType, count: int) -> None:
    target = host_target()
    source = F32.dtype if stored.is_float else I64.dtype if stored is I32.dtype else I32.dtype
    loaded = load_objects([compile_text(text(target, source, stored, count), target)], ["masked"])
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.addresses["masked"])
    values = np.arange(1, LANES + 1).astype(source.numpy)
    memory = np.full(2 * LANES * stored.itemsize, 0xA5, np.uint8)
    function(values.ctypes.data, memory.ctypes.data)
    written = count * stored.itemsize
    np.testing.assert_array_equal(memory[:written].view(stored.numpy), values[:count].astype(stored.numpy))
    assert (memory[written:] == 0xA5).all()


@pytest.mark.parametrize("target", [BASELINE, AVX2, AVX512, NEON, WASM], ids=lambda target: target.name)
def test_every_target_compiles_them(target: Target) -> None:
    for stored in NARROW[:-1]:
        source = F32.dtype if stored.is_float else I32.dtype
        assert compile_text(text(target, source, stored, 1), target)
