"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from pathlib import Path

import onnx

import sardonyx
from sardonyx.errors import ConversionError

__all__ = ["digest", "fingerprint", "is_large", "opened", "write_bytes", "write_model"]

_LARGEST_MESSAGE = (1 << 31) - 1  # protobuf's
_BESIDE_WEIGHTS = 1 << 26  # room for nodes and names
_CHUNK = 1 << 22


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside the target and renames, so that nobody ever sees half a file."""
    with _Beside(path) as folder:
        (folder / path.name).write_bytes(content)
        os.replace(folder / path.name, path)


def write_model(model: onnx.ModelProto, path: Path, *, external: bool | None = None) -> Path | None:
    """Writes a model. ``external`` puts the weights into ``NAME.data`` beside it, which is returned; None does so only
    where one file cannot hold them (2 GB). Raises ConversionError when the folder cannot be written to."""
    if external or (external is None and is_large(model)):
        return _write_external(model, path)
    write_bytes(path, model.SerializeToString())
    return None


def is_large(model: onnx.ModelProto) -> bool:
    """Whether a model's weights are too many for one message of protobuf."""
    sizes = (math.prod(t.dims) * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize for t in stored(model))
    return bool(sum(sizes) > _LARGEST_MESSAGE - _BESIDE_WEIGHTS)


def stored(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The weights that the model itself holds."""
    return [t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]


def opened(model: onnx.ModelProto, options: sardonyx.SessionOptions | None) -> sardonyx.InferenceSession:
    """A session on a model of any size: a large one goes through a file that is gone afterwards."""
    if not is_large(model):
        return sardonyx.InferenceSession(model.SerializeToString(), options)
    with tempfile.TemporaryDirectory(prefix="sardonyx-") as folder:
        path = Path(folder) / "model.onnx"
        write_model(model, path)
        return sardonyx.InferenceSession(str(path), options)


def fingerprint(model: onnx.ModelProto) -> str:
    """The SHA-256 of a model that is not written yet; of a large one's weights and nodes, one by one."""
    if not is_large(model):
        return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    total = hashlib.sha256()
    for part in (*model.graph.initializer, *model.graph.node):
        total.update(part.SerializeToString(deterministic=True))
    return total.hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's files by their sorted relative names, as hexadecimal digits."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    for file in files:
        if file != path:
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                total.update(chunk)
    return total.hexdigest()


def _write_external(model: onnx.ModelProto, path: Path) -> Path | None:
    data = path.with_name(path.name + ".data")
    with _Beside(path) as folder:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        onnx.save(copied, folder / path.name, save_as_external_data=True, location=data.name, size_threshold=1024)
        has_weights = (folder / data.name).exists()
        if has_weights:
            os.replace(folder / data.name, data)
        os.replace(folder / path.name, path)
    return data if has_weights else None


class _Beside:
    """A temporary folder on the target's file system, gone afterwards whatever happens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", dir=self._path.parent))
        except OSError as error:
            raise ConversionError(f"cannot write {self._path}: {error.strerror or error}") from error
        return self._folder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise ConversionError(f"cannot write {self._path}: {error.strerror or error}") from error
