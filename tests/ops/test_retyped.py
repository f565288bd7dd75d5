"""Types that ONNX's own definitions of operators leave out."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import sardonyx
from ops.cases import Case


def strict(case: Case) -> list[np.ndarray]:
    session = sardonyx.InferenceSession(case.model(symbolic=False), sardonyx.SessionOptions(strict=True))
    return list(session.run(None, case.feeds()))


@pytest.mark.parametrize("constant", [(), (1,)])
def test_sizes_of_32_bits(constant: tuple[int, ...]) -> None:
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    (got,) = strict(Case("CenterCropPad", [x, np.asarray([2, 7], np.int32)], constant=constant, opset=22))
    np.testing.assert_array_equal(got, np.pad(x[1:3], [(0, 0), (1, 1)]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_of_bfloat16(reduction: str) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((6, 5)), rng.integers(0, 5, 6)
    weights = rng.uniform(0.5, 1, 5)
    inputs = [scores.astype(ml_dtypes.bfloat16), labels, weights.astype(ml_dtypes.bfloat16)]
    attributes = {"reduction": reduction, "ignore_index": int(labels[0])}
    loss, logs = strict(Case("SoftmaxCrossEntropyLoss", inputs, attributes, outputs=2, opset=22))
    assert loss.dtype == logs.dtype == ml_dtypes.bfloat16
    expected = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logs.astype(np.float64), expected, rtol=2e-2, atol=2e-2)
    chosen = np.where(labels == labels[0], 0, weights[labels])
    losses = -expected[np.arange(6), labels] * chosen
    wanted = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / chosen.sum()}[reduction]
    np.testing.assert_allclose(loss.astype(np.float64), wanted, rtol=2e-2, atol=2e-2)
