"""Inputs for a model from files (.npz, .npy, .json, images) or drawn at random."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sardonyx import dtypes
from sardonyx.errors import InvalidInputError

__all__ = ["Feeds", "ImageScaling", "InputSpec", "input_specs", "random_feeds", "read_feeds"]

Array: TypeAlias = npt.NDArray[Any]
Feeds: TypeAlias = dict[str, Array]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
CHANNEL_COUNTS = (1, 3, 4)


@dataclass(frozen=True)
class InputSpec:
    """What a model says of an input: a size is an int or the name of a symbolic size."""

    name: str
    dtype: dtypes.DType
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class ImageScaling:
    """How pixels become numbers: ``(pixel / scale - mean) / std`` for float inputs; integer inputs take pixels as is.
    ``size`` (height, width) is for models that leave theirs open."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 255.0
    size: tuple[int, int] | None = None


def input_specs(session: Any) -> list[InputSpec]:
    """The tensor inputs of a session, from its ``get_inputs()``; a size without a name is called ``INPUT:AXIS``."""
    by_ort_name = {f"tensor({dtype.ort_name})": dtype for dtype in dtypes.ALL}
    specs = []
    for value in session.get_inputs():
        if value.type not in by_ort_name:
            raise InvalidInputError(f"input {value.name!r} is a {value.type}; the command line feeds tensors only")
        shape = tuple(f"{value.name}:{axis}" if size is None else size for axis, size in enumerate(value.shape))
        specs.append(InputSpec(value.name, by_ort_name[value.type], shape))
    return specs


def random_feeds(specs: Sequence[InputSpec], sizes: Mapping[str, int], *, seed: int = 0, below: int = 2) -> Feeds:
    """Seeded random inputs: floats standard normal, integers from 0 to ``below`` - 1, strings short words.

    ``sizes`` gives symbolic sizes by name; those that are not named become 1.
    """
    rng = np.random.default_rng(seed)
    _check_sizes(specs, sizes)
    return {spec.name: _random(rng, spec.dtype, _shape(spec, sizes), below) for spec in specs}


def _check_sizes(specs: Sequence[InputSpec], sizes: Mapping[str, int]) -> None:
    known = {size for spec in specs for size in spec.shape if isinstance(size, str)}
    for name in sizes:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInputError(f"the model has no symbolic size {name!r}; it has: {listed}")


def _shape(spec: InputSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else sizes.get(size, 1) for size in spec.shape)


def _random(rng: np.random.Generator, dtype: dtypes.DType, shape: tuple[int, ...], below: int) -> Array:
    match dtype.kind:
        case "f":
            return rng.standard_normal(shape, np.float32).astype(dtype.numpy)
        case "c":
            return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype.numpy)
        case "b":
            return rng.integers(0, 2, shape).astype(np.bool_)
        case "s":
            words = np.array(["alpha", "beta", "gamma", "delta"], dtype=object)
            return np.asarray(words[rng.integers(0, len(words), shape)], dtype=object).reshape(shape)
        case _:
            return rng.integers(0, below, shape).astype(dtype.numpy)


def read_feeds(specs: Sequence[InputSpec], given: Sequence[str], scaling: ImageScaling | None = None) -> Feeds:
    """Reads inputs given as ``FILE`` or ``NAME=FILE``.

    A .npz or a .json object holds inputs by name; any other file holds one input, whose name may be left out when the
    model has only one. Raises InvalidInputError for a file that cannot be used.
    """
    by_name = {spec.name: spec for spec in specs}
    feeds: Feeds = {}
    for text in given:
        name, path = _split(text, by_name)
        content = _read_file(path)
        if isinstance(content, dict):
            if name is not None:
                raise InvalidInputError(f"{path} names its inputs itself; give it without {name}=")
            feeds |= {key: _convert(value, _spec(by_name, key, path), path) for key, value in content.items()}
            continue
        spec = _spec(by_name, name, path)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            feeds[spec.name] = _image(path, spec, scaling or ImageScaling())
        else:
            feeds[spec.name] = _convert(content, spec, path)
    return feeds


def _split(text: str, by_name: Mapping[str, InputSpec]) -> tuple[str | None, Path]:
    name, equals, path = text.partition("=")
    if equals and (name in by_name or not Path(text).exists()):
        return name, Path(path)
    return None, Path(text)


def _spec(by_name: Mapping[str, InputSpec], name: str | None, path: Path) -> InputSpec:
    if name is None:
        if len(by_name) != 1:
            raise InvalidInputError(f"{path}: say which input it is, NAME={path}; the model has {', '.join(by_name)}")
        return next(iter(by_name.values()))
    if name not in by_name:
        raise InvalidInputError(f"{path}: the model has no input {name!r}; it has: {', '.join(by_name)}")
    return by_name[name]


def _read_file(path: Path) -> Any:
    """A dict of inputs by name, the contents of one input, or None for an image."""
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive)
        if suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if suffix == ".json":
            return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise InvalidInputError(f"{path}: cannot be read as {suffix}: {error}") from error
    if suffix in IMAGE_SUFFIXES:
        return None
    raise InvalidInputError(f"{path}: expected .npz, .npy, .json or an image, got {suffix or 'no suffix'}")


def _convert(content: Any, spec: InputSpec, path: Path) -> Array:
    """Arrays keep their dtype (the session checks it); numbers of a .json become the input's."""
    if isinstance(content, np.ndarray):
        return content
    try:
        return np.asarray(content, dtype=spec.dtype.numpy)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(f"{path}: input {spec.name!r} cannot become {spec.dtype.name}: {error}") from error


def _image(path: Path, spec: InputSpec, scaling: ImageScaling) -> Array:
    """An image as the input wants it: (1, C, H, W) or (1, H, W, C), resized where the model fixes H and W."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise InvalidInputError(f"{path}: reading images needs Pillow: pip install 'sardonyx[images]'") from error
    channels_first, channels, height, width = _image_layout(spec, path)
    try:
        with Image.open(path) as file:
            image = file.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
            if scaling.size is not None and not (isinstance(height, int) and isinstance(width, int)):
                height, width = scaling.size
            if isinstance(height, int) and isinstance(width, int):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(image).reshape(image.height, image.width, channels)
    except (UnidentifiedImageError, OSError) as error:
        raise InvalidInputError(f"{path}: not an image that Pillow can read: {error}") from error
    if spec.dtype.is_float:
        mean, std = (np.asarray(values, np.float32) for values in (scaling.mean, scaling.std))
        pixels = ((pixels.astype(np.float32) / np.float32(scaling.scale) - mean) / std).astype(spec.dtype.numpy)
    else:
        pixels = pixels.astype(spec.dtype.numpy)
    return np.ascontiguousarray((pixels.transpose(2, 0, 1) if channels_first else pixels)[None])


def _image_layout(spec: InputSpec, path: Path) -> tuple[bool, int, int | str, int | str]:
    if len(spec.shape) == 4:
        _, second, third, last = spec.shape
        if second in CHANNEL_COUNTS:
            return True, int(second), third, last
        if last in CHANNEL_COUNTS:
            return False, int(last), second, third
    raise InvalidInputError(
        f"{path}: input {spec.name!r} has shape {list(spec.shape)}; an image needs (batch, channels, height, width) or "
        f"(batch, height, width, channels) with 1, 3 or 4 channels"
    )
