"""TensorFlow sources: which graph is meant, names, sizes, tables, TFLite's quantised values and labels."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sardonyx
from sardonyx.conversion.frameworks._tensorflow.packages import import_tensorflow
from sardonyx.conversion.quiet import quiet
from sardonyx.errors import ConversionError

tf = import_tensorflow()
W = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


class Two(tf.Module):  # type: ignore[misc]
    """A module of two signatures."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(W)

    @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32, name="x")])
    def product(self, x: Any) -> dict[str, Any]:
        return {"x_w": x @ self.w}

    @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32, name="x")])
    def same(self, x: Any) -> dict[str, Any]:
        return {"x": tf.sin(x)}


def shapes(result: sardonyx.Conversion) -> dict[str, list[Any]]:
    session = result.session()
    return {value.name: list(value.shape) for value in (*session.get_inputs(), *session.get_outputs())}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path, two = tmp_path / "two", Two()
    with quiet():
        tf.saved_model.save(two, str(path), signatures={"product": two.product, "same": two.same})
    return path


def test_a_signature_is_chosen(saved: Path) -> None:
    with pytest.raises(ConversionError, match=r"signatures are product, same.*signature=NAME"):
        sardonyx.convert(saved)
    result = sardonyx.convert(saved, signature="product")
    assert result.certificate.passed
    assert shapes(result) == {"x": ["batch", 6], "x_w": ["batch", 3]}


def test_an_output_of_an_inputs_name(saved: Path) -> None:
    result = sardonyx.convert(saved / "saved_model.pb", signature="same", dynamic=False)
    assert result.certificate.passed
    assert shapes(result) == {"x": [1, 6], "x_1": [1, 6]}


def test_functions_need_to_be_called_or_told() -> None:
    function = tf.function(lambda a, b: tf.nn.relu(a) + b)
    with pytest.raises(ConversionError, match=r"no input_signature.*example_inputs"):
        sardonyx.convert(function)
    example = {"a": np.ones((2, 4), np.float32), "b": np.ones((2, 1), np.float32)}
    result = sardonyx.convert(function, example_inputs=example)
    assert result.certificate.passed
    assert shapes(result) == {"a": ["batch", 4], "b": ["batch", 1], "output": ["batch", 4]}


def graph_def(variables: bool = False) -> Any:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, (None, 6), "x")
        w = tf.compat.v1.get_variable("w", (6, 3), use_resource=False) if variables else tf.constant(W)
        hidden = tf.matmul(x, w, name="hidden")
        tf.nn.softmax(hidden, name="scores")
        tf.reduce_sum(hidden, -1, name="total")
    return graph.as_graph_def()


def test_frozen_graphs(tmp_path: Path) -> None:
    path = tmp_path / "g.pb"
    path.write_bytes(graph_def().SerializeToString())
    assert shapes(sardonyx.convert(path)) == {"x": ["batch", 6], "scores": ["batch", 3], "total": ["batch"]}
    cut = sardonyx.convert(path, outputs="hidden")
    assert cut.certificate.passed
    assert shapes(cut) == {"x": ["batch", 6], "hidden": ["batch", 3]}
    with pytest.raises(ConversionError, match="no node nothing"):
        sardonyx.convert(path, outputs="nothing")
    assert sardonyx.convert(graph_def()).certificate.passed


def test_graphs_that_are_not_frozen_name_their_variables(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"not frozen.*variables w"):
        sardonyx.convert(graph_def(variables=True))


def test_damaged_files(tmp_path: Path) -> None:
    graph = tmp_path / "g.pb"
    graph.write_bytes(graph_def().SerializeToString()[:-7])
    with pytest.raises(ConversionError, match="no whole GraphDef"):
        sardonyx.convert(graph)
    lite = tmp_path / "m.tflite"
    lite.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    with pytest.raises(ConversionError, match="interpreter cannot load"):
        sardonyx.convert(lite)
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    with pytest.raises(ConversionError, match="SavedModel"):
        sardonyx.convert(folder)


def test_an_unsupported_operator_is_named() -> None:
    function = tf.function(lambda x: tf.math.igamma(x, x), input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    with pytest.raises(ConversionError, match="Igamma of node"):
        sardonyx.convert(function)


def test_tables_of_strings() -> None:
    class Lookup(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            keys = tf.lookup.KeyValueTensorInitializer(["red", "green", "blue"], tf.constant([1, 2, 3], tf.int64))
            self.table = tf.lookup.StaticHashTable(keys, -1)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="colour")])
        def __call__(self, colour: Any) -> Any:
            return self.table.lookup(colour)

    result = sardonyx.convert(Lookup(), data={"colour": np.array(["red", "blue", "pink"], object)})
    assert result.certificate.passed
    assert result.session().run(None, {"colour": np.array(["green", "pink"], object)})[0].tolist() == [2, -1]


def lite(path: Path, **settings: Any) -> Path:
    two = Two()
    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([two.product.get_concrete_function()], two)
        for key, value in settings.items():
            setattr(converter, key, value)
        path.write_bytes(converter.convert())
    return path


def test_tflite_in_float32(tmp_path: Path) -> None:
    result = sardonyx.convert(lite(tmp_path / "m.tflite"))
    assert result.certificate.passed
    assert list(shapes(result).values()) == [["batch", 6], ["batch", 3]]
    assert [value.name for value in result.session().get_inputs()] == ["x"]


def test_quantised_tflite_is_at_most_one_step_away(tmp_path: Path) -> None:
    def representative() -> Any:
        rng = np.random.default_rng(1)
        return ([rng.standard_normal((1, 6)).astype(np.float32)] for _ in range(50))

    settings = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": representative}
    certificate = sardonyx.convert(lite(tmp_path / "m.tflite", **settings)).certificate
    assert certificate.passed
    assert certificate.data["origin"] == "training"
    (output,) = certificate.outputs
    assert output.kind == "steps"
    assert output.absolute <= output.step * 1.001


def test_labels_appended_to_a_tflite_file(tmp_path: Path) -> None:
    path = lite(tmp_path / "m.tflite")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\nbird\n")
    properties = {entry.key: entry.value for entry in sardonyx.convert(path).model.metadata_props}
    assert json.loads(properties["sardonyx.classes"]) == ["cat", "dog", "bird"]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    sardonyx.convert(graph_def())
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
