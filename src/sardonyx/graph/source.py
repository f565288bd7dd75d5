"""Where a model comes from: its bytes, mapped, and the names under which a cache can find what was made of them.

Nothing here imports onnx, so that a warm start does not pay for it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from sardonyx.errors import InvalidModelError
from sardonyx.graph.external import ExternalFiles, map_file
from sardonyx.graph.wire import Scan, scan

__all__ = ["ModelSource", "Source", "open_source"]

_HASH_CHUNK = 16 << 20


class Serializable(Protocol):
    """A protobuf message, such as ``onnx.ModelProto``."""

    def SerializeToString(self) -> bytes: ...


ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Serializable"


class Source:
    """The bytes of one model.

    ``data`` is read-only; for a path it is a lazily paged mapping. ``path`` is None unless the model came from a path.
    """

    def __init__(self, data: memoryview, path: Path | None, folders: tuple[Path, ...]) -> None:
        self.data = data
        self.path = path
        self.external = ExternalFiles(folders)
        self._status: os.stat_result | None = None

    @property
    def name(self) -> str:
        """The path, or words for a source without one; error messages begin with it."""
        return str(self.path) if self.path is not None else "<model>"

    @cached_property
    def scan(self) -> Scan:
        """The skeleton and the views of the file; raises InvalidModelError or ModelTooLargeError."""
        try:
            return scan(self.data)
        except InvalidModelError as error:
            raise type(error)(f"{self.name}: {error}") from error

    @property
    def locations(self) -> list[str]:
        """The external files that the model names and that exist (others may never be read), in order."""
        return [location for location in sorted(self.scan.locations) if self.external.exists(location)]

    def content_hash(self) -> str:
        """A SHA-256 tree hash, in hexadecimal, of the file's bytes and of every external file it names."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        digest = hashlib.sha256(_tree_hash(self.data))
        for location in self.locations:
            data, _ = self.external.open(location)
            digest.update(location.encode("utf-8", "surrogateescape") + b"\0" + _tree_hash(data))
        return digest.hexdigest()

    def identity(self) -> str | None:
        """A cheap name of the files as they are on disk now (path, inode, size, times), or None without a path.

        Two equal identities mean the same content on a file system that keeps times; it spares a warm start from
        reading every byte for ``content_hash``.
        """
        if self.path is None or self._status is None or self.external.supplied:
            return None
        parts = [os.path.realpath(self.path), _stamp(self._status)]
        for location in self.locations:
            parts += [location, _stamp(self.external.open(location)[1])]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def release_pages(self) -> None:
        """Gives back the memory of mapped pages that were read; they come from the file again when touched."""
        views = [self.data, *(self.external.open(location)[0] for location in self.locations)]
        for view in views:
            if isinstance(view.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                view.obj.madvise(mmap.MADV_DONTNEED)

    def changed_since(self, time_ns: int) -> bool:
        """Whether a file of the model was written or moved after a time (nanoseconds since the epoch)."""
        states = [self.external.open(location)[1] for location in self.locations]
        states += [self._status] if self._status is not None else []
        return any(max(status.st_mtime_ns, status.st_ctime_ns) > time_ns for status in states)


def open_source(source: ModelSource, base_dir: str | os.PathLike[str] | None = None) -> Source:
    """Open a path, bytes-like object, binary file object or ``onnx.ModelProto``.

    ``base_dir`` is the folder of external data; by default the folder of the path, and none for other sources.
    Raises InvalidModelError when the file cannot be read and TypeError for an object of another kind.
    """
    base = None if base_dir is None else Path(base_dir)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        data, status = map_file(path)
        # A link to a model brings along the folder it leads to, where its data lies too.
        folders = (base,) if base is not None else (path.parent, Path(os.path.realpath(path)).parent)
        opened = Source(data, path, folders)
        opened._status = status
        return opened
    return Source(_bytes_of(source), None, () if base is None else (base,))


def _bytes_of(source: object) -> memoryview:
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source)
        if not view.readonly or not view.c_contiguous:
            view = memoryview(bytes(view))  # the caller may change its buffer later
        return view.cast("B")
    if hasattr(source, "SerializeToString"):
        try:
            return memoryview(source.SerializeToString())
        except Exception as error:  # protobuf raises ValueError or EncodeError, by version
            raise InvalidModelError(
                f"the ModelProto cannot be serialized ({error}): save it with external data and pass the path"
            ) from error
    if hasattr(source, "read"):
        content = source.read()
        if not isinstance(content, bytes | bytearray | memoryview):
            raise TypeError(f"read() returned {type(content).__name__}: open the model file in binary mode")
        return _bytes_of(content)
    raise TypeError(f"expected a path, bytes, a binary file object or an onnx.ModelProto, got {type(source).__name__}")


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _tree_hash(data: memoryview) -> bytes:
    """SHA-256 over the SHA-256 of each chunk, the chunks on several threads (hashlib lets go of the interpreter)."""

    def chunks() -> Iterator[memoryview]:
        for begin in range(0, len(data), _HASH_CHUNK):
            yield data[begin : begin + _HASH_CHUNK]

    if len(data) <= _HASH_CHUNK:
        digests = [hashlib.sha256(chunk).digest() for chunk in chunks()]
    else:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            digests = list(pool.map(lambda chunk: hashlib.sha256(chunk).digest(), chunks()))
    return hashlib.sha256(b"".join(digests) + len(data).to_bytes(8, "little")).digest()
