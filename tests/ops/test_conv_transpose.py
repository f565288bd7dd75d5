"""ConvTranspose against its definition in float64, and against ONNX Runtime's output sizes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import RunContext
from sardonyx.ops.conv_transpose import ConvTranspose

Array = npt.NDArray[Any]


def oracle(x: Array, w: Array, bias: Array | None, given: dict[str, Any]) -> Array:
    """Every input element scattered to the outputs it reaches, then the padding cut off."""
    rank, group = x.ndim - 2, given["group"]
    strides, dilations, pads, extra = given["strides"], given["dilations"], given["pads"], given["output_padding"]
    kernel, out_group, in_group = w.shape[2:], w.shape[1], w.shape[0] // group
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, s, d, k, e in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)
    ]
    result = np.zeros((x.shape[0], out_group * group, *full))
    for tap in itertools.product(*map(range, kernel)):
        place = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilations, x.shape[2:], strides, strict=True)
        )
        for g in range(group):
            weights = w[(slice(g * in_group, (g + 1) * in_group), slice(None), *tap)].astype(np.float64)
            part = np.einsum("co,nc...->no...", weights, x[:, g * in_group : (g + 1) * in_group].astype(np.float64))
            result[(slice(None), slice(g * out_group, (g + 1) * out_group), *place)] += part
    cut = tuple(slice(pads[a], full[a] - pads[a + rank]) for a in range(rank))
    result = result[(slice(None), slice(None), *cut)]
    return result if bias is None else result + bias.astype(np.float64).reshape(1, -1, *[1] * rank)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_random(rank: int, seed: int) -> None:
    random = np.random.default_rng(seed + 50 * rank)
    kernel = tuple(int(k) for k in random.integers(1, 5 if rank < 3 else 3, rank))
    given: dict[str, Any] = {
        "strides": tuple(int(s) for s in random.integers(1, 4 if rank < 3 else 3, rank)),
        "dilations": tuple(int(d) for d in random.integers(1, 4, rank)),
        "group": int(random.integers(1, 4)),
    }
    given["output_padding"] = tuple(int(random.integers(0, s)) for s in given["strides"])
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, given["dilations"], strict=True)]
    given["pads"] = tuple(int(random.integers(0, e // 2 + 1)) for e in extent * 2)
    group = given["group"]
    spatial = [int(n) for n in random.integers(1, 7, rank)]
    x = random.standard_normal((2, group * int(random.integers(1, 20)), *spatial)).astype(np.float32)
    w = random.standard_normal((x.shape[1], int(random.integers(1, 40)), *kernel)).astype(np.float32)
    bias = random.standard_normal(w.shape[1] * group).astype(np.float32) if seed % 2 else None
    want = oracle(x, w, bias, given)
    if want.size == 0:
        return
    symbolic = [(0, 0), (0, rank + 1)] if seed % 3 == 0 else []
    residual = random.standard_normal(want.shape).astype(np.float32) if seed % 4 == 1 else None
    context = RunContext(
        ConvTranspose(**given), [x, w, bias], constant=[1], symbolic=symbolic, residual=residual, splits=1 + seed % 2
    )
    want = want if residual is None else np.maximum(want + residual, 0)
    assert context.results[0].shape == want.shape
    assert np.abs(context.results[0] - want).max() <= 2e-5 * max(1.0, float(np.abs(want).max()))


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad_splits_the_total_padding(auto_pad: str) -> None:
    random = np.random.default_rng(3)
    x = random.standard_normal((1, 3, 5, 4)).astype(np.float32)
    w = random.standard_normal((3, 2, 3, 4)).astype(np.float32)
    given: dict[str, Any] = {"strides": (2, 1), "dilations": (1, 1), "group": 1, "output_padding": (0, 0)}
    full = oracle(x, w, None, {**given, "pads": (0, 0, 0, 0)})
    sizes = [10, 4] if auto_pad != "VALID" else list(full.shape[2:])
    total = [f - s for f, s in zip(full.shape[2:], sizes, strict=True)]
    begin = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
    want = full[:, :, begin[0] : begin[0] + sizes[0], begin[1] : begin[1] + sizes[1]]
    got = RunContext(ConvTranspose(strides=(2, 1), auto_pad=auto_pad), [x, w]).results[0]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_output_shape_beyond_what_the_input_reaches_holds_the_bias() -> None:
    x = np.ones((1, 1, 2, 2), np.float32)
    w = np.ones((1, 1, 1, 1), np.float32)
    got = RunContext(ConvTranspose(output_shape=(4, 5), strides=(2, 2)), [x, w, np.array([3], np.float32)]).results[0]
    want = np.full((1, 1, 4, 5), 3.0)
    want[:, :, 0:3:2, 0:3:2] += 1
    np.testing.assert_array_equal(got, want)
