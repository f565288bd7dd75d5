"""TensorFlow: graphs in every form that they are kept in, and TFLite files of a classifier of digits."""

from __future__ import annotations

import atexit
import contextlib
import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from conversion.cases import Case
from sardonyx.conversion.frameworks._tensorflow.packages import import_keras, import_tensorflow
from sardonyx.conversion.quiet import quiet

tf = import_tensorflow()


@cache
def folder() -> Path:
    """Where sources that are files lie until the process ends."""
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    return Path(made.name)


@cache
def digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(np.float32).reshape(-1, 8, 8, 1), data.target


@cache
def classifier() -> Any:
    """A CNN of digits, trained."""
    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(0)
    x, y = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="picture"),
            layers.Rescaling(1 / 16),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.ReLU(6),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="gelu"),
            layers.Flatten(),
            layers.Dense(32, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=8, verbose=0)
    return model


def saved_model() -> tuple[Any, dict[str, Any]]:
    path = folder() / "saved"
    classifier().export(path, verbose=False)
    return path, {"data": digits()[0]}


class Newton(tf.Module):  # type: ignore[misc]
    """Square roots by as many steps as they need: a loop whose end depends on data."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = tf.Variable([0.5, 1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
    def __call__(self, x: Any) -> dict[str, Any]:
        wanted = tf.abs(x) + self.shift
        found, steps = wanted, tf.constant(0)
        while tf.reduce_max(tf.abs(found * found - wanted)) > 1e-5 and steps < 30:
            found, steps = (found + wanted / found) / 2, steps + 1
        return {"root": found, "sign": tf.where(x < 0, -found, found)}


def module() -> tuple[Any, dict[str, Any]]:
    return Newton(), {}


def saved_module() -> tuple[Any, dict[str, Any]]:
    path, newton = folder() / "newton", Newton()
    tf.saved_model.save(newton, str(path), signatures=newton.__call__)
    return path, {}


def function() -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(0)
    kernel = tf.Variable(rng.standard_normal((5, 5, 3, 8), np.float32) / 8)
    weights = tf.Variable(rng.standard_normal((8, 4), np.float32))

    @tf.function
    def features(image: Any) -> Any:
        seen = tf.nn.conv2d(image, kernel, 2, "SAME")
        seen = tf.nn.local_response_normalization(tf.nn.leaky_relu(seen, 0.1))
        small = tf.image.resize(seen, (5, 5))
        return tf.nn.log_softmax(tf.reduce_mean(small, (1, 2)) @ weights)

    return features, {"example_inputs": np.zeros((1, 17, 19, 3), np.float32)}


def concrete_function() -> tuple[Any, dict[str, Any]]:
    table = tf.constant(np.random.default_rng(0).standard_normal((50, 6), np.float32))

    @tf.function
    def scores(ids: Any, weights: Any) -> Any:
        rows = tf.gather(table, ids)
        return tf.einsum("btd,bt->bd", rows, tf.nn.softmax(weights)), tf.math.top_k(weights, 3).values

    specs = tf.TensorSpec((None, 7), tf.int32, name="ids"), tf.TensorSpec((None, 7), tf.float32, name="weights")
    return scores.get_concrete_function(*specs), {}


def frozen_graph() -> tuple[Any, dict[str, Any]]:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = classifier()
    traced = tf.function(lambda picture: model(picture, training=False))
    with quiet():
        frozen = convert_variables_to_constants_v2(
            traced.get_concrete_function(tf.TensorSpec((None, 8, 8, 1), tf.float32, name="picture"))
        )
    path = folder() / "frozen.pb"
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    return path, {"data": digits()[0]}


def lite(name: str, **settings: Any) -> Path:
    """A TFLite file of the classifier."""
    path = folder() / f"{name}.tflite"
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_keras_model(classifier())
        for key, value in settings.items():
            setattr(converter, key, value)
        path.write_bytes(converter.convert())
    return path


def pictures() -> Any:
    """Representative data: what the ranges of quantised values are taken from."""
    return ([digits()[0][row : row + 1]] for row in range(300))


def lite_float() -> tuple[Any, dict[str, Any]]:
    return lite("float"), {"data": digits()[0]}


def lite_half() -> tuple[Any, dict[str, Any]]:
    converter = {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": tf.lite.TargetSpec([], [tf.float16])}
    return lite("half", **converter), {"data": digits()[0]}


def lite_int8() -> tuple[Any, dict[str, Any]]:
    settings = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": pictures}
    return lite("int8", **settings), {"data": digits()[0]}


def lite_all_int8() -> tuple[Any, dict[str, Any]]:
    only = tf.lite.TargetSpec([tf.lite.OpsSet.TFLITE_BUILTINS_INT8])
    edges = {"inference_input_type": tf.int8, "inference_output_type": tf.int8, "target_spec": only}
    settings = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": pictures}
    path = lite("all_int8", **settings, **edges)
    with quiet():
        scale, zero = tf.lite.Interpreter(str(path)).get_input_details()[0]["quantization"]
    return path, {"data": np.clip(np.round(digits()[0] / scale) + zero, -128, 127).astype(np.int8)}


CASES = [
    Case("SavedModel: CNN, digits", saved_model),
    Case("SavedModel: loop whose end depends on data", saved_module),
    Case("tf.Module: loop whose end depends on data", module),
    Case("tf.function: convolution, resize", function),
    Case("concrete function: two inputs, gather, einsum, top_k", concrete_function),
    Case("frozen graph: CNN, digits", frozen_graph),
    Case("TFLite float32: CNN, digits", lite_float),
    Case("TFLite float16 weights: CNN, digits", lite_half),
    Case("TFLite int8 inside: CNN, digits", lite_int8),
    Case("TFLite int8 throughout: CNN, digits", lite_all_int8),
]
