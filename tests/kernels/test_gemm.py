"""Matrix products against float64, over shapes with tails, symbolic sizes, strides, batches and dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.dtypes import DType
from sardonyx.kernels.gemm import Gemm
from sardonyx.kernels.gemm_grid import plan_grid
from sardonyx.kernels.gemm_tile import choose_tile
from sardonyx.kernels.pack import Pack, packed_size
from sardonyx.kernels.point import Apply, Carried, Constant, Load, PointProgram
from sardonyx.kernels.spec import kernel_text
from sardonyx.lang import Value
from sardonyx.lang.compile import compile_text
from sardonyx.lang.host import host_target
from sardonyx.symbols import Dim, evaluate, symbol
from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, WASM, Target

Array = npt.NDArray[Any]
BATCH, ROW, COLUMN = symbol("i0"), symbol("i0"), symbol("i1")


@dataclass(frozen=True)
class Add:
    cost: int = 1

    def compute(self, *values: Value) -> Value:
        x, y = values
        return x + y


def plain(dtype: DType) -> PointProgram:
    return PointProgram((Carried(0, dtype),), (0,))


def pack(b: Array, dtype: DType, target: Target, *, symbolic: bool = False) -> Array:
    """A (k, n) array of any strides, packed."""
    k, n = b.shape
    shape = choose_tile(target, dtype, symbol("n") if symbolic else n)
    strides = tuple(s // b.itemsize for s in b.strides)
    source = dtypes.from_numpy(b.dtype)
    packed = np.full(int(packed_size(k, n, shape.columns)), 7, dtype.numpy)
    if symbolic:
        names = [symbol(f"s{place}") for place in range(4)]
        spec = Pack.of(shape, names[0], names[1], source, dtype, (names[2], names[3]))
    else:
        spec = Pack.of(shape, k, n, source, dtype, (strides[0], strides[1]))
    assert run_kernel(spec, [packed, b], [k, n, *strides], -(-n // shape.columns), target=target) == 0
    return packed


def product(
    a: Array,
    b: Array,
    dtype: DType = dtypes.float32,
    *,
    symbols: str = "",
    epilogue: PointProgram | None = None,
    extra: tuple[Array, ...] = (),
    splits: int = 1,
    target: Target | None = None,
) -> Array:
    """The product by the kernel; ``symbols`` names the sizes (of m, n, k, r: row stride) that are left symbolic."""
    target = target or host_target()
    (m, k), n = a.shape, b.shape[1]
    numbers = {"m": m, "n": n, "k": k, "r": a.strides[0] // a.itemsize}
    slots = {
        name: symbol(f"s{place}") if name in symbols else value for place, (name, value) in enumerate(numbers.items())
    }
    grid = plan_grid(target, dtype, slots["m"], slots["n"], slots["k"])
    environment = {f"s{place}": value for place, value in enumerate(numbers.values())}
    spec = Gemm(
        slots["m"], slots["n"], slots["k"], dtypes.from_numpy(a.dtype), dtype, slots["r"], dtype,
        ROW * slots["n"] + COLUMN, epilogue or plain(dtype), sizes=4,
    )  # fmt: skip
    packed = pack(b, dtype, target, symbolic="n" in symbols)
    c = np.full((m, n), 7, dtype.numpy)
    tasks = evaluate(grid.tasks, environment)
    assert run_kernel(spec, [a, packed, c, *extra], list(numbers.values()), tasks, splits, target) == 0
    return c


def check(c: Array, expected: Array, k: int) -> None:
    scale = np.finfo(c.dtype).eps * max(1, k) ** 0.5 * 16
    np.testing.assert_allclose(c, expected, rtol=scale, atol=scale * max(1.0, np.abs(expected).max(initial=0)))


SHAPES = [
    (1, 1, 1), (1, 768, 64), (3, 10, 5), (14, 32, 16), (15, 33, 17), (13, 31, 3), (29, 65, 40), (130, 100, 70),
    (7, 48, 9), (49, 16, 33), (40, 144, 1025), (115, 130, 2061), (16, 40, 1024), (5, 8, 0), (2, 200, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("symbols", ["", "mr", "mnkr"])
def test_products_match_float64(shape: tuple[int, int, int], symbols: str) -> None:
    m, n, k = shape
    random = np.random.default_rng(m * n + k)
    a, b = random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)
    expected = a.astype(np.float64) @ b
    one = product(a, b, symbols=symbols)
    check(one, expected, k)
    np.testing.assert_array_equal(product(a, b, symbols=symbols, splits=3), one)


@pytest.mark.parametrize("seed", range(12))
def test_random_products(seed: int) -> None:
    """Sizes, known sizes and row distances at random; two splits of the tasks give the same bits."""
    random = np.random.default_rng(seed)
    m, n, k = (int(random.integers(1, limit)) for limit in (80, 140, 90))
    symbols = "".join(name for name in "mnkr" if random.integers(2))
    a = random.standard_normal((m, k + int(random.integers(0, 20))), np.float32)[:, :k]
    b = random.standard_normal((k, n), np.float32)
    one = product(a, b, symbols=symbols)
    check(one, a.astype(np.float64) @ b, k)
    np.testing.assert_array_equal(product(a, b, symbols=symbols, splits=2), one)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0, 0)])
def test_empty_products(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    for symbols in ("", "mnkr"):
        assert product(np.ones((m, k), np.float32), np.ones((k, n), np.float32), symbols=symbols).shape == (m, n)


@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
@pytest.mark.parametrize("shape", [(40, 70), (16, 32), (17, 33), (3, 200), (130, 5)])
def test_packing_from_any_strides(shape: tuple[int, int], layout: str) -> None:
    k, n = shape
    random = np.random.default_rng(k)
    b = random.standard_normal((2 * k, 2 * n), np.float32)[::2, ::2]
    b = b if layout == "strided" else np.ascontiguousarray(b) if layout == "rows" else np.asfortranarray(b)
    columns = choose_tile(host_target(), dtypes.float32, n).columns
    panels = -(-n // columns)
    expected = np.zeros((k, panels * columns), np.float32)
    expected[:, :n] = b
    expected = expected.reshape(k, panels, columns).transpose(1, 0, 2).reshape(-1)
    np.testing.assert_array_equal(pack(b, dtypes.float32, host_target()), expected)


def test_rows_at_any_distance() -> None:
    random = np.random.default_rng(3)
    wide = random.standard_normal((60, 1024), np.float32)
    b = random.standard_normal((100, 40), np.float32)
    for symbols in ("", "r"):
        check(product(wide[:, 7:107], b, symbols=symbols), wide[:, 7:107].astype(np.float64) @ b, 100)


@pytest.mark.parametrize("cost", [1, 100])
@pytest.mark.parametrize("symbols", ["", "mnkr"])
@pytest.mark.parametrize("shape", [(37, 75, 20), (20, 64, 1100)])
def test_epilogue(shape: tuple[int, int, int], symbols: str, cost: int) -> None:
    """A bias and a residual, cheap enough for registers or not."""
    m, n, k = shape
    random = np.random.default_rng(5)
    a, b = random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)
    bias, residual = random.standard_normal(n, np.float32), random.standard_normal((m, n), np.float32)
    f32 = dtypes.float32
    program = PointProgram(
        (
            Carried(0, f32), Load(0, f32, COLUMN), Apply(Add(cost), (0, 1), f32), Load(1, f32, ROW * n + COLUMN),
            Apply(Add(cost), (2, 3), f32), Constant(1.0, f32), Apply(Add(cost), (4, 5), f32),
        ),
        (6,),
    )  # fmt: skip
    c = product(a, b, symbols=symbols, epilogue=program, extra=(bias, residual), splits=2)
    check(c, a.astype(np.float64) @ b + bias + residual + 1, k)


@pytest.mark.parametrize("dtype", [dtypes.float64, dtypes.int32, dtypes.int64, dtypes.uint32, dtypes.uint64])
def test_other_dtypes(dtype: DType) -> None:
    random = np.random.default_rng(6)
    a, b = (random.integers(0, 50, s).astype(dtype.numpy) for s in ((45, 33), (33, 50)))
    np.testing.assert_array_equal(product(a, b, dtype), a @ b)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: DType) -> None:
    random = np.random.default_rng(7)
    a, b = (random.standard_normal(s).astype(dtype.numpy) for s in ((30, 500), (500, 41)))
    check(product(a, b, dtypes.float32), a.astype(np.float64) @ b.astype(np.float64), 500)


def test_batches() -> None:
    """Five products in one call, the right operand shared by pairs."""
    random = np.random.default_rng(8)
    a, b = random.standard_normal((6, 20, 30), np.float32), random.standard_normal((3, 30, 50), np.float32)
    f32, target = dtypes.float32, host_target()
    packed = np.concatenate([pack(x, f32, target) for x in b])
    columns = choose_tile(target, f32, 50).columns
    spec = Gemm(
        20, 50, 30, f32, f32, 30, f32, symbol("i0") * 1000 + symbol("i1") * 50 + symbol("i2"), plain(f32), batch=6,
        a_batch=BATCH * 600, b_batch=(BATCH // 2) * packed_size(30, 50, columns),
    )  # fmt: skip
    c = np.zeros((6, 20, 50), np.float32)
    tasks = evaluate(plan_grid(target, f32, 20, 50, 30).tasks, {}) * 6
    assert run_kernel(spec, [a, packed, c], [], tasks, 4) == 0
    check(c, a.astype(np.float64) @ np.repeat(b, 2, axis=0), 30)


@pytest.mark.parametrize("target", [BASELINE, AVX2, AVX512])
def test_every_x86_target(target: Target) -> None:
    host = {name.lstrip("+") for name in host_target().features.split(",")}
    if any(name.lstrip("+") not in host for name in target.features.split(",")):
        pytest.skip(f"this processor lacks {target.name}")
    random = np.random.default_rng(9)
    a, b = random.standard_normal((33, 50), np.float32), random.standard_normal((50, 45), np.float32)
    for symbols in ("", "mnkr"):
        check(product(a, b, symbols=symbols, target=target), a.astype(np.float64) @ b, 50)


@pytest.mark.parametrize("target", [NEON, WASM])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64])
def test_other_targets_generate_valid_code(target: Target, dtype: DType) -> None:
    sizes: list[Dim] = [30, symbol("s0")]
    for m in sizes:
        spec = Gemm(m, 20, 40, dtype, dtype, 40, dtype, ROW * 20 + COLUMN, plain(dtype), sizes=1)
        assert compile_text(kernel_text(spec, target), target)
