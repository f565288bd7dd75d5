"""Keras sources: files and objects, names and sizes, code in files, missing layers, preprocessing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import sardonyx
from sardonyx.conversion.frameworks._tensorflow.packages import import_keras
from sardonyx.errors import ConversionError, UntrustedSourceError

keras = import_keras()
L = keras.layers
# Keras saves its variables by way of an older protocol of numpy's.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()


def small(*layers: Any, shape: tuple[int | None, ...] = (6,)) -> Any:
    return keras.Sequential([keras.Input(shape), *layers, L.Dense(3, "softmax")])


class Operation(L.Layer):  # type: ignore[misc, name-defined]
    """A function as a layer."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def shapes(result: sardonyx.Conversion) -> list[list[Any]]:
    session = result.session()
    return [list(value.shape) for value in (*session.get_inputs(), *session.get_outputs())]


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_whole_models_in_files(tmp_path: Path, name: str) -> None:
    small(L.Dense(4, "relu")).save(tmp_path / name)
    result = sardonyx.convert(tmp_path / name, tmp_path / "m.onnx")
    assert result.certificate.passed
    assert shapes(result) == [["batch", 6], ["batch", 3]]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["m.certificate.json", "m.onnx", name])


def test_weights_need_a_factory(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = small(L.Dense(4, "relu"))
    model.save_weights(path)
    with pytest.raises(ConversionError, match=r"weights only.*--factory"):
        sardonyx.convert(path)
    result = sardonyx.convert(path, factory=lambda: small(L.Dense(4, "relu")))
    assert result.certificate.passed
    x = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(result.session().run(None, {"input": x})[0], model(x), rtol=1e-5)
    with pytest.raises(ConversionError, match="do not fit the factory's Sequential"):
        sardonyx.convert(path, factory=lambda: small(L.Dense(5, "relu")))


def test_gelu_is_written_with_erf() -> None:
    result = sardonyx.convert(small(L.Dense(4, "gelu")))
    assert result.certificate.passed
    assert any("Erfc" in note for note in result.certificate.notes)
    assert "Erf" in {node.op_type for node in result.model.graph.node}


@pytest.mark.parametrize(
    ("layer", "shape", "note"),
    [
        (lambda: L.Conv2D(4, 3, groups=2), (6, 6, 4), ""),
        (lambda: Operation(lambda x: keras.ops.argmax(x, -1)), (4, 3), "sign of -0"),
        (lambda: L.Discretization([-0.5, 0.0, 1.0]), (4,), "Bucketize"),
        (lambda: Operation(lambda x: keras.ops.searchsorted(keras.ops.linspace(-1.0, 1.0, 6), x[0])), (9,), "Bound"),
        (lambda: Operation(lambda x: keras.ops.searchsorted(keras.ops.sort(x[0]), x[0], "right")), (5,), "Bound"),
        (lambda: L.Resizing(7, 5, "nearest"), (4, 6, 1), "sizes"),
        (lambda: L.Resizing(7, 5, "bicubic"), (4, 6, 2), "1024 places"),
        (lambda: Operation(lambda x: keras.ops.expm1(keras.ops.log1p(keras.ops.abs(x)))), (4,), "Expm1"),
    ],
)
def test_what_tf2onnx_gets_wrong_or_does_not_know(layer: Any, shape: tuple[int, ...], note: str) -> None:
    certificate = sardonyx.convert(keras.Sequential([keras.Input(shape), layer()]), rows=50).certificate
    assert certificate.passed, certificate.plain()
    assert any(note in text for text in [*certificate.notes, ""])


def test_argmax_of_signed_zeros_is_the_sources() -> None:
    model = keras.Sequential([keras.Input((3,)), Operation(lambda x: keras.ops.argmax(x, -1))])
    x = np.array([[-0.0, 0.0, -0.0], [0.0, -0.0, 0.0], [-1.0, -0.0, 0.0], [np.inf, 1, np.inf]], np.float32)
    assert sardonyx.convert(model, data=x).certificate.passed


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_lookups(mode: str) -> None:
    width = 1 if mode == "one_hot" else 3
    words, codes = keras.Input((width,), dtype="string"), keras.Input((width,), dtype="int64")
    outputs = [
        L.StringLookup(vocabulary=["red", "green", "blue"], output_mode=mode)(words),
        L.IntegerLookup(vocabulary=[5, 7, 100], output_mode=mode)(codes),
    ]
    certificate = sardonyx.convert(keras.Model([words, codes], outputs), rows=50).certificate
    assert certificate.passed, certificate.plain()
    assert certificate.data["origin"] == "training"


@pytest.mark.parametrize(
    "settings",
    [
        {"output_sequence_length": 5},
        {},
        {"standardize": "lower"},
        {"standardize": None, "output_sequence_length": 3},
        {"output_mode": "multi_hot"},
        {"output_mode": "count", "pad_to_max_tokens": False},
        {"output_mode": "tf_idf", "idf_weights": [1.0, 0.5, 2.0, 3.0]},
    ],
    ids=str,
)
def test_text_is_split_and_looked_up(settings: dict[str, Any]) -> None:
    given = keras.Input((1,), dtype="string", name="text")
    model = keras.Model(given, L.TextVectorization(vocabulary=["the", "cat", "dont", "été"], **settings)(given))
    texts = ["The cat, the CAT!", "don't", "", " \t ", "...", "été-cat\nthe  the x y z", "a" * 50, "don''t [the]\\cat"]
    result = sardonyx.convert(model, data=np.array(texts, object)[:, None])
    assert result.certificate.passed, result.certificate.plain()
    assert result.certificate.model["opsets"]["ai.onnx"] == 20
    with pytest.raises(ConversionError, match="needs opset 20"):
        sardonyx.convert(model, opset=15)


def test_text_that_is_split_otherwise_is_refused_by_name() -> None:
    given = keras.Input((1,), dtype="string")
    layer = L.TextVectorization(vocabulary=["the"], ngrams=2, name="pairs")
    with pytest.raises(ConversionError, match=r"StringNGrams of layer 'pairs' \(TextVectorization\)"):
        sardonyx.convert(keras.Model(given, layer(given)))


def test_class_names_by_an_inverted_lookup() -> None:
    given = keras.Input((3,), dtype="int64")
    names = L.StringLookup(vocabulary=["cat", "dog"], invert=True, num_oov_indices=1)(given)
    assert sardonyx.convert(keras.Model(given, names)).certificate.passed


def test_a_sequential_without_inputs_needs_an_example() -> None:
    with pytest.raises(ConversionError, match=r"never called.*example_inputs"):
        sardonyx.convert(keras.Sequential([L.Dense(3)]))
    result = sardonyx.convert(keras.Sequential([L.Dense(3)]), example_inputs=np.ones((2, 5), np.float32))
    assert result.certificate.passed
    assert shapes(result) == [["batch", 5], ["batch", 3]]


def test_subclassed_models_in_files_need_their_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "class Tower(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.a, self.b = keras.layers.Dense(4, activation='tanh'), keras.layers.Dense(2)\n"
        "    def call(self, left, right):\n"
        "        return self.b(self.a(left) * right), self.a(left)\n"
        "    def get_config(self):\n"
        "        return {}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    from mine import Tower

    model = Tower()
    example = (np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))
    model(*example)
    model.save("m.keras")
    with pytest.raises(ConversionError, match=r"'Tower'.*--option module=MODULE"):
        sardonyx.convert(tmp_path / "m.keras")
    result = sardonyx.convert(tmp_path / "m.keras", module="mine", example_inputs=example)
    assert result.certificate.passed
    assert shapes(result) == [["batch", 3], ["batch", 4], ["batch", 2], ["batch", 4]]
    del sys.modules["mine"]


def test_code_in_lambda_layers_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    small(L.Lambda(lambda x: x * 2, name="doubling")).save(path)
    with pytest.raises(UntrustedSourceError, match=r"Lambda layer doubling.*--trust"):
        sardonyx.convert(path)
    assert sardonyx.convert(path, trust=True).certificate.passed


def test_the_batch_is_open_or_fixed() -> None:
    model = small(L.LSTM(4), shape=(None, 5))
    assert shapes(sardonyx.convert(model)) == [["batch", "input_dim1", 5], ["batch", 3]]
    fixed = sardonyx.convert(model, dynamic=False, example_inputs=np.ones((2, 7, 5), np.float32))
    assert shapes(fixed) == [[2, "input_dim1", 5], [2, 3]]
    assert fixed.certificate.passed


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_opsets(opset: int) -> None:
    result = sardonyx.convert(small(L.Dense(4, "gelu"), L.LayerNormalization()), opset=opset)
    assert result.certificate.passed
    assert result.certificate.model["opsets"]["ai.onnx"] == opset


def test_ranges_come_from_preprocessing_layers() -> None:
    scaled = sardonyx.convert(small(L.Rescaling(1 / 255), L.Flatten(), shape=(4, 4, 3)))
    assert scaled.certificate.data["origin"] == "training"
    normalise = L.Normalization()
    normalise.adapt(np.random.default_rng(0).normal(50, 3, (100, 6)))
    assert sardonyx.convert(small(normalise)).certificate.data["origin"] == "training"


def test_an_unsupported_operator_is_named_with_its_layer() -> None:
    class Inverse(L.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.erfinv(x)

    with pytest.raises(ConversionError, match="Erfinv of layer 'odd' \\(Inverse\\)"):
        sardonyx.convert(small(Inverse(name="odd")))


def test_the_first_layer_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from sardonyx.conversion.frameworks import keras as home

    exported = home.to_onnx

    def spoilt(*arguments: Any) -> Any:
        graph = exported(*arguments)
        for tensor in graph.model.graph.initializer:
            if list(tensor.dims) == [4, 5]:
                tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 1.01, tensor.name))
        return graph

    monkeypatch.setattr(home, "to_onnx", spoilt)
    certificate = sardonyx.convert(
        small(L.Dense(4, "relu", name="first"), L.Dense(5, "relu", name="second"))
    ).certificate
    assert not certificate.passed
    assert "second" in certificate.first_difference


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    sardonyx.convert(small(L.Dense(4, "gelu")))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    small().save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ConversionError, match=r"m\.keras"):
        sardonyx.convert(path)
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ConversionError, match="damaged HDF5"):
        sardonyx.convert(tmp_path / "m.h5")


def test_the_model_says_where_it_comes_from() -> None:
    model = sardonyx.convert(small()).model
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["sardonyx.source"])["framework"] == "Keras"
