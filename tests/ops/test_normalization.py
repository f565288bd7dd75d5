"""Normalisations against their definitions in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.run_record import Double, RunContext, run_record
from sardonyx.errors import InvalidModelError
from sardonyx.kernels.norm import Normalize
from sardonyx.ops.lrn import LRN
from sardonyx.ops.normalization import (
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    LpNormalization,
    MeanVarianceNormalization,
    RMSNormalization,
)

Array = npt.NDArray[Any]


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.normal(size=shape).astype(np.float32)


def standard(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    wide = x.astype(np.float64)
    return (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + epsilon)


def channels(v: Array, rank: int) -> Array:
    return v.astype(np.float64).reshape(1, -1, *[1] * (rank - 2))


def close(got: Array, want: Array, tolerance: float = 4e-6) -> None:
    assert got.shape == want.shape
    scale = float(np.max(np.abs(want), initial=1.0))
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("seed", range(8))
def test_layer_normalization(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(n) for n in rng.choice([1, 2, 5, 17, 64, 97], rank))
    axis = int(rng.integers(-rank, rank))
    axes = tuple(range(axis % rank, rank))
    x, scale, bias = normal(rng, *shape), normal(rng, *shape[axis:]), normal(rng, *shape[axis:])
    symbolic = [(0, a) for a in range(rank) if a not in axes and rng.integers(2)]
    given = [x, scale, bias] if seed % 2 else [x, scale]
    context = RunContext(LayerNormalization(axis=axis), given, outputs=3, symbolic=symbolic, splits=2)
    want = standard(x, axes, 1e-5) * scale + (bias if seed % 2 else 0)
    close(context.results[0], want, 1e-5)
    close(context.results[1], x.astype(np.float64).mean(axes, keepdims=True))
    close(context.results[2], 1 / np.sqrt(x.astype(np.float64).var(axes, keepdims=True) + 1e-5), 1e-5)


def test_layer_normalization_is_robust_to_large_means() -> None:
    x = normal(np.random.default_rng(1), 3, 1000) + 10_000
    close(run_record(LayerNormalization(), [x, np.ones(1000, np.float32)]), standard(x, (1,), 1e-5), 1e-5)


def test_broadcast_scale_and_dtypes() -> None:
    rng = np.random.default_rng(2)
    x = normal(rng, 3, 8, 20)
    scale, bias = normal(rng, 8, 1), normal(rng, 20)
    close(run_record(LayerNormalization(axis=1), [x, scale, bias]), standard(x, (1, 2), 1e-5) * scale + bias)
    for dtype, tolerance in ((np.float16, 5e-3), (np.float64, 1e-13)):
        y, factor = x.astype(dtype), bias.astype(dtype)
        got = run_record(LayerNormalization(), [y, factor])
        assert got.dtype == dtype
        close(got, standard(y, (2,), 1e-5) * factor, tolerance)


def test_layer_normalization_over_strided_and_permuted_memory() -> None:
    rng = np.random.default_rng(3)
    x, scale = normal(rng, 40, 6, 30), normal(rng, 6)
    for view in (x.transpose(0, 2, 1), x.transpose(2, 0, 1), x[::2, :, ::-1].transpose(0, 2, 1)):
        close(run_record(LayerNormalization(), [view, scale]), standard(view, (2,), 1e-5) * scale)


def test_fused_neighbours() -> None:
    rng = np.random.default_rng(4)
    x, scale, other = normal(rng, 5, 77), normal(rng, 77), normal(rng, 5, 77)
    got = run_record(LayerNormalization(), [x, scale], doubled=True, residual=other)
    close(got, np.maximum(standard(2 * x, (1,), 1e-5) * scale + other, 0))


@pytest.mark.parametrize("residual", [False, True])
def test_dear_elements_are_kept(monkeypatch: pytest.MonkeyPatch, residual: bool) -> None:
    monkeypatch.setattr(Double, "cost", 50)
    rng = np.random.default_rng(10)
    for x in (normal(rng, 6, 4, 50), normal(rng, 50, 6, 4).transpose(1, 2, 0)):
        scale, other = normal(rng, 50), normal(rng, 6, 4, 50)
        context = RunContext(LayerNormalization(), [x, scale], doubled=True, residual=other if residual else None)
        want = standard(2 * x, (2,), 1e-5) * scale
        close(context.results[0], np.maximum(want + other, 0) if residual else want)
        (kernel, *_) = context.kernels[0]
        assert isinstance(kernel, Normalize)
        assert kernel.stage is not None


def test_rms_normalization() -> None:
    rng = np.random.default_rng(5)
    for axis in (-1, 1):
        x = normal(rng, 3, 5, 70)
        scale = normal(rng, *x.shape[axis:])
        axes = tuple(range(axis % 3, 3))
        want = x / np.sqrt(np.mean(x.astype(np.float64) ** 2, axes, keepdims=True) + 1e-5) * scale
        close(run_record(RMSNormalization(axis=axis), [x, scale], symbolic=[(0, 0)]), want)
        half = run_record(RMSNormalization(axis=axis), [x, scale.astype(np.float16)])
        assert half.dtype == np.float16
        close(half, want, 3e-3)


@pytest.mark.parametrize("shape", [(2, 6, 7, 9), (1, 4, 300), (3, 8, 2, 3, 5), (2, 12)])
@pytest.mark.parametrize("last", [False, True])
def test_instance_and_group_normalization(shape: tuple[int, ...], last: bool) -> None:
    rng = np.random.default_rng(6)
    rank, count = len(shape), shape[1]
    x, scale, bias = normal(rng, *shape), normal(rng, count), normal(rng, count)
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if rank > 2:
        want = standard(x, tuple(range(2, rank)), 1e-3) * channels(scale, rank) + channels(bias, rank)
        close(run_record(InstanceNormalization(epsilon=1e-3), [x, scale, bias], splits=2), want)
    for groups in (1, 2, count):
        grouped = x.reshape(shape[0], groups, count // groups, *shape[2:])
        normed = standard(grouped, tuple(range(2, rank + 1)), 1e-5).reshape(shape)
        want = normed * channels(scale, rank) + channels(bias, rank)
        record = GroupNormalization(num_groups=groups)
        close(run_record(record, [x, scale, bias], splits=2), want, 1e-5)
        if not last:
            symbolic = [(0, 0), (0, 1), *((0, a) for a in range(2, rank))]
            close(run_record(record, [x, scale, bias], symbolic=symbolic), want, 1e-5)
            close(
                run_record(record, [x, scale, bias], residual=np.ones(shape, np.float32)), np.maximum(want + 1, 0), 1e-5
            )


def test_lp_normalization() -> None:
    x = normal(np.random.default_rng(7), 4, 30, 9)
    x[0, :, 3] = 0
    wide = x.astype(np.float64)
    for axis in (-1, 1):
        for p, norm in ((1, np.abs(wide).sum(axis, keepdims=True)), (2, np.sqrt((wide**2).sum(axis, keepdims=True)))):
            want = np.divide(wide, norm, out=np.zeros_like(wide), where=norm != 0)
            close(run_record(LpNormalization(axis=axis, p=p), [x]), want)


def test_mean_variance_normalization() -> None:
    x = normal(np.random.default_rng(8), 3, 5, 7, 6)
    wide = x.astype(np.float64)
    for axes in ((0, 2, 3), (1,), (-1, 0)):
        want = (wide - wide.mean(axes, keepdims=True)) / (wide.std(axes, keepdims=True) + 1e-9)
        close(run_record(MeanVarianceNormalization(axes=axes), [x]), want, 1e-5)


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_lrn(size: int) -> None:
    rng = np.random.default_rng(9)
    whole = normal(rng, 2, 6, 5, 21)
    for x in (whole, whole.transpose(0, 3, 1, 2), whole[:, :, 0]):
        square = x.astype(np.float64) ** 2
        total = np.zeros(x.shape)
        for c in range(x.shape[1]):
            total[:, c] = square[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1].sum(1)
        want = x / (2 + 0.3 / size * total) ** 0.6
        close(run_record(LRN(size=size, alpha=0.3, beta=0.6, bias=2.0), [x]), want)


def test_errors() -> None:
    x, two, three = np.zeros((2, 3, 4), np.float32), np.zeros(2, np.float32), np.zeros(3, np.float32)
    with pytest.raises(InvalidModelError, match="axis 3 is outside"):
        run_record(LayerNormalization(axis=3), [x, two])
    with pytest.raises(InvalidModelError, match="do not broadcast"):
        run_record(LayerNormalization(), [x, two])
    with pytest.raises(InvalidModelError, match="one element for each of 3 channels, got 2"):
        run_record(InstanceNormalization(), [x, two, two])
    with pytest.raises(InvalidModelError, match="do not make 2 groups"):
        run_record(GroupNormalization(num_groups=2), [x, three, three])
    with pytest.raises(InvalidModelError, match="p must be 1 or 2"):
        run_record(LpNormalization(p=3), [x])
