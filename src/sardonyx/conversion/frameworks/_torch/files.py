"""What a PyTorch file holds, by its zip members and the names in its pickles; nothing is unpickled."""

from __future__ import annotations

import io
import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sardonyx.conversion.source import Source

__all__ = ["CHECKPOINT", "MODULE", "PROGRAM", "SAFETENSORS", "SCRIPT", "is_harmless", "kind_of"]

PROGRAM, SCRIPT, MODULE = "an exported program (.pt2)", "a TorchScript module", "a pickled PyTorch module"
CHECKPOINT, SAFETENSORS = "PyTorch weights", "weights in safetensors"

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that begins files of torch before 1.6
_SUFFIXES = (".pt", ".pth", ".pt2", ".ckpt", ".bin", ".tar", ".model", "")
_LARGEST_PICKLE = 1 << 26
_HARMLESS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch\.\w*Storage|torch\.storage\.\w*Storage"
    r"|torch\.(Size|device|dtype|Tensor|bfloat16|bool|u?int\d+|float\d+\w*|complex\d+)"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)|torch\.serialization\._get_layout|collections\.(OrderedDict|defaultdict)"
    r"|(__builtin__|builtins)\.(set|frozenset|dict|list|tuple|int|float|bool|str|bytearray|complex)"
)
_TEXTS = {"version", "byteorder", "serialization_id", "archive_format", "archive_version"}
_FUNCTIONS = (
    "FloorDiv|CeilDiv|CleanDiv|Mod|PythonMod|ModularIndexing|Max|Min|Abs|Eq|Ne|Lt|Le|Gt|Ge|Where|IntTrueDiv|FloatTrueDiv"
    "|TruncToInt|TruncToFloat|CeilToInt|FloorToInt|RoundToInt|ToFloat|PowByNatural|FloatPow|LShift|RShift|floor|ceiling|Symbol|Integer|Add|Mul|Pow"
)
_EXPRESSION = re.compile(
    rf"(?:(?:{_FUNCTIONS})\(|[A-Za-z_]\w*+(?!\s*\()|'\w+'|\d+(?:\.\d+)?|\)(?!\s*\()|[\s+\-*/%(,<>=&|~])*"
)


def kind_of(source: Source) -> str | None:
    """Which of the kinds above a file is; None where it is none of them."""
    if source.suffix == ".safetensors" and source.head[8:9] == b"{":
        return SAFETENSORS
    if source.suffix not in _SUFFIXES or not source.is_file:
        return None
    if source.head.startswith(_LEGACY):
        return _of_pickle(source)
    inner = {name.partition("/")[2] for name in source.members}
    if inner & {"archive_format", "models/model.json"} or "serialized_exported_program.json" in source.members:
        return PROGRAM
    if "constants.pkl" in inner and "data.pkl" in inner:
        return SCRIPT
    if "data.pkl" in inner:
        return _of_pickle(source)
    if source.suffix in (".pt", ".pth", ".pt2"):
        return CHECKPOINT  # damaged, or not PyTorch's: reading it says which
    return None


def is_harmless(path: Path) -> bool:
    """Whether reading an exported program makes nothing but tensors and plain containers: every pickle in it, those in
    zip files inside included, names only what builds tensors, and every symbolic size is plain arithmetic (torch
    evaluates those as Python)."""
    try:
        with path.open("rb") as file:
            return _all_harmless(file, nested=False)
    except (zipfile.BadZipFile, OSError, ValueError):
        return True  # nobody can read it


def _all_harmless(file: IO[bytes], *, nested: bool) -> bool:
    with zipfile.ZipFile(file) as archive:
        raw = set() if nested else _raw_members(archive)
        return all(_is_harmless(archive, name, nested) for name in archive.namelist() if name not in raw)


def _is_harmless(archive: zipfile.ZipFile, name: str, nested: bool) -> bool:
    base = name.rpartition("/")[2]
    if base in _TEXTS or base.startswith(".") or (nested and base.isdigit()):
        return True
    if archive.getinfo(name).file_size > _LARGEST_PICKLE:
        return base == "model.json"
    content = archive.read(name)
    if base.endswith(".json") and content[:1] == b"{":
        return _plain_sizes(content)
    if content[:4] == b"PK\x03\x04":
        return not nested and _all_harmless(io.BytesIO(content), nested=True)
    return content[:1] == b"\x80" and _makes_tensors(content)


def _raw_members(archive: zipfile.ZipFile) -> set[str]:
    """Members that the archive's tables call plain tensor bytes, and nothing else."""
    raw: set[str] = set()
    pickled: set[str] = set()
    for name in archive.namelist():
        if name.endswith("_config.json"):
            folder = name.rpartition("/")[0]
            for entry in json.loads(archive.read(name)).get("config", {}).values():
                (pickled if entry["use_pickle"] else raw).add(f"{folder}/{entry['path_name']}")
    return raw - pickled


def _of_pickle(source: Source) -> str:
    return CHECKPOINT if all(_makes_tensors(pickle) for pickle in _pickles(source)) else MODULE


def _pickles(source: Source) -> Iterator[bytes]:
    if source.path is None:
        return
    if source.head.startswith(_LEGACY):
        with source.path.open("rb") as file:
            yield file.read(_LARGEST_PICKLE)
        return
    with zipfile.ZipFile(source.path) as archive:
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                yield archive.read(name)


def _makes_tensors(content: bytes) -> bool:
    """Whether every global that a pickle (or, in old files, each of several in a row) names only builds tensors."""
    stream = io.BytesIO(content)
    try:
        while stream.tell() < len(content):
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
                    return False
                if opcode.name == "GLOBAL" and not _HARMLESS.fullmatch(str(argument).replace(" ", ".")):
                    return False
            if content[stream.tell() : stream.tell() + 1] != b"\x80":
                break  # what follows the pickles of an old file are the tensors' bytes
    except Exception:  # whatever a damaged file makes of the scan
        return False
    return True


def _plain_sizes(content: bytes) -> bool:
    """Whether the sizes in a program's description, which torch evaluates, are arithmetic on names."""
    try:
        return all(_EXPRESSION.fullmatch(text) for text in _expressions(json.loads(content)))
    except ValueError:
        return False


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr_str", "dynamic_shapes", "dims", "range_constraints"):
                yield from _texts(inner)
            else:
                yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (str(key) for key in value)
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in _texts(inner))
