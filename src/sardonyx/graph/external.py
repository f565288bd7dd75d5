"""External tensor data: files beside the model, confined to its folder, mapped and never read whole.

A model file may come from a stranger, so a location must name a regular file inside the model's folder: absolute paths,
``..``, symbolic links that lead out, files with several hard links, devices and pipes are refused.

Source: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from sardonyx.errors import InvalidModelError, MalformedFileError, ModelNotFoundError

__all__ = ["ExternalFiles", "map_file"]

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait for its writer
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)


def map_file(path: str | os.PathLike[str]) -> tuple[memoryview, os.stat_result]:
    """Map a regular file read-only; pages are loaded when they are first touched.

    Returns the bytes and the file's status. Raises InvalidModelError for anything but a readable regular file.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise InvalidModelError(f"{name!r} is not a file name")
    try:
        descriptor = os.open(os.path.realpath(name), _OPEN_FLAGS)
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"cannot open {name}: {error.strerror or error}") from error
    except OSError as error:
        raise InvalidModelError(f"cannot open {name}: {error.strerror or error}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MalformedFileError(f"{name} is not a regular file")
        if status.st_size == 0:
            return memoryview(b""), status
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)), status
    except OSError as error:
        raise InvalidModelError(f"cannot map {name}: {error.strerror or error}") from error
    finally:
        os.close(descriptor)


class ExternalFiles:
    """The files that a model's tensors may live in.

    ``folders`` are the folders that data may come from: the model's own, and that of the file its path links to (a
    model cache may hold both the model and its data as links into one store). With none, any external data is an error.
    """

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders
        self._mapped: dict[str, tuple[memoryview, os.stat_result]] = {}
        self.supplied = False

    def supply(self, location: str, data: memoryview) -> None:
        """Read-only bytes that stand in for the file at a location."""
        self._mapped[location] = data, os.stat_result([0] * 10)
        self.supplied = True

    def exists(self, location: str) -> bool:
        """Whether there is such a file; raises InvalidModelError when it is refused."""
        try:
            self.open(location)
        except ModelNotFoundError:
            return False
        return True

    def open(self, location: str) -> tuple[memoryview, os.stat_result]:
        """The mapped bytes and status of the file at ``location``; raises InvalidModelError when it is refused."""
        if location not in self._mapped:
            self._mapped[location] = self._open(location)
        return self._mapped[location]

    def view(self, location: str, offset: str, length: str, expected: int) -> memoryview:
        """``expected`` bytes of a file from ``offset`` on; ``length`` must agree where it is given (not empty)."""
        data, _ = self.open(location)
        begin = _number(location, "offset", offset or "0")
        size = _number(location, "length", length) if length else expected
        if size != expected:
            raise InvalidModelError(f"external data {location!r}: length {size}, but the tensor takes {expected} bytes")
        if begin + size > len(data):
            raise InvalidModelError(
                f"external data {location!r}: offset {begin} + length {size} is past the end of the file "
                f"({len(data)} bytes): the file is truncated or not the one the model was saved with"
            )
        return data[begin : begin + size]

    def _open(self, location: str) -> tuple[memoryview, os.stat_result]:
        if not self._folders:
            raise ModelNotFoundError(
                f"the model keeps tensors in {location!r}, but it was not read from a path: pass base_dir"
            )
        _check_relative(location)
        path = self._folders[0] / location
        try:
            real = path.resolve(strict=True)
        except FileNotFoundError as error:
            raise ModelNotFoundError(f"external data {location!r} cannot be opened: {error}") from error
        except (OSError, RuntimeError) as error:
            raise InvalidModelError(f"external data {location!r} cannot be opened: {error}") from error
        if not any(real.is_relative_to(folder.resolve()) for folder in self._folders):
            raise InvalidModelError(f"external data {location!r} leads out of the model's folder through a link")
        data, status = map_file(real)
        if status.st_nlink > 1:
            raise InvalidModelError(
                f"external data {location!r} has {status.st_nlink} hard links, so it may be a file from elsewhere: "
                "copy it into the model's folder"
            )
        return data, status


def _check_relative(location: str) -> None:
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    if not location.strip() or "\0" in location:
        raise InvalidModelError(f"external data has no usable location: {location!r}")
    if posix.is_absolute() or windows.drive or windows.root:
        raise InvalidModelError(f"external data {location!r}: an absolute path is refused")
    if ".." in posix.parts or ".." in windows.parts:
        raise InvalidModelError(f"external data {location!r}: a path with '..' is refused")


def _number(location: str, what: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise InvalidModelError(f"external data {location!r}: {what} {text!r} is not a number of bytes")
    return int(text)
