"""The dot atoms and the packing of words, against int64; code for targets that cannot run here at least compiles."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernels.harness import run_kernel
from ops.targets import TARGETS
from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.dot import choose_atom
from sardonyx.kernels.gemm import Gemm
from sardonyx.kernels.gemm_grid import plan_grid
from sardonyx.kernels.gemm_tile import choose_tile
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.kernels.point import Carried, PointProgram
from sardonyx.kernels.spec import kernel_text
from sardonyx.lang.compile import compile_text
from sardonyx.symbols import evaluate, symbol
from sardonyx.targets import NEON, WASM, Target

Array = npt.NDArray[Any]
ROW, COLUMN = symbol("i0"), symbol("i1")
I32 = dtypes.int32


def product(a: Array, b: Array, target: Target, *, symbolic: bool) -> Array:
    """The kernel's sums: of A and B as the atom shifts them."""
    (m, k), n = a.shape, b.shape[1]
    source, right = dtypes.from_numpy(a.dtype), dtypes.from_numpy(b.dtype)
    atom = choose_atom(target, source, right)
    size = symbol("s0") if symbolic else k
    shape = choose_tile(target, I32, n)
    steps = (b.strides[0], b.strides[1])
    packed = np.full(int(packed_size(k, n, shape.columns, atom.depth)), 7, np.int32)
    pack = Pack.of(shape, size, n, right, I32, steps, 0, atom)
    assert run_kernel(pack, [packed, b], [k], -(-n // shape.columns), target=target) == 0
    program = PointProgram((Carried(0, I32),), (0,))
    spec = Gemm(m, n, size, source, I32, a.strides[0], I32, ROW * n + COLUMN, program, sizes=1, atom=atom)
    tasks = evaluate(plan_grid(target, I32, m, n, -(-size // atom.depth)).tasks, {"s0": k})
    c = np.full((m, n), 7, np.int32)
    assert run_kernel(spec, [a, packed, c], [k], tasks, target=target) == 0
    wide = a.astype(np.int64) + atom.a_shift, b.astype(np.int64) + atom.b_shift(right)
    np.testing.assert_array_equal(c, (wide[0] @ wide[1]).astype(np.int32))
    return c


@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_sums_are_exact(target: Target, layout: str) -> None:
    """Extreme values everywhere: where pairs saturated, sums would differ."""
    random = np.random.default_rng(3)
    for (left, right), (m, k, n) in zip(
        itertools.product((np.uint8, np.int8), repeat=2),
        [(3, 67, 33), (16, 64, 32), (7, 5, 50), (2, 3, 3)],
        strict=True,
    ):
        a, b = (
            random.choice([np.iinfo(t).min, np.iinfo(t).max, 0, 1], s).astype(t)
            for t, s in ((left, (m, k)), (right, (2 * k, 2 * n)))
        )
        b = b[::2, ::2]
        b = b if layout == "strided" else np.ascontiguousarray(b) if layout == "rows" else np.asfortranarray(b)
        product(a, b, target, symbolic=layout == "strided")


@pytest.mark.parametrize("target", [NEON, WASM])
@pytest.mark.parametrize("dtype", [dtypes.int8, dtypes.uint8])
def test_other_targets_generate_valid_code(target: Target, dtype: DType) -> None:
    atom = choose_atom(target, dtype, dtype)
    shape = choose_tile(target, I32, 20)
    program = PointProgram((Carried(0, I32),), (0,))
    gemm = Gemm(30, 20, 42, dtype, I32, 40, I32, ROW * 20 + COLUMN, program, atom=atom)
    for kernel in (gemm, Pack.of(shape, 42, 20, dtype, I32, (20, 1), 0, atom)):
        assert compile_text(kernel_text(kernel, target), target)
