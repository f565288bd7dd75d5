"""The protobuf wire format of an ONNX file, scanned without parsing it and without importing onnx.

A scan checks the framing of every message that can hold a large tensor and splits the file in two: a small *skeleton*
(a serialized ModelProto in which each large tensor payload is a 16-byte marker) and a table of *views* (offset, length)
of those payloads in the file, so that weights stay in the mapped file and are never copied.

Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto (field numbers).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sardonyx.errors import IncompleteModelError, InvalidModelError, MalformedFileError, ModelTooLargeError

__all__ = ["LARGE", "Scan", "foreign_format", "scan"]

LARGE = 1024
"""Payloads of at least this many bytes stay in the file; below it a view costs more than the copy."""

MAX_DEPTH = 100
"""Nested messages; protobuf's own parsers stop at the same depth."""

MAX_SKELETON = 2**31 - 1
"""Bytes of graph structure; protobuf cannot parse a longer message."""

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_RAW_DATA, _FLOAT_DATA, _DOUBLE_DATA, _DATA_TYPE, _EXTERNAL_DATA = 9, 4, 10, 2, 13
_RAW_DATA_TAG = bytes([_RAW_DATA << 3 | _BYTES])

# Element types whose packed field has the very bytes that raw_data would have: FLOAT, COMPLEX64 and DOUBLE, COMPLEX128.
_PACKED_LIKE_RAW = {_FLOAT_DATA: (1, 14), _DOUBLE_DATA: (11, 15)}
_PAYLOAD_FIELDS = frozenset({_FLOAT_DATA, 5, 6, 7, _RAW_DATA, _DOUBLE_DATA, 11})

# The submessages that can hold tensors, by message and field number; training information is of no use to inference.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

# The end of an attribute that is a number, a string or a list of them: field 20 (type), which writers put last.
_PLAIN_ATTRIBUTES = frozenset(bytes([0xA0, 0x01, kind]) for kind in (1, 2, 3, 6, 7, 8))

_MAGIC = {
    b"version https://git-lfs": "a git-LFS pointer, not the model itself: run `git lfs pull` to fetch the file",
    b"\x7fELF": "an ELF executable or library",
    b"PK\x03\x04": "a zip archive (a PyTorch .pt file or a compressed model): export it to ONNX or unpack it first",
    b"\x1f\x8b": "a gzip archive: decompress it first",
    b"BZh": "a bzip2 archive: decompress it first",
    b"\xfd7zXZ": "an xz archive: decompress it first",
    b"\x28\xb5\x2f\xfd": "a zstandard archive: decompress it first",
    b"\x89HDF": "an HDF5 file (a Keras model): convert it to ONNX first",
    b"\x89PNG": "a PNG image",
    b"\x80\x02": "a Python pickle: export the model to ONNX first",
    b"MZ": "a Windows executable or library",
    b"<?xml": "an XML file",
    b"<!DOCTYPE": "an HTML page: the download returned a web page instead of the model",
    b"<html": "an HTML page: the download returned a web page instead of the model",
}


class Field(NamedTuple):
    """One field of a message: its number, wire type, where its tag starts, and where its value lies."""

    number: int
    wire: int
    start: int
    begin: int
    end: int
    value: int


@dataclass
class Scan:
    """What a scan found.

    ``skeleton`` is a serialized ModelProto whose large payloads are markers: ``token`` and an 8-byte little-endian
    index into ``views``. ``locations`` are the external files that the model names, in the order of their appearance.
    """

    skeleton: bytes = b""
    token: bytes = field(default_factory=lambda: os.urandom(8))
    views: list[tuple[int, int]] = field(default_factory=list)
    locations: list[str] = field(default_factory=list)

    def view_of(self, raw_data: bytes) -> tuple[int, int] | None:
        """The (offset, length) that a marker stands for, or None when ``raw_data`` is ordinary data."""
        if len(raw_data) != 16 or not raw_data.startswith(self.token):
            return None
        index = int.from_bytes(raw_data[8:], "little")
        return self.views[index] if index < len(self.views) else None


def foreign_format(data: memoryview) -> str | None:
    """What a file that is not ONNX seems to be, in words, or None."""
    head = bytes(data[:512])
    for magic, words in _MAGIC.items():
        if head.startswith(magic):
            return words
    if head[4:8] == b"ORTM":
        return "ONNX Runtime's own .ort format: use the .onnx file it was made from"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model: convert it to ONNX first"
    return None


def looks_like_text(data: memoryview) -> bool:
    """Whether the file begins with at least 32 bytes of printable text."""
    head = bytes(data[:256])
    return len(head) >= 32 and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)


def scan(data: memoryview) -> Scan:
    """Scan a serialized ModelProto.

    Raises InvalidModelError when the framing is broken or the file is something else, ModelTooLargeError when messages
    nest more than ``MAX_DEPTH`` deep or the structure without weights exceeds 2 GiB.
    """
    if not len(data):
        raise IncompleteModelError("the model is empty (0 bytes)")
    if words := foreign_format(data):
        raise MalformedFileError(f"not an ONNX model but {words}")
    result = Scan()
    try:
        parts, size = _Scanner(data, result).message(0, len(data), "model", 1)
    except ModelTooLargeError:
        raise
    except InvalidModelError as error:
        if looks_like_text(data):
            raise MalformedFileError("not an ONNX model but a text file") from error
        raise
    if size > MAX_SKELETON:
        raise ModelTooLargeError(f"the graph without its weights is {size} bytes; at most {MAX_SKELETON} can be read")
    result.skeleton = b"".join(parts)
    return result


class _Scanner:
    """Rewrites messages, keeping untouched stretches as views of the input."""

    def __init__(self, data: memoryview, result: Scan) -> None:
        self.data = data
        self.result = result

    def message(self, begin: int, end: int, kind: str, depth: int) -> tuple[list[bytes | memoryview], int]:
        """The rewritten parts of one message and their total size."""
        if depth > MAX_DEPTH:
            raise ModelTooLargeError(f"messages nest more than {MAX_DEPTH} deep (byte {begin})")
        out = _Parts(self.data, begin)
        children = _CHILDREN[kind]
        for item in fields(self.data, begin, end):
            child = children.get(item.number) if item.wire == _BYTES else None
            if child == "training":
                out.skip(item.start, item.end)
            elif child is not None and self._worth_descending(item, child):
                if child == "tensor":
                    replacement = self._tensor(item.begin, item.end)
                else:
                    replacement = self.message(item.begin, item.end, child, depth + 1)
                out.replace(item, *replacement)
        return out.finish(end)

    def _worth_descending(self, item: Field, kind: str) -> bool:
        """Whether a message may hold a large payload or name an external file; protobuf checks the others."""
        if kind == "attribute" and bytes(self.data[max(item.begin, item.end - 3) : item.end]) in _PLAIN_ATTRIBUTES:
            return False  # a tree ensemble has a field for each of its million numbers
        return item.end - item.begin >= LARGE or b"location" in bytes(self.data[item.begin : item.end])

    def _tensor(self, begin: int, end: int) -> tuple[list[bytes | memoryview], int]:
        items = list(fields(self.data, begin, end))
        element_type = next((item.value for item in reversed(items) if item.number == _DATA_TYPE), 0)
        payloads = [item for item in items if item.number in _PAYLOAD_FIELDS]
        out = _Parts(self.data, begin)
        for item in items:
            if item.wire != _BYTES:
                continue
            if item.number == _EXTERNAL_DATA:
                self._external(item)
            elif item.end - item.begin >= LARGE and (
                item.number == _RAW_DATA
                or (len(payloads) == 1 and element_type in _PACKED_LIKE_RAW.get(item.number, ()))
            ):
                marker = self.result.token + len(self.result.views).to_bytes(8, "little")
                self.result.views.append((item.begin, item.end - item.begin))
                out.substitute(item, _RAW_DATA_TAG + bytes([len(marker)]) + marker)
        return out.finish(end)

    def _external(self, entry: Field) -> None:
        key = value = b""
        for item in fields(self.data, entry.begin, entry.end):
            if item.number == 1:
                key = bytes(self.data[item.begin : item.end])
            elif item.number == 2:
                value = bytes(self.data[item.begin : item.end])
        location = value.decode("utf-8", "surrogateescape")
        if key == b"location" and location not in self.result.locations:
            self.result.locations.append(location)


class _Parts:
    """A message under reconstruction: stretches of the input with replacements in between."""

    def __init__(self, data: memoryview, begin: int) -> None:
        self.data = data
        self.kept_from = begin
        self.parts: list[bytes | memoryview] = []
        self.size = 0

    def _add(self, part: bytes | memoryview) -> None:
        self.parts.append(part)
        self.size += len(part)

    def skip(self, start: int, end: int) -> None:
        if start > self.kept_from:
            self._add(self.data[self.kept_from : start])
        self.kept_from = end

    def substitute(self, item: Field, encoded: bytes) -> None:
        self.skip(item.start, item.end)
        self._add(encoded)

    def replace(self, item: Field, parts: list[bytes | memoryview], size: int) -> None:
        if size == item.end - item.begin:
            return  # nothing inside was moved out
        self.substitute(item, _encode_varint(item.number << 3 | _BYTES) + _encode_varint(size))
        self.parts += parts
        self.size += size

    def finish(self, end: int) -> tuple[list[bytes | memoryview], int]:
        self.skip(end, end)
        return self.parts, self.size


def fields(data: memoryview, begin: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``data[begin:end]``; raises InvalidModelError on broken framing."""
    position = begin
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise MalformedFileError(f"not a valid protobuf message: field number {number} at byte {start}")
        value = 0
        value_begin = position
        if wire == _VARINT:
            value, position = _varint(data, position, end)
        elif wire == _BYTES:
            length, value_begin = _varint(data, position, end)
            position = _advance(start, value_begin, length, end)
        elif wire in (_FIXED32, _FIXED64):
            position = _advance(start, position, 4 if wire == _FIXED32 else 8, end)
        elif wire == _GROUP:
            position = _skip_group(data, number, position, end)
        else:
            raise MalformedFileError(f"not a valid protobuf message: wire type {wire} at byte {start}")
        yield Field(number, wire, start, value_begin, position, value)


def _advance(start: int, begin: int, length: int, end: int) -> int:
    if length > end - begin:
        raise MalformedFileError(
            f"the file is truncated or corrupt: the field at byte {start} claims {length} bytes, {end - begin} are left"
        )
    return begin + length


def _skip_group(data: memoryview, number: int, position: int, end: int) -> int:
    """The position after the group ``number`` whose start tag ends at ``position``."""
    open_groups = [number]
    while open_groups:
        start = position
        tag, position = _varint(data, position, end)
        inner, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, position = _varint(data, position, end)
        elif wire == _BYTES:
            length, position = _varint(data, position, end)
            position = _advance(start, position, length, end)
        elif wire in (_FIXED32, _FIXED64):
            position = _advance(start, position, 4 if wire == _FIXED32 else 8, end)
        elif wire == _GROUP and len(open_groups) < MAX_DEPTH:
            open_groups.append(inner)
        elif wire == _END_GROUP and open_groups[-1] == inner:
            open_groups.pop()
        else:
            raise MalformedFileError(f"not a valid protobuf message: unbalanced group at byte {start}")
    return position


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    start = position
    result = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result >= 2**64:
                break
            return result, position
        shift += 7
        if shift == 70:
            break
    else:
        raise MalformedFileError(f"the file is truncated: a number at byte {start} has no end")
    raise MalformedFileError(f"not a valid protobuf message: a number at byte {start} is longer than 64 bits")


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
