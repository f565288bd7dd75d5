"""What is converted, and how it was asked for."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sardonyx.errors import ConversionError

__all__ = ["Form", "Request", "Source"]

_HEAD = 4096
_PICKLE_PREFIX = 1 << 20


@dataclass(frozen=True)
class Form:
    """What a source was recognised as.

    ``framework`` is the key of its framework, ``kind`` says in words what it is, ``tool`` what converts it.
    ``runs_code`` says that reading it can run any code that its author put into it (pickles); ``safer`` names the way
    without.
    """

    framework: str
    kind: str
    tool: str
    runs_code: bool = False
    safer: str = ""


@dataclass
class Request:
    """The wishes of the caller.

    ``example_inputs`` is what the source is called with, where a framework has to see a call: a tuple of positional
    or a dict of named arrays or tensors. ``factory`` makes the object that a file of weights belongs to. ``dynamic``
    leaves the first axis of every input (the batch) open. ``options`` are the framework's own.
    """

    example_inputs: Any = None
    factory: Callable[[], Any] | None = None
    opset: int | None = None
    dynamic: bool = True
    trust: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None

    def option(self, name: str, default: Any = None) -> Any:
        """One of the framework's own options; those that nobody asks for are an error of the caller."""
        return self.options.pop(name, default)


class Source:
    """A path or a Python object, with what recognising it needs; nothing here runs code from a file."""

    def __init__(self, value: Any) -> None:
        self.path: Path | None = Path(value) if isinstance(value, str | Path) else None
        self.object: Any = None if self.path is not None else value
        if self.path is not None and not self.path.exists():
            raise ConversionError(f"{self.path}: no such file or folder; give the path of a trained model")

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"an object of {_class_name(type(self.object))}"

    @property
    def suffix(self) -> str:
        """The file name's last suffix, in lower case."""
        return self.path.suffix.lower() if self.path is not None else ""

    @property
    def is_folder(self) -> bool:
        return self.path is not None and self.path.is_dir()

    @property
    def is_file(self) -> bool:
        return self.path is not None and self.path.is_file()

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file; none of a folder or an object."""
        if not self.is_file or self.path is None:
            return b""
        with self.path.open("rb") as file:
            return file.read(_HEAD)

    @cached_property
    def members(self) -> frozenset[str]:
        """Names in a zip file, or of the files in a folder (relative, with ``/``, two levels deep)."""
        if self.is_folder and self.path is not None:
            found = [*self.path.glob("*"), *self.path.glob("*/*")]
            return frozenset(entry.relative_to(self.path).as_posix() for entry in found)
        if self.is_file and self.path is not None and zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive:
                return frozenset(archive.namelist())
        return frozenset()

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The top-level packages of an object's class and its bases, the class's own first."""
        if self.path is not None:
            return ()
        return tuple(dict.fromkeys(kind.__module__.partition(".")[0] for kind in type(self.object).__mro__))

    def is_a(self, *names: str) -> bool:
        """Whether an object's class or one of its bases has one of these qualified names (``torch.nn.modules.Module``:
        package and class count, the modules between do not), without importing anything."""
        bases = {(kind.__module__.partition(".")[0], kind.__qualname__) for kind in type(self.object).__mro__}
        return self.path is None and any((name.partition(".")[0], name.rpartition(".")[2]) in bases for name in names)

    @cached_property
    def pickled_classes(self) -> tuple[str, ...]:
        """Qualified names that a pickle (or joblib) file refers to, in order of appearance; the first is the root
        object's class. The file is only scanned, up to the first megabyte, never unpickled."""
        if not self.is_file or self.path is None:
            return ()
        with self.path.open("rb") as file:
            content = file.read(_PICKLE_PREFIX)
        if content[:2] in (b"x\x01", b"x\x9c", b"x\xda", b"x^"):
            content = zlib.decompressobj().decompress(content, _PICKLE_PREFIX)
        if content[:1] != b"\x80":
            return ()
        return tuple(dict.fromkeys(_names_in(content)))


def _names_in(content: bytes) -> list[str]:
    """Names of globals in a pickle, as far as it can be followed; what follows raw array bytes is searched by
    pattern."""
    names: list[str] = []
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
            if opcode.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
                names.append(f"{strings[-2]}.{strings[-1]}")
            elif isinstance(argument, str):
                strings.append(argument)
    except Exception:  # whatever a damaged file, or the raw bytes of an array in between, makes of the scan
        names += [found.decode() for found in re.findall(rb"(?:[A-Za-z_]\w+\.)+[A-Za-z_]\w+", content)]
    return names


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def named(values: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Values by name: a mapping as it is, one value or a sequence in the order of ``names``."""
    if isinstance(values, Mapping):
        return values
    given = values if isinstance(values, tuple | list) else (values,)
    if len(given) != len(names):
        raise ConversionError(f"{len(given)} values were given for {len(names)} inputs: {', '.join(names)}")
    return dict(zip(names, given, strict=True))
