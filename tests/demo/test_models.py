"""The models that the demo and the benchmarks make."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from sardonyx.demo.models import digits_classifier, resnet50


def test_resnet50_is_valid_and_keeps_its_activations_in_range() -> None:
    model = resnet50()
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 53
    parameters = sum(np.prod(weight.dims) for weight in model.graph.initializer)
    assert parameters == pytest.approx(25.6e6, rel=0.01)

    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 96), np.float32)
    (logits,) = session.run(None, {"image": images})
    assert logits.shape == (2, 1000)
    assert 0.5 < logits.std() < 50
    assert np.abs(logits[0] - logits[1]).max() > 0.1  # the output depends on the input


def test_resnet50_is_the_same_every_time() -> None:
    one, other = (resnet50(seed=3, classes=10) for _ in range(2))
    assert one.graph.initializer[5].raw_data == other.graph.initializer[5].raw_data
    assert one.graph.initializer[5].raw_data != resnet50(seed=4, classes=10).graph.initializer[5].raw_data


def test_the_digits_classifier_learns_and_converts() -> None:
    digits = digits_classifier()
    session = onnxruntime.InferenceSession(digits.model.SerializeToString())
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: digits.images})
    assert (labels == digits.labels).mean() > 0.95
    np.testing.assert_allclose(probabilities, digits.expected, atol=1e-5)
