"""Keras 3: trained on scikit-learn's digits where pictures will do, else with seeded random weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from conversion.cases import Case
from sardonyx.conversion.frameworks._tensorflow.packages import import_keras

keras = import_keras()
L = keras.layers


def built(make: Callable[[], Any]) -> Callable[[], tuple[Any, dict[str, Any]]]:
    """A case of a model with seeded weights."""

    @functools.wraps(make)
    def build() -> tuple[Any, dict[str, Any]]:
        keras.utils.set_random_seed(0)
        return make(), {}

    return build


def digits(*shape: int) -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(np.float32).reshape(-1, *shape), data.target


def trained(model: Any, epochs: int, *shape: int) -> tuple[Any, dict[str, Any]]:
    """A classifier of digits and the pictures that it is compared on."""
    x, y = digits(*shape)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model, {"data": x}


def dense() -> tuple[Any, dict[str, Any]]:
    keras.utils.set_random_seed(0)
    layers = [L.Rescaling(1 / 16), L.Dense(64, "relu"), L.Dropout(0.2), L.Dense(10, "softmax")]
    return trained(keras.Sequential([keras.Input((64,)), *layers]), 10, 64)


def cnn() -> tuple[Any, dict[str, Any]]:
    keras.utils.set_random_seed(0)
    layers = [
        L.Rescaling(1 / 16),
        L.Conv2D(16, 3, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.ReLU(),
        L.MaxPooling2D(),
        L.Conv2D(32, 3, activation="gelu"),
        L.GlobalAveragePooling2D(),
        L.Dense(10, "softmax"),
    ]
    return trained(keras.Sequential([keras.Input((8, 8, 1)), *layers]), 5, 8, 8, 1)


def lstm() -> Any:
    layers = [L.LSTM(32, return_sequences=True), L.LSTM(16), L.Dense(5, "softmax")]
    return keras.Sequential([keras.Input((None, 12)), *layers])


def gru() -> Any:
    layers = [L.Bidirectional(L.GRU(24, return_sequences=True)), L.Bidirectional(L.GRU(12)), L.Dense(5, "softmax")]
    return keras.Sequential([keras.Input((20, 12)), *layers])


def variable_gru() -> Any:
    layers = [L.Bidirectional(L.GRU(24, return_sequences=True)), L.Dense(5, "softmax")]
    return keras.Sequential([keras.Input((None, 12)), *layers])


def attention() -> Any:
    given = keras.Input((None, 32), name="tokens")
    x = given
    for _ in range(2):
        x = L.LayerNormalization()(x + L.MultiHeadAttention(4, 8)(x, x))
        x = L.LayerNormalization()(x + L.Dense(32)(L.Dense(64, "gelu")(x)))
    return keras.Model(given, L.Dense(4, "softmax")(L.GlobalAveragePooling1D()(x)))


def several() -> Any:
    table, picture = keras.Input((6,), name="table"), keras.Input((16, 16, 3), name="picture")
    seen = L.GlobalMaxPooling2D()(L.Conv2D(8, 3, activation="elu")(picture))
    joined = L.Concatenate()([L.Dense(8, "tanh")(table), seen])
    outputs = {"kind": L.Dense(3, "softmax")(joined), "price": L.Dense(1)(joined)}
    return keras.Model({"table": table, "picture": picture}, outputs)


def separable() -> Any:
    layers = [
        L.SeparableConv2D(16, 3, strides=2, padding="same"),
        L.BatchNormalization(),
        L.Activation("swish"),
        L.DepthwiseConv2D(3, padding="same"),
        L.Conv2DTranspose(8, 3, strides=2, padding="same"),
        L.LayerNormalization(),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(6, "softmax"),
    ]
    return keras.Sequential([keras.Input((20, 20, 3)), *layers])


def text() -> Any:
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = L.Embedding(500, 32)(ids)
    x = L.Conv1D(32, 3, padding="causal", activation="gelu")(x)
    return keras.Model(ids, L.Dense(2, "softmax")(L.GlobalMaxPooling1D()(x)))


def sentences() -> Any:
    """From text to scores: words, their embeddings, and their weighted counts."""
    words = ["the", "cat", "sat", "on", "mat", "dont", "été"]
    given = keras.Input((1,), dtype="string", name="text")
    ids = L.TextVectorization(vocabulary=words, output_sequence_length=12)(given)
    counts = L.TextVectorization(vocabulary=words, output_mode="tf_idf", idf_weights=np.linspace(0.5, 2, 7))(given)
    read = L.Bidirectional(L.LSTM(8))(L.Embedding(9, 16)(ids))
    return keras.Model(given, L.Dense(3, "softmax")(L.Concatenate()([read, L.Flatten()(counts)])))


def masked() -> Any:
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, L.Dense(2, "softmax")(L.LSTM(16)(L.Embedding(200, 16, mask_zero=True)(ids))))


def columns() -> Any:
    """A table of strings, codes and numbers, each with its preprocessing inside of the model."""
    colour = keras.Input((1,), dtype="string", name="colour")
    code = keras.Input((2,), dtype="int64", name="code")
    amount, age = keras.Input((4,), name="amount"), keras.Input((1,), name="age")
    scaled = L.Normalization()
    scaled.adapt(np.random.default_rng(0).normal(40, 9, (100, 4)))
    parts = [
        L.StringLookup(vocabulary=["red", "green", "blue"], output_mode="one_hot")(colour),
        L.IntegerLookup(vocabulary=[3, 17, 400], output_mode="multi_hot")(code),
        scaled(amount),
        L.CategoryEncoding(4, output_mode="one_hot")(L.Discretization([-0.5, 0.0, 0.5])(age)),
    ]
    scores = L.Dense(3, "softmax")(L.Dense(16, "relu")(L.Concatenate()(parts)))
    label = L.StringLookup(vocabulary=["low", "middle", "high"], num_oov_indices=0, invert=True)
    outputs = {"scores": scores, "label": label(keras.ops.argmax(scores, -1))}
    return keras.Model([colour, code, amount, age], outputs)


def pictures() -> Any:
    layers = [
        L.CenterCrop(30, 40),
        L.Resizing(24, 24),
        L.Rescaling(1 / 127.5, offset=-1),
        L.Conv2D(16, 3, strides=2, activation="gelu"),
        L.Conv2D(32, 3, groups=4, padding="same"),
        L.GroupNormalization(8),
        L.Activation("mish"),
        L.UpSampling2D(2, interpolation="bilinear"),
        L.GlobalAveragePooling2D(),
        L.Dense(5, "softmax"),
    ]
    return keras.Sequential([keras.Input((33, 47, 3)), *layers])


def custom() -> Any:
    @keras.saving.register_keras_serializable("cases")
    class Gated(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.gate = self.add_weight(shape=(shape[-1],), name="gate")

        def call(self, x: Any) -> Any:
            return x * keras.ops.sigmoid(x * self.gate)

    given = keras.Input((10,))
    return keras.Model(given, L.Dense(3, "softmax")(Gated()(L.Dense(16)(given))))


def mixed() -> Any:
    half = keras.DTypePolicy("mixed_float16")
    layers = [L.Dense(64, "relu", dtype=half), L.Dense(32, "relu", dtype=half), L.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((64,)), *layers])


CASES = [
    Case("dense, digits", dense),
    Case("CNN with BatchNormalization, digits", cnn),
    Case("LSTM, any length", built(lstm)),
    Case("bidirectional GRU", built(gru)),
    Case("bidirectional GRU, any length", built(variable_gru)),
    Case("attention encoder with gelu, any length", built(attention)),
    Case("two inputs, two outputs by name", built(several)),
    Case("separable, depthwise and transposed convolution", built(separable)),
    Case("text: Embedding, Conv1D", built(text)),
    Case("text: masked LSTM", built(masked)),
    Case("text: TextVectorization, Embedding, LSTM", built(sentences)),
    Case("strings, codes and numbers: lookups, Normalization, Discretization", built(columns)),
    Case("pictures: CenterCrop, Resizing, Rescaling, grouped convolution", built(pictures)),
    Case("custom layer", built(custom)),
    Case("mixed precision (float16)", built(mixed)),
]
