"""The padded copy and the packed weights of convolutions against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels.harness import run_kernel
from sardonyx import dtypes
from sardonyx.kernels.conv_pack import ConvPack, Packing
from sardonyx.kernels.conv_pad import ConvPad
from sardonyx.lang.host import host_target


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("gap", [0, 16])
@pytest.mark.parametrize(("begin", "padded"), [((0, 0), (5, 6)), ((1, 2), (8, 9)), ((2, 0), (6, 4)), ((6, 7), (6, 7))])
def test_pad(channels: int, gap: int, begin: tuple[int, int], padded: tuple[int, int]) -> None:
    x = np.random.default_rng(channels).standard_normal((2, 5, 6, channels)).astype(np.float32)
    pitch = channels + gap
    got = np.full((2, *padded, pitch), 7, np.float32)
    strides = [step // 4 for step in x.strides[:3]]
    kernel = ConvPad(dtypes.float32, dtypes.float32, 2, gap == 0)
    for splits in (1, 3):
        assert (
            run_kernel(kernel, [got, x], [channels, pitch, 2, 5, 6, *padded, *begin, *strides], 2 * padded[0], splits)
            == 0
        )
        want = np.zeros((2, 20, 20, channels), np.float32)
        want[:, begin[0] : begin[0] + 5, begin[1] : begin[1] + 6] = x
        np.testing.assert_array_equal(got[..., :channels], want[:, : padded[0], : padded[1]])


def test_pad_converts() -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, 40)).astype(np.float16)
    got = np.empty((1, 6, 40), np.float32)
    assert run_kernel(ConvPad(dtypes.float16, dtypes.float32, 1, True), [got, x], [40, 40, 1, 4, 6, 1, 160, 40], 1) == 0
    np.testing.assert_array_equal(got, np.pad(x.astype(np.float32), ((0, 0), (1, 1), (0, 0))))


@pytest.mark.parametrize("columns", [1, 32])
@pytest.mark.parametrize("reverse", [False, True])
def test_pack(columns: int, reverse: bool) -> None:
    groups, results, channels = 2, 21, 5
    w = np.random.default_rng(1).standard_normal((groups * results, channels, 3, 2)).astype(np.float32)
    taps: Any = ((3, -2), (2, -1)) if reverse else ((3, 2), (2, 1))
    packing = Packing(groups, results, columns, (*taps, (channels, 6)), results * channels * 6, channels * 6)
    got = np.full(packing.count, 7, np.float32)
    source = w.reshape(-1)[5:] if reverse else w
    kernel = ConvPack(dtypes.float32, dtypes.float32, 3, min(columns, host_target().lanes(4)))
    bounds = [np.lib.array_utils.byte_bounds(array) for array in (got, w)]
    assert run_kernel(kernel, [got, source], packing.sizes, packing.tasks, 2, bounds=bounds) == 0
    want = np.zeros((groups, packing.panels * columns, channels, 3, 2), np.float32)
    want[:, :results] = (w[:, :, ::-1, ::-1] if reverse else w).reshape(groups, results, channels, 3, 2)
    want = want.reshape(groups, packing.panels, columns, channels, 3, 2).transpose(0, 1, 4, 5, 3, 2)
    np.testing.assert_array_equal(got.reshape(want.shape), want)
