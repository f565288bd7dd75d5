"""The permuting copy against numpy, for any rank, order, item size and split."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.kernels.spec import kernel_text
from sardonyx.kernels.transpose import Transpose
from sardonyx.lang.compile import compile_text
from sardonyx.symbols import Dim, evaluate, symbol
from sardonyx.targets import AVX2, AVX512, BASELINE, NEON, WASM

ITEMS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def permuted(source: npt.NDArray[Any], order: tuple[int, ...], *, symbolic: bool, splits: int = 1) -> npt.NDArray[Any]:
    """``source`` (any strides) copied to row-major memory in another order of dimensions."""
    view = source.transpose(order)
    result = np.full(view.shape, 99, source.dtype)
    item = source.dtype.itemsize
    env: dict[str, int] = {}

    def dims(values: tuple[int, ...], kind: str) -> list[Dim]:
        env.update({f"{kind}{k}": v for k, v in enumerate(values)})
        return [symbol(f"{kind}{k}") if symbolic and v != 1 else v for k, v in enumerate(values)]

    extents = dims(view.shape, "n")
    dest: list[Dim] = [1] * view.ndim
    for axis in range(view.ndim - 2, -1, -1):
        dest[axis] = dest[axis + 1] * extents[axis + 1]
    inner = [stride // item for stride in view.strides]
    source_strides: list[Dim] = [
        s if s in (0, 1, -1) else d for s, d in zip(inner, dims(tuple(inner), "t"), strict=True)
    ]
    kernel, sizes, tasks = Transpose.plan(extents, source_strides, dest, dtypes.from_numpy(source.dtype))
    count = evaluate(tasks, env)
    assert run_kernel(kernel, [view, result], [evaluate(s, env) for s in sizes], count, splits) == 0
    return result


def numbers(rng: np.random.Generator, shape: tuple[int, ...], item: int) -> npt.NDArray[Any]:
    top = ITEMS[item](7) << ITEMS[item](8 * item - 8) if item > 1 else ITEMS[item](0)
    return np.asarray(rng.integers(0, 250, shape).astype(ITEMS[item]) + top)


@pytest.mark.parametrize("item", [1, 2, 4, 8])
@pytest.mark.parametrize("symbolic", [False, True])
def test_matrices_with_tails(item: int, symbolic: bool) -> None:
    rng = np.random.default_rng(item)
    for shape in [(1, 1), (16, 16), (17, 3), (3, 17), (64, 65), (130, 200), (5, 300), (300, 9), (8, 1000)][
        :: 1 if symbolic else 3
    ]:
        source = numbers(rng, shape, item)
        np.testing.assert_array_equal(permuted(source, (1, 0), symbolic=symbolic, splits=2), source.T)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("item", [1, 2, 4, 8])
def test_interleaving(count: int, item: int) -> None:
    rng = np.random.default_rng(count)
    for length in (5, 64, 3001):
        planes = numbers(rng, (2, count, length), item)
        np.testing.assert_array_equal(permuted(planes, (0, 2, 1), symbolic=False, splits=2), planes.transpose(0, 2, 1))
        pixels = numbers(rng, (2, length, count), item)
        np.testing.assert_array_equal(permuted(pixels, (0, 2, 1), symbolic=False, splits=2), pixels.transpose(0, 2, 1))


@pytest.mark.parametrize("item", [1, 4])
def test_every_permutation_of_rank_four(item: int) -> None:
    rng = np.random.default_rng(4)
    source = numbers(rng, (3, 19, 2, 21), item)
    for order in itertools.permutations(range(4)):
        np.testing.assert_array_equal(permuted(source, order, symbolic=item == 4, splits=3), source.transpose(order))


def test_strided_repeated_and_reversed_sources() -> None:
    rng = np.random.default_rng(5)
    whole = numbers(rng, (40, 60), 4)
    for view in (
        whole[::2, ::3],
        whole[::-1],
        whole[:, ::-1],
        whole[5:, 7:],
        np.broadcast_to(whole[0], (9, 60)),
        np.broadcast_to(whole[:, :1], (40, 33)),
    ):
        for order in ((0, 1), (1, 0)):
            np.testing.assert_array_equal(permuted(view, order, symbolic=False), view.transpose(order))


def test_empty_scalar_and_long() -> None:
    rng = np.random.default_rng(6)
    for shape, order in [
        ((0, 5), (1, 0)),
        ((5, 0, 3), (2, 0, 1)),
        ((), ()),
        ((1, 1), (1, 0)),
        ((20001,), (0,)),
        ((3, 9000), (0, 1)),
    ]:
        source = numbers(rng, shape, 4)
        np.testing.assert_array_equal(permuted(source, order, symbolic=True, splits=2), source.transpose(order))


def test_heads_to_front_is_a_copy_of_rows() -> None:
    kernel, _, _ = Transpose.plan((12, symbol("s"), 64), (64, 768, 1), (symbol("s") * 64, 64, 1), dtypes.float32)
    assert kernel.inner == (2, 2)


def test_dimensions_merge() -> None:
    h = symbol("h")
    kernel, sizes, _ = Transpose.plan((2, 3, h, h), (3 * h * h, h * h, h, 1), (3 * h * h, 1, 3 * h, 3), dtypes.float32)
    assert (len(kernel.extents), kernel.interleaved, len(sizes)) == (3, 3, 2)


@pytest.mark.parametrize("target", [BASELINE, AVX2, AVX512, NEON, WASM], ids=lambda t: t.name)
def test_every_target_gets_valid_code(target: Any) -> None:
    for extents, strides in [((100, 30), (1, 100)), ((100, 3), (1, 100)), ((4, 50), (60, 1))]:
        for item in (1, 4):
            kernel = Transpose(extents, strides, (extents[1], 1), item)
            assert compile_text(kernel_text(kernel, target), target)
