"""MatMulNBits against the definition in float64, and against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ops.contrib.oracle import check
from ops.run_record import run_record
from sardonyx.errors import InvalidModelError
from sardonyx.ops.contrib.nbits import MatMulNBits

Array = npt.NDArray[Any]


def weights(k: int, n: int, bits: int, block: int, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Integers (N, blocks * block), their packed bytes, scales and zero points."""
    random, blocks = np.random.default_rng(seed), -(-k // block)
    integers = random.integers(0, 1 << bits, (n, blocks * block)).astype(np.uint8)
    scales = random.uniform(0.01, 0.1, (n, blocks)).astype(np.float32)
    zeros = random.integers(0, 1 << bits, (n, blocks)).astype(np.uint8)
    return integers, packed(integers, bits).reshape(n, blocks, -1), scales, zeros


def packed(integers: Array, bits: int) -> Array:
    """Rows of small integers as bytes, the first in the lowest bits."""
    each = 8 // bits
    padded = np.pad(integers, [(0, 0), (0, -integers.shape[1] % each)]).reshape(integers.shape[0], -1, each)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    result: Array = np.bitwise_or.reduce(padded << shifts, axis=2).astype(np.uint8)
    return result


def wanted(a: Array, integers: Array, scales: Array, zeros: Array | float, block: int) -> Array:
    k = a.shape[-1]
    wide = [np.repeat(np.broadcast_to(x, scales.shape), block, axis=1) for x in (zeros, scales)]
    b = (integers.astype(np.float64) - wide[0]) * wide[1]
    result: Array = a.astype(np.float64) @ b[:, :k].T
    return result


def close(got: Array, want: Array, tolerance: float = 3e-5) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=tolerance, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(
    ("m", "k", "n", "block"), [(1, 128, 40, 32), (3, 200, 33, 16), (40, 300, 130, 128), (1, 70, 5, 256)]
)
def test_blocks(bits: int, m: int, k: int, n: int, block: int) -> None:
    """With and without zero points, in both forms, and a bias; row by row and all at once."""
    integers, data, scales, zeros = weights(k, n, bits, block)
    a = np.random.default_rng(1).standard_normal((2, m, k)).astype(np.float32)
    bias = np.random.default_rng(2).standard_normal(n).astype(np.float32)
    record, known = MatMulNBits(k, n, block, bits), [1, 2, 3]
    middle = float(1 << (bits - 1))
    close(run_record(record, [a, data, scales], constant=known), wanted(a, integers, scales, middle, block))
    given = [a, data, scales.reshape(-1), packed(zeros, bits), None, bias]
    got = run_record(record, given, constant=known, symbolic=[(0, 1)])
    close(got, wanted(a, integers, scales, zeros, block) + bias)
    np.testing.assert_array_equal(run_record(record, given, constant=known, symbolic=[(0, 1)], splits=3), got)
    floats = zeros.astype(np.float32) + np.float32(0.5)
    close(run_record(record, [a, data, scales, floats], constant=known), wanted(a, integers, scales, floats, block))


def test_half_precision() -> None:
    integers, data, scales, _ = weights(128, 40, 4, 32)
    a, half = np.random.default_rng(1).standard_normal((5, 128)).astype(np.float16), scales.astype(np.float16)
    got = run_record(MatMulNBits(128, 40, 32), [a, data, half], constant=[1, 2])
    assert got.dtype == np.float16
    close(got, wanted(a, integers, half, 8.0, 32), 2e-3)


@pytest.mark.parametrize("bits", [4, 8])
def test_like_onnx_runtime(bits: int) -> None:
    _, data, scales, zeros = weights(96, 48, bits, 32)
    a = np.random.default_rng(1).standard_normal((2, 5, 96)).astype(np.float32)
    attributes = {"K": 96, "N": 48, "bits": bits, "block_size": 32}
    inputs = [a, data, scales.reshape(-1), packed(zeros, bits).reshape(-1)]
    check("MatMulNBits", inputs, attributes, constant=[1, 2, 3], fixed=[0], tolerance=2e-4)


def test_errors_say_what_is_wrong() -> None:
    _, data, scales, _ = weights(96, 48, 4, 32)
    a = np.zeros((5, 96), np.float32)
    for record, message in [
        (MatMulNBits(96, 48, 20), "block_size"),
        (MatMulNBits(96, 48, 32, 3), "bits"),
        (MatMulNBits(96, 49, 32), "input 1 must have"),
        (MatMulNBits(90, 48, 32), "'K' is 90"),
    ]:
        with pytest.raises(InvalidModelError, match=message):
            run_record(record, [a, data, scales], constant=[1, 2])
