"""Models made here, seeded: a digits classifier from scikit-learn and a ResNet-50 with random weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Digits", "digits_classifier", "resnet50"]

Array = npt.NDArray[np.float32]

OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class Digits:
    """A trained classifier as ONNX, the images it has not seen, their labels, and scikit-learn's own answer.

    ``images`` is float32 of shape (n, 64), ``labels`` int64 (n,), ``expected`` float32 probabilities (n, 10).
    """

    model: onnx.ModelProto
    images: Array
    labels: npt.NDArray[np.int64]
    expected: Array


def digits_classifier(seed: int = 0) -> Digits:
    """Trains a small multilayer perceptron on scikit-learn's handwritten digits and converts it with skl2onnx."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from threadpoolctl import threadpool_limits

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images.astype(np.float32), labels, test_size=0.3, random_state=seed
    )
    classifier = make_pipeline(MinMaxScaler(), MLPClassifier((128,), max_iter=200, tol=1e-3, random_state=seed))
    with threadpool_limits(limits=1):  # layers this small only make a BLAS's threads wait for each other
        classifier.fit(train, train_labels)
    model = to_onnx(classifier, train[:1], options={"zipmap": False}, target_opset={"": OPSET, "ai.onnx.ml": 3})
    return Digits(model, test, test_labels.astype(np.int64), classifier.predict_proba(test).astype(np.float32))


def resnet50(seed: int = 0, classes: int = 1000) -> onnx.ModelProto:
    """ResNet-50 (He et al. 2015; stride on the 3 x 3, as in most frameworks) with seeded random weights.

    Input ``image`` is float32 (batch, 3, height, width), output ``logits`` float32 (batch, classes). Weights are drawn
    so that activations keep their size through all 53 convolutions; BatchNormalization stands in inference form.
    """
    network = _Network(np.random.default_rng(seed))
    x = network.convolution("image", 3, 64, kernel=7, stride=2, relu=True)
    x = network.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            x = network.bottleneck(x, channels, width, stride)
            channels = 4 * width
    x = network.node("Flatten", [network.node("GlobalAveragePool", [x])])
    weight = network.weight((channels, classes), channels)
    bias = network.constant(np.zeros(classes, np.float32))
    network.nodes.append(helper.make_node("Gemm", [x, weight, bias], ["logits"], "classifier"))
    return network.model(classes)


@dataclass
class _Network:
    """Nodes and weights of a network under construction."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, value: Array) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, shape: tuple[int, ...], fan_in: int) -> str:
        """Normal with variance 2 / fan_in (He et al. 2015), which a following Relu halves again."""
        scale = np.float32((2.0 / fan_in) ** 0.5)
        return self.constant(self.rng.standard_normal(shape, np.float32) * scale)

    def convolution(
        self, x: str, inputs: int, outputs: int, *, kernel: int, stride: int = 1, relu: bool, gain: float = 1.0
    ) -> str:
        """Conv, BatchNormalization with scales around ``gain``, and Relu where asked for."""
        weight = self.weight((outputs, inputs, kernel, kernel), inputs * kernel * kernel)
        x = self.node("Conv", [x, weight], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        scale = self.constant(self.rng.uniform(0.9 * gain, 1.1 * gain, outputs).astype(np.float32))
        shift, mean = (self.constant(self.rng.normal(0, 0.1, outputs).astype(np.float32)) for _ in range(2))
        variance = self.constant(self.rng.uniform(0.8, 1.2, outputs).astype(np.float32))
        x = self.node("BatchNormalization", [x, scale, shift, mean, variance])
        return self.node("Relu", [x]) if relu else x

    def bottleneck(self, x: str, inputs: int, width: int, stride: int) -> str:
        """1 x 1, 3 x 3, 1 x 1 beside a shortcut, which is projected where the sizes change."""
        y = self.convolution(x, inputs, width, kernel=1, relu=True)
        y = self.convolution(y, width, width, kernel=3, stride=stride, relu=True)
        # A small gain keeps the sum of sixteen branches from growing.
        y = self.convolution(y, width, 4 * width, kernel=1, relu=False, gain=0.2)
        if inputs != 4 * width:
            x = self.convolution(x, inputs, 4 * width, kernel=1, stride=stride, relu=False)
        return self.node("Relu", [self.node("Add", [y, x])])

    def model(self, classes: int) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])
        graph = helper.make_graph(self.nodes, "resnet50", [image], [logits], self.weights)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="sardonyx.demo"
        )
