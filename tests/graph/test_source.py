"""Sources: what they accept, what their hashes depend on."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from graph.models import model, value
from sardonyx.errors import InvalidModelError
from sardonyx.graph import open_source, read_model


def adder(weight: float = 1.0) -> onnx.ModelProto:
    weights = {"w": np.full((40, 40), weight, np.float32)}
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return model([node], [value("x", dtype=1, shape=[40])], [value("y", dtype=1, shape=[40, 40])], weights)


def test_every_kind_of_source_reads_the_same(tmp_path: Path) -> None:
    proto = adder()
    data = proto.SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), file, io.BytesIO(data), proto]
        models = [read_model(source) for source in sources]
    assert len({m.content_hash() for m in models}) == 1
    for each in models:
        np.testing.assert_array_equal(each.graph.initializers["w"].const_value.numpy(), np.ones((40, 40), np.float32))
    assert models[0].path == path
    assert models[2].path is None


def test_weights_are_read_only_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(adder().SerializeToString())
    array = read_model(path).graph.initializers["w"].const_value.numpy()
    assert not array.flags.writeable
    assert not array.flags.owndata


def test_a_buffer_that_may_change_is_copied() -> None:
    data = bytearray(adder().SerializeToString())
    read = read_model(data)
    data[:] = bytes(len(data))
    assert (read.graph.initializers["w"].const_value.numpy() == 1).all()


@pytest.mark.parametrize("bad", [None, 3, ["m.onnx"], io.StringIO("text")])
def test_other_objects_are_a_type_error(bad: object) -> None:
    with pytest.raises(TypeError):
        open_source(bad)  # the wrong type is the point


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.onnx", "a\0b"):
        with pytest.raises(InvalidModelError):
            open_source(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvalidModelError, match="not a regular file"):
        open_source(pipe)


def test_hash_and_identity_follow_the_content(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(adder(1.0).SerializeToString())
    first = open_source(path)
    again = open_source(path)
    assert (first.content_hash(), first.identity()) == (again.content_hash(), again.identity())
    path.write_bytes(adder(2.0).SerializeToString())
    os.utime(path, ns=(1, 1))
    changed = open_source(path)
    assert changed.content_hash() != first.content_hash()
    assert changed.identity() != first.identity()
    assert open_source(adder()).identity() is None


def test_hash_covers_external_files(tmp_path: Path) -> None:
    hashes = set()
    for weight in (1.0, 2.0):
        onnx.save(adder(weight), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
        source = open_source(tmp_path / "m.onnx")
        assert source.scan.locations == ["w.bin"]
        hashes.add(source.content_hash())
        (tmp_path / "w.bin").unlink()
    assert len(hashes) == 2


def test_a_large_file_is_hashed_in_pieces() -> None:
    blob = np.random.default_rng(0).bytes(40 << 20)
    proto = onnx.ModelProto(doc_string="x")
    proto.graph.initializer.add(name="w", data_type=2, dims=[len(blob)], raw_data=blob)
    other = onnx.ModelProto.FromString(proto.SerializeToString())
    other.graph.initializer[0].raw_data = blob[:-1] + bytes([blob[-1] ^ 1])
    assert open_source(proto).content_hash() == open_source(proto.SerializeToString()).content_hash()
    assert open_source(proto).content_hash() != open_source(other).content_hash()
