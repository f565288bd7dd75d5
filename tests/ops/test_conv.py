"""Conv against a float64 oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import run_record
from sardonyx.ops.conv import Conv

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


@pytest.mark.parametrize("seed", range(40))
def test_random_2d(seed: int) -> None:
    check(case(seed, 2, wide=seed % 2 == 0), constant=[1] if seed % 3 else [])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rank", [1, 3])
def test_random_other_ranks(rank: int, seed: int) -> None:
    check(case(seed, rank, wide=True), constant=[1])


GROUPS = [(1, 1), (1, 2), (1, 3), (2, 2), (4, 4), (2, 4), (8, 8), (3, 5), (6, 2), (16, 16), (20, 24)]


@pytest.mark.parametrize(("channels", "results"), GROUPS)
@pytest.mark.parametrize("seed", range(6))
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
