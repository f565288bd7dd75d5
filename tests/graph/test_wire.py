"""The wire scan: skeleton and views against protobuf's own parser, and broken framing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from graph.models import message, model, value, varint
from sardonyx.errors import InvalidModelError, ModelTooLargeError
from sardonyx.graph import wire
from sardonyx.graph.wire import LARGE, scan

RNG = np.random.default_rng(3)


def restored(data: bytes) -> onnx.ModelProto:
    """The model of a scan with every marker replaced by the bytes of its view."""
    result = scan(memoryview(data))
    proto = onnx.ModelProto.FromString(result.skeleton)

    def fill(tensor: onnx.TensorProto) -> None:
        place = result.view_of(tensor.raw_data)
        if place is not None:
            tensor.raw_data = data[place[0] : place[0] + place[1]]

    def walk(nodes: list[onnx.NodeProto]) -> None:
        for node in nodes:
            for attribute in node.attribute:
                for tensor in (attribute.t, *attribute.tensors):
                    fill(tensor)
                walk_graph(attribute.g)

    def walk_graph(graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            fill(tensor)
        for sparse in graph.sparse_initializer:
            fill(sparse.values)
            fill(sparse.indices)
        walk(list(graph.node))

    walk_graph(proto.graph)
    for function in proto.functions:
        walk(list(function.node))
    return proto


def big_model() -> onnx.ModelProto:
    """Large tensors in every place that can hold one."""
    big = numpy_helper.from_array(RNG.standard_normal((40, 50)).astype(np.float32))
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=big)], "inner", [], [value("c", dtype=1, shape=[40, 50])]
    )
    function = helper.make_function(
        "local", "f", [], ["o"], [helper.make_node("Constant", [], ["o"], value=big)], [helper.make_opsetid("", 17)]
    )
    proto = model(
        [helper.make_node("If", ["p"], ["y"], then_branch=inner, else_branch=inner)],
        [value("p", dtype=9, shape=[])],
        [value("y", dtype=1, shape=[40, 50])],
        {"w": RNG.standard_normal(LARGE // 4).astype(np.float32), "small": np.zeros(3), "b": np.zeros(LARGE, bool)},
        functions=[function],
    )
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(300, np.float32), "s"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(300)))
    sparse.dims.append(400)
    return proto


def test_skeleton_and_views_make_the_model() -> None:
    data = big_model().SerializeToString()
    result = scan(memoryview(data))
    assert len(result.views) == 7
    assert len(result.skeleton) < 1500
    assert restored(data) == onnx.ModelProto.FromString(data)


def test_small_models_are_their_own_skeleton() -> None:
    data = model([helper.make_node("Relu", ["x"], ["y"])], [value("x", dtype=1, shape=[2])], []).SerializeToString()
    assert scan(memoryview(data)).skeleton == data


@pytest.mark.parametrize(("field", "dtype", "moved"), [("float_data", 1, True), ("double_data", 11, True),
                                                       ("int64_data", 7, False), ("float_data", 7, False)])  # fmt: skip
def test_packed_numbers_become_raw_data_only_where_the_bytes_agree(field: str, dtype: int, moved: bool) -> None:
    proto = onnx.ModelProto()
    tensor = proto.graph.initializer.add(name="w", data_type=dtype, dims=[1000])
    getattr(tensor, field).extend(range(1000))
    result = scan(memoryview(proto.SerializeToString()))
    assert len(result.views) == moved
    kept = onnx.ModelProto.FromString(result.skeleton).graph.initializer[0]
    assert len(getattr(kept, field)) == (0 if moved else 1000)


def test_external_locations_are_collected_everywhere() -> None:
    proto = big_model()
    tensors = [proto.graph.initializer[1], proto.graph.node[0].attribute[0].g.node[0].attribute[0].t]
    for number, tensor in enumerate((*tensors, proto.functions[0].node[0].attribute[0].t)):
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"file{number}")
    found = scan(memoryview(proto.SerializeToString())).locations
    assert sorted(found) == ["file0", "file1", "file2"]


def test_unknown_fields_and_training_information() -> None:
    proto = big_model()
    data = proto.SerializeToString()
    extra = message(20, b"anything" * 1000) + varint(2046 << 3) + b"\x2a" + message(2047, b"hello")
    group = varint(99 << 3 | 3) + message(1, b"in a group") + b"\x15abcd" + b"\x11abcdefgh" + varint(99 << 3 | 4)
    assert restored(data + extra + group).graph == proto.graph


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\0", "field number 0"),
        (b"\xff" * 100, "longer than 64 bits"),
        (b"\x08" + b"\x80" * 20 + b"\x01", "longer than 64 bits"),
        (b"\x08\x80", "truncated"),
        (b"\x3a\xff\xff\xff\xff\x07abc", "claims 2147483647 bytes"),
        (b"\x3a" + b"\xff" * 9 + b"\x01abc", "claims 18446744073709551615 bytes"),
        (b"\x0d\x01", "claims 4 bytes"),
        (b"\x0f", "wire type 7"),
        (b"\x0c", "wire type 4"),
        (b"\x0b\x14", "unbalanced group"),
        (b"\x0b" * 500, "unbalanced group"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(50), "zip"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "gzip"),
        (b"\x7fELF" + bytes(50), "ELF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\0\0\0\0TFL3" + bytes(20), "TensorFlow Lite"),
        (b"This is not a model.\n" * 5, "text file"),
    ],
)
def test_broken_and_foreign_files(data: bytes, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words):
        scan(memoryview(data))


@pytest.mark.parametrize("depth", [60, 1000, 20000])
def test_nesting_is_bounded(depth: int) -> None:
    content = bytes(2 * LARGE)
    for _ in range(depth):
        content = message(1, message(5, message(6, content)))
    with pytest.raises(ModelTooLargeError, match="100 deep"):
        scan(memoryview(message(7, content)))


def test_every_truncation_is_an_error() -> None:
    data = big_model().SerializeToString()
    whole = set()
    for end in range(1, len(data), 97):
        try:
            scan(memoryview(data[:end]))
        except InvalidModelError:
            continue
        whole.add(end)
    boundaries = {item.start for item in wire.fields(memoryview(data), 0, len(data))}
    assert whole <= boundaries


def test_neither_the_scan_nor_the_source_imports_onnx() -> None:
    code = (
        "import sys; from sardonyx.graph import open_source; open_source(b'\\x08\\x08').content_hash(); "
        "print([m for m in ('onnx', 'onnx_ir', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
