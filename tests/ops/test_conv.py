"""Conv against a float64 oracle."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext, run_record
from sardonyx import dtypes
from sardonyx.errors import InvalidModelError
from sardonyx.kernels.conv_plan import Loop, Tap, plan_cut
from sardonyx.ops.conv import Conv
from sardonyx.targets import AVX2, AVX512, BASELINE, Target

Array = npt.NDArray[Any]


def oracle(x: Array, w: Array, bias: Array | None, strides: Any, pads: Any, dilations: Any, group: int) -> Array:
    """Convolution in float64 by its definition, one kernel element at a time."""
    rank = x.ndim - 2
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((pads[a], pads[a + rank]) for a in range(rank))])
    kernel = w.shape[2:]
    sizes = [(padded.shape[a + 2] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1 for a in range(rank)]
    in_group, out_group = w.shape[1], w.shape[0] // group
    result = np.zeros((x.shape[0], w.shape[0], *sizes))
    for tap in itertools.product(*map(range, kernel)):
        window = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilations, sizes, strides, strict=True)
        )
        part = padded[(slice(None), slice(None), *window)]
        for g in range(group):
            weights = w[(slice(g * out_group, (g + 1) * out_group), slice(None), *tap)].astype(np.float64)
            chosen = part[:, g * in_group : (g + 1) * in_group]
            result[:, g * out_group : (g + 1) * out_group] += np.einsum("oc,nc...->no...", weights, chosen)
    return result if bias is None else result + bias.astype(np.float64).reshape(1, -1, *[1] * rank)


def case(seed: int, rank: int, *, group: int = 1, wide: bool = False) -> dict[str, Any]:
    """A random convolution."""
    random = np.random.default_rng(seed)
    kernel = tuple(int(k) for k in random.integers(1, 5 if rank < 3 else 3, rank))
    dilations = tuple(int(d) for d in random.integers(1, 3, rank))
    strides = tuple(int(s) for s in random.integers(1, 4, rank))
    pads = tuple(int(p) for p in random.integers(0, 3, 2 * rank))
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [int(e + random.integers(0, (40 if wide else 12) if a == rank - 1 else 6)) for a, e in enumerate(extent)]
    channels, results = int(random.integers(1, 40)), int(random.integers(1, 80 // group + 2))
    return {
        "x": random.standard_normal((int(random.integers(1, 3)), channels * group, *sizes)).astype(np.float32),
        "w": random.standard_normal((results * group, channels, *kernel)).astype(np.float32),
        "bias": random.standard_normal(results * group).astype(np.float32) if random.integers(2) else None,
        "options": {"strides": strides, "pads": pads, "dilations": dilations, "group": group},
    }


def check(given: dict[str, Any], tolerance: float = 2e-5, **how: Any) -> Array:
    options = given["options"]
    want = oracle(
        given["x"],
        given["w"],
        given["bias"],
        options["strides"],
        options["pads"],
        options["dilations"],
        options["group"],
    )
    residual = how.get("residual")
    if residual is not None:
        want = np.maximum(want + residual, 0)
    got = run_record(Conv(**options), [given["x"], given["w"], given["bias"]], **how)
    assert got.shape == want.shape
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    assert np.abs(got - want).max(initial=0) <= tolerance * scale
    return got


@pytest.mark.parametrize("seed", range(16))
def test_random_2d(seed: int) -> None:
    check(case(seed, 2, wide=seed % 2 == 0), constant=[1] if seed % 3 else [])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rank", [1, 3])
def test_random_other_ranks(rank: int, seed: int) -> None:
    check(case(seed, rank, wide=True), constant=[1])


GROUPS = [(1, 1), (1, 2), (1, 3), (2, 2), (4, 4), (2, 4), (8, 8), (3, 5), (6, 2), (16, 16), (20, 24)]


@pytest.mark.parametrize(("channels", "results"), GROUPS)
@pytest.mark.parametrize("seed", range(3))
def test_groups(channels: int, results: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = 1 + seed % 3
    given = case(seed, rank)
    group = int(random.integers(2, 40))
    kernel, x = given["w"].shape[2:], given["x"]
    given["x"] = random.standard_normal((x.shape[0], channels * group, *x.shape[2:])).astype(np.float32)
    given["w"] = random.standard_normal((results * group, channels, *kernel)).astype(np.float32)
    given["bias"] = random.standard_normal(results * group).astype(np.float32)
    given["options"]["group"] = group
    check(given, constant=[1, 2])


def simple(
    x: tuple[int, ...], results: int, kernel: tuple[int, ...], *, group: int = 1, pad: int = 0, stride: int = 1
) -> dict[str, Any]:
    """A convolution of given sizes."""
    random = np.random.default_rng(sum(x) + results)
    rank = len(kernel)
    return {
        "x": random.standard_normal(x).astype(np.float32),
        "w": random.standard_normal((results, x[1] // group, *kernel)).astype(np.float32),
        "bias": random.standard_normal(results).astype(np.float32),
        "options": {"strides": (stride,) * rank, "pads": (pad,) * 2 * rank, "dilations": (1,) * rank, "group": group},
    }


SHAPES = [
    simple((1, 64, 7, 7), 96, (3, 3), pad=1),  # tiles over several rows, the last of them alone
    simple((2, 48, 14, 14), 40, (1, 1)),  # all pixels in one loop
    simple((1, 3, 31, 29), 64, (7, 7), pad=3, stride=2),  # few channels
    simple((1, 256, 8, 8), 33, (3, 3), pad=1, stride=2),
    simple((1, 1024, 6, 6), 16, (3, 3), pad=1),  # pixels whose inputs would share cache sets
    simple((3, 40, 1, 1), 70, (1, 1)),
    simple((1, 24, 9, 300), 24, (3, 3), pad=1),  # rows in several units
    simple((2, 50, 13, 13), 50, (3, 3), pad=1, group=50),
    simple((1, 128, 10, 10), 128, (3, 3), pad=1, group=32, stride=2),
    simple((1, 1, 5, 5), 1, (5, 5)),
    simple((2, 24, 70), 24, (31,), pad=15, group=24),  # more columns than are unrolled
    simple((1, 24, 3, 20), 24, (1, 17), pad=8, group=24, stride=2),
]


@pytest.mark.parametrize("given", SHAPES, ids=lambda g: "x".join(map(str, g["x"].shape)))
def test_results_do_not_depend_on_tasks_and_sizes_may_be_symbolic(given: dict[str, Any]) -> None:
    whole = check(given, constant=[1, 2])
    np.testing.assert_array_equal(whole, check(given, constant=[1, 2], splits=5))
    symbolic = [(0, 0), *((0, axis) for axis in range(2, whole.ndim))]
    batch, channels, *spatial = whole.shape
    residual = np.moveaxis(np.random.default_rng(1).random((batch, *spatial, channels), np.float32), -1, 1)
    split = check(given, constant=[1, 2], symbolic=symbolic, splits=3, residual=residual)
    np.testing.assert_array_equal(check(given, constant=[1, 2], symbolic=symbolic, residual=residual), split)


MINIMAL_FILTERING = [
    simple((1, 64, 14, 14), 64, (3, 3), pad=1),
    simple((2, 40, 13, 15), 50, (3, 3), pad=1),  # odd sizes, narrow last panel
    simple((1, 33, 12, 14), 32, (3, 3)),
    simple((0, 32, 12, 14), 32, (3, 3)),
    simple((1, 48, 130, 120), 32, (3, 3), pad=1),  # several bands
    simple((3, 32, 61, 64), 32, (3, 3), pad=1),
]


@pytest.mark.parametrize("given", MINIMAL_FILTERING, ids=lambda g: "x".join(map(str, g["x"].shape)))
def test_minimal_filtering(given: dict[str, Any]) -> None:
    context = RunContext(Conv(**given["options"]), [given["x"], given["w"], given["bias"]], constant=[1, 2])
    assert any(kernel.name == "winograd" for kernel, *_ in context.kernels)
    whole = check(given, 5e-6, constant=[1, 2])
    batch, channels, *spatial = whole.shape
    residual = np.moveaxis(np.random.default_rng(1).random((batch, *spatial, channels), np.float32), -1, 1)
    split = check(given, 5e-6, constant=[1, 2], symbolic=[(0, 0)], splits=3, residual=residual)
    again = check(given, 5e-6, constant=[1, 2], symbolic=[(0, 0)], residual=residual)
    np.testing.assert_array_equal(split, again)


@pytest.mark.parametrize("shape", [(0, 8, 5, 5), (1, 8, 3, 3), (2, 8, 3, 40)])
@pytest.mark.parametrize("group", [1, 8])
def test_empty_and_small(shape: tuple[int, ...], group: int) -> None:
    for symbolic in ([], [(0, 0), (0, 2), (0, 3)]):
        check(simple(shape, 16, (3, 3), group=group), symbolic=symbolic)


def test_a_symbolic_input_smaller_than_the_kernel_gives_nothing() -> None:
    given = simple((1, 8, 5, 2), 16, (3, 3))
    got = run_record(Conv(), [given["x"], given["w"], given["bias"]], symbolic=[(0, 2), (0, 3)])
    assert got.shape == (1, 16, 3, 0)


def test_symbolic_channels_are_those_of_the_weights() -> None:
    for group in (1, 4, 8):
        check(simple((2, 8, 6, 6), 16, (3, 3), pad=1, group=group), symbolic=[(0, 0), (0, 1), (0, 2), (0, 3)])


def test_planning_huge_images_is_quick() -> None:
    for size in (2**31 - 1, 2**30, 3 * 10**9):
        loops = (Loop(1, 0, 0), Loop(size, 64, 64), Loop(size, 64, 64))
        assert plan_cut(AVX512, dtypes.float32, 1, 64, loops, (Tap(3, 64),), 192).unit_pixels < 1000


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("group", [1, 12])
def test_other_dtypes(dtype: Any, group: int) -> None:
    given = simple((2, 24, 9, 9), 36, (3, 2), pad=1, group=group)
    for name in ("x", "w", "bias"):
        given[name] = given[name].astype(dtype)
    check(given, {np.float64: 1e-12, np.float16: 1e-3}.get(dtype, 8e-3))


def test_minimal_filtering_of_half_precision() -> None:
    given = simple((1, 40, 12, 12), 40, (3, 3), pad=1)
    for name in ("x", "w", "bias"):
        given[name] = given[name].astype(np.float16)
    check(given, 1e-3, constant=[1])


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("symbolic", [[], [(0, 2), (0, 3)]])
def test_auto_pad(auto_pad: str, symbolic: list[tuple[int, int]]) -> None:
    given = simple((1, 20, 11, 8), 18, (4, 2), stride=3)
    total = [0, 0] if auto_pad == "VALID" else [max((-(-n // 3) - 1) * 3 + k - n, 0) for n, k in ((11, 4), (8, 2))]
    begin = [t - t // 2 if auto_pad == "SAME_LOWER" else t // 2 for t in total]
    pads = (*begin, *(t - b for t, b in zip(total, begin, strict=True)))
    want = oracle(given["x"], given["w"], None, **{**given["options"], "pads": pads})
    got = run_record(Conv(auto_pad=auto_pad, strides=(3, 3)), [given["x"], given["w"]], symbolic=symbolic)
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("target", [AVX2, BASELINE], ids=lambda t: t.name)
def test_other_instruction_sets(target: Target) -> None:
    check(simple((1, 20, 9, 11), 28, (3, 3), pad=1), target=target)
    check(simple((1, 20, 9, 11), 20, (3, 3), pad=1, group=20), target=target)
    check(simple((1, 36, 11, 12), 40, (3, 3), pad=1), constant=[1], target=target)


WRONG: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], str]] = [
    ({}, (1, 4, 8, 8), (6, 3, 3, 3), "channels"),
    ({}, (1, 3, 2, 2), (6, 3, 3, 3), "does not fit"),
    ({"strides": (0, 1)}, (1, 3, 8, 8), (6, 3, 3, 3), "strides"),
    ({"dilations": (1, -1)}, (1, 3, 8, 8), (6, 3, 3, 3), "dilations"),
    ({"pads": (0, -1, 0, 0)}, (1, 3, 8, 8), (6, 3, 3, 3), "pads"),
    ({"pads": (0, 2**40, 0, 0)}, (1, 3, 8, 8), (6, 3, 3, 3), "pads"),
    ({"pads": (0, 0)}, (1, 3, 8, 8), (6, 3, 3, 3), "pads"),
    ({"group": 0}, (1, 3, 8, 8), (6, 3, 3, 3), "group"),
    ({"group": 4}, (1, 12, 8, 8), (6, 3, 3, 3), "groups"),
    ({"kernel_shape": (2, 2)}, (1, 3, 8, 8), (6, 3, 3, 3), "kernel_shape"),
    ({"auto_pad": "SAME"}, (1, 3, 8, 8), (6, 3, 3, 3), "auto_pad"),
    ({}, (1, 3), (6, 3), "spatial"),
    ({}, (1, 3, 8, 8), (6, 3, 3), "rank"),
]


@pytest.mark.parametrize(("attributes", "x", "w", "message"), WRONG)
def test_errors_say_what_is_wrong(
    attributes: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        run_record(Conv(**attributes), [np.zeros(x, np.float32), np.zeros(w, np.float32)])
