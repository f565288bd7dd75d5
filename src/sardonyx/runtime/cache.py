"""What was compiled before, on disk: one file per entry in a folder that only its user can write.

    magic (8 bytes) | length of the index (8) | SHA-256 of the index (32) | index (JSON) | blobs, each at 64 bytes

The index holds the caller's header and, for each blob, offset, length and SHA-256. Nothing in an entry is executed or
unpickled before all of it has been checked; an entry that is damaged, belongs to another user or was written by another
version counts as missing. Writers make a file of their own and rename it, so that several processes, or one that dies
half way, cannot harm each other. When the folder cannot be used, sardonyx warns once and works without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import re
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sardonyx.errors import CacheError

__all__ = ["DiskCache", "Entry", "EntryInfo", "check_private", "default_cache", "default_folder"]

_MAGIC = b"SXCACHE1"
_HEAD = 48
_ALIGNMENT = 64
_SUFFIX = ".sardonyx"
_KEY = re.compile(r"[0-9a-f]{16,128}")
_MAX_INDEX = 64 << 20
_STALE_SECONDS = 3600  # a temporary file this old belongs to a writer that died
_TOUCH_SECONDS = 60  # how exact "last used" is, to spare the disk
DEFAULT_LIMIT = 4 << 30

BytesLike: TypeAlias = "bytes | bytearray | memoryview"


@dataclass(frozen=True)
class Entry:
    """A checked entry: the header as it was put, and the blobs as read-only views of the mapped file."""

    key: str
    header: dict[str, Any]
    blobs: Mapping[str, memoryview]


@dataclass(frozen=True)
class EntryInfo:
    """One entry as ``entries`` lists it; ``size`` in bytes, ``used`` in seconds since the epoch."""

    key: str
    size: int
    used: float
    path: Path


def default_folder() -> Path:
    """``SARDONYX_CACHE_DIR``, or ``sardonyx`` in the user's cache folder (``XDG_CACHE_HOME``, ``~/.cache``)."""
    chosen = os.environ.get("SARDONYX_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification: a relative path is invalid and ignored
    return (Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~/.cache"))) / "sardonyx"


def default_cache() -> DiskCache:
    """The cache in ``default_folder()``."""
    return DiskCache(default_folder())


class DiskCache:
    """Content-addressed entries under ``folder``; the least recently used go when they pass ``limit`` bytes.

    The entries lie in a subfolder of mode 0700. ``get`` and ``put`` never raise for what is wrong with the disk;
    ``entries`` and ``clear`` raise CacheError.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int = DEFAULT_LIMIT) -> None:
        self.folder = Path(folder) / "entries"
        self.limit = limit

    def get(self, key: str) -> Entry | None:
        """The entry of ``key`` (a hexadecimal digest), checked; None when there is none that can be used."""
        path = self._path(key)
        try:
            if not self._usable(create=False):
                return None
            data = _map(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _warn_once(self.folder, error)
            return None
        entry = _parse(key, data)
        if entry is None:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)
        return entry

    def put(self, key: str, header: Mapping[str, Any], blobs: Mapping[str, BytesLike]) -> bool:
        """Writes an entry; whether it was written. An older entry of the key is replaced."""
        path = self._path(key)
        temporary: str | None = None
        try:
            self._usable(create=True)
            descriptor, temporary = tempfile.mkstemp(prefix="new-", dir=self.folder)
            with os.fdopen(descriptor, "wb") as file:
                for part in _serialise(key, header, blobs):
                    file.write(part)
            os.replace(temporary, path)
            self._evict(keep=path)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            _warn_once(self.folder, error)
            return False
        return True

    def entries(self) -> list[EntryInfo]:
        """All entries, the most recently used first."""
        try:
            if not self._usable(create=False):
                return []
            return sorted(self._scan(), key=lambda e: e.used, reverse=True)
        except OSError as error:
            raise CacheError(f"cannot list the cache {self.folder}: {error}") from error

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(entry.size for entry in self.entries())

    def clear(self) -> int:
        """Removes all entries and left-over temporary files; gives the number of entries removed."""
        count = 0
        for entry in self.entries():
            try:
                entry.path.unlink(missing_ok=True)
            except OSError as error:
                raise CacheError(f"cannot remove {entry.path}: {error}") from error
            count += 1
        self._remove_stale(0.0)
        return count

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key is a hexadecimal digest of 16 to 128 digits, got {key!r}")
        return self.folder / f"{key}{_SUFFIX}"

    def _usable(self, *, create: bool) -> bool:
        """Whether the folder exists; raises PermissionError when others could have written in it."""
        if create:
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
        try:
            status = os.lstat(self.folder)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{self.folder} is not a folder")
        check_private(status, self.folder)
        return True

    def _scan(self) -> Iterator[EntryInfo]:
        with os.scandir(self.folder) as items:
            for item in items:
                name = item.name.removesuffix(_SUFFIX)
                if item.name.endswith(_SUFFIX) and _KEY.fullmatch(name):
                    with contextlib.suppress(FileNotFoundError):
                        status = item.stat(follow_symlinks=False)
                        yield EntryInfo(name, status.st_size, status.st_mtime, Path(item.path))

    def _evict(self, keep: Path) -> None:
        found = sorted(self._scan(), key=lambda e: e.used)
        total = sum(entry.size for entry in found)
        self._remove_stale(_STALE_SECONDS)
        for entry in found:
            if total <= self.limit:
                return
            if entry.path != keep:
                with contextlib.suppress(FileNotFoundError):
                    entry.path.unlink()
                total -= entry.size

    def _remove_stale(self, seconds: float) -> None:
        for path in self.folder.glob("new-*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime >= seconds:
                    path.unlink()


def check_private(status: os.stat_result, path: Path) -> None:
    """Raises PermissionError for what another user owns or can write."""
    if not hasattr(os, "geteuid"):
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to user {status.st_uid}, not to {os.geteuid()}")
    if status.st_mode & 0o022:
        raise PermissionError(
            f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod go-w it"
        )


def _map(path: Path) -> memoryview:
    """The file's bytes, mapped; raises OSError for a link or a file of another user."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is not a regular file")
        check_private(status, path)
        if status.st_size < _HEAD:
            return memoryview(b"")
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)


def _serialise(key: str, header: Mapping[str, Any], blobs: Mapping[str, BytesLike]) -> Iterator[BytesLike]:
    views = {name: memoryview(blob).cast("B") for name, blob in blobs.items()}
    table, offset = {}, 0
    for name, view in views.items():
        table[name] = [offset, len(view), hashlib.sha256(view).hexdigest()]
        offset += -(-len(view) // _ALIGNMENT) * _ALIGNMENT
    index = json.dumps({"key": key, "header": dict(header), "blobs": table, "length": offset}).encode()
    yield _MAGIC + len(index).to_bytes(8, "little") + hashlib.sha256(index).digest()
    yield index + bytes(-(_HEAD + len(index)) % _ALIGNMENT)
    for view in views.values():
        yield view
        yield bytes(-len(view) % _ALIGNMENT)


def _parse(key: str, data: memoryview) -> Entry | None:
    """The entry in these bytes, or None when anything about them is wrong."""
    length = int.from_bytes(data[8:16], "little")
    if len(data) < _HEAD or bytes(data[:8]) != _MAGIC or length > min(_MAX_INDEX, len(data) - _HEAD):
        return None
    raw = data[_HEAD : _HEAD + length]
    if hashlib.sha256(raw).digest() != bytes(data[16:_HEAD]):
        return None
    try:
        index = json.loads(bytes(raw))
        base = -(-(_HEAD + length) // _ALIGNMENT) * _ALIGNMENT
        if index["key"] != key or len(data) != base + index["length"]:
            return None
        blobs = {}
        for name, (offset, size, digest) in index["blobs"].items():
            blob = data[base + offset : base + offset + size]
            if len(blob) != size or hashlib.sha256(blob).hexdigest() != digest:
                return None
            blobs[name] = blob
        return Entry(key, index["header"], blobs)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


_warned: set[Path] = set()
_warned_lock = threading.Lock()


def _warn_once(folder: Path, error: Exception) -> None:
    with _warned_lock:
        if folder in _warned:
            return
        _warned.add(folder)
    warnings.warn(
        f"sardonyx cannot use its cache {folder}: {error}. Models are compiled anew each time; "
        "set SARDONYX_CACHE_DIR to a folder of your own that can be written.",
        RuntimeWarning,
        stacklevel=3,
    )
