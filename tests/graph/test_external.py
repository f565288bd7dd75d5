"""External data: confined to the model's folder, mapped, checked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from graph.models import model, value
from sardonyx.errors import InvalidModelError
from sardonyx.graph import read_model

WEIGHTS = np.arange(12, dtype=np.float32)


def external_model(**entries: str) -> onnx.ModelProto:
    proto = model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [value("x", dtype=1, shape=[12])],
        [value("y", dtype=1, shape=[12])],
    )
    tensor = proto.graph.initializer.add(name="w", data_type=1, dims=[12], data_location=onnx.TensorProto.EXTERNAL)
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=text)
    return proto


def save(folder: Path, **entries: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(external_model(**entries).SerializeToString())
    return path


def weights(path: Path) -> np.ndarray:
    return read_model(path).graph.initializers["w"].const_value.numpy()


def test_data_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(64) + WEIGHTS.tobytes() + b"more")
    array = weights(save(tmp_path, location="w.bin", offset="64", length="48"))
    np.testing.assert_array_equal(array, WEIGHTS)
    assert not array.flags.owndata
    assert not array.flags.writeable
    np.testing.assert_array_equal(weights(save(tmp_path, location="w.bin", offset="64")), WEIGHTS)


def test_data_in_a_folder_below_and_by_base_dir(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(WEIGHTS.tobytes())
    np.testing.assert_array_equal(weights(save(tmp_path, location="sub/w.bin")), WEIGHTS)
    read = read_model(external_model(location="w.bin"), base_dir=tmp_path / "sub")
    np.testing.assert_array_equal(read.graph.initializers["w"].const_value.numpy(), WEIGHTS)
    with pytest.raises(InvalidModelError, match="base_dir"):
        read_model(external_model(location="sub/w.bin"))


def test_a_model_cache_of_links(tmp_path: Path) -> None:
    """A store of blobs with the model and its data as links to it, as model hubs lay them out."""
    store, view = tmp_path / "blobs", tmp_path / "snapshot"
    view.mkdir()
    path = save(store, location="w.bin")
    (store / "abc").write_bytes(WEIGHTS.tobytes())
    path.rename(store / "def")
    (view / "m.onnx").symlink_to("../blobs/def")
    (view / "w.bin").symlink_to("../blobs/abc")
    np.testing.assert_array_equal(weights(view / "m.onnx"), WEIGHTS)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "/etc/hostname"}, "absolute"),
        ({"location": "C:\\w.bin"}, "absolute"),
        ({"location": "\\\\server\\w.bin"}, "absolute"),
        ({"location": "../secret.bin"}, r"\.\."),
        ({"location": "sub/../../secret.bin"}, r"\.\."),
        ({"location": "sub\\..\\..\\secret.bin"}, r"\.\."),
        ({"location": "link.bin"}, "through a link"),
        ({"location": "linked_folder/secret.bin"}, "through a link"),
        ({"location": "hard.bin"}, "hard links"),
        ({"location": "pipe"}, "regular file"),
        ({"location": "sub"}, "regular file"),
        ({"location": "missing.bin"}, "cannot be opened"),
        ({"location": "loop"}, "cannot be opened"),
        ({"location": ""}, "no usable location"),
        ({"location": "a\0b"}, "no usable location"),
        ({}, "no usable location"),
        ({"location": "w.bin", "offset": "-4"}, "not a number"),
        ({"location": "w.bin", "offset": "1e3"}, "not a number"),
        ({"location": "w.bin", "offset": "9" * 30}, "not a number"),
        ({"location": "w.bin", "offset": "4"}, "past the end"),
        ({"location": "w.bin", "offset": str(2**62)}, "past the end"),
        ({"location": "w.bin", "length": "44"}, "takes 48 bytes"),
        ({"location": "w.bin", "length": str(2**62)}, "takes 48 bytes"),
        ({"location": "short.bin"}, "past the end"),
        ({"location": "empty.bin"}, "past the end"),
    ],
)
def test_what_is_refused(tmp_path: Path, entries: dict[str, str], words: str) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHTS.tobytes())
    folder = tmp_path / "model"
    path = save(folder, **entries)
    (folder / "sub").mkdir()
    (folder / "w.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "short.bin").write_bytes(b"abc")
    (folder / "empty.bin").write_bytes(b"")
    (folder / "link.bin").symlink_to(secret)
    (folder / "linked_folder").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    os.link(secret, folder / "hard.bin")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidModelError, match=words):
        read_model(path)
