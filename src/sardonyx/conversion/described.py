"""What the caller says of a model's classes and images, as the model's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from sardonyx import metadata
from sardonyx.errors import ConversionError

__all__ = ["described"]

_IMAGE = ("input", "size", "mean", "std", "scale", "channels")


def described(model: onnx.ModelProto, classes: Any = None, image: Any = None) -> dict[str, str]:
    """The metadata of ``classes`` (names in the order of the first output's scores, or a text file with one a line)
    and ``image`` (see ``sardonyx.metadata.IMAGE``); raises ConversionError where they do not fit the model."""
    found = {}
    if classes is not None:
        found[metadata.CLASSES] = json.dumps(_classes(model, classes))
    if image is not None:
        found[metadata.IMAGE] = json.dumps(_image(model, image))
    return found


def _classes(model: onnx.ModelProto, classes: Any) -> list[str]:
    if isinstance(classes, str | Path):
        try:
            classes = Path(classes).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConversionError(f"classes={classes}: expected names, or a text file of them: {error}") from error
        classes = [line.strip() for line in classes if line.strip()]
    if not isinstance(classes, Sequence) or not classes:
        raise ConversionError(f"classes: expected names in the order of the scores, got {classes!r}")
    shape = _shape(model.graph.output[0])
    if len(shape) > 1 and isinstance(shape[-1], int) and shape[-1] != len(classes):
        name = model.graph.output[0].name
        raise ConversionError(f"classes: {len(classes)} names for the {shape[-1]} scores of output {name!r}")
    return [str(name) for name in classes]


def _image(model: onnx.ModelProto, image: Any) -> dict[str, Any]:
    if not isinstance(image, Mapping) or not set(image) <= set(_IMAGE):
        raise ConversionError(f"image: expected some of {', '.join(_IMAGE)} by name, got {image!r}")
    pictures = [value.name for value in model.graph.input if len(_shape(value)) == 4]
    name = image.get("input", pictures[0] if len(pictures) == 1 else None)
    if name not in pictures:
        raise ConversionError(f"image: which input is the picture? Of four axes are {', '.join(pictures) or 'none'}")
    try:
        numbers = {key: [float(v) for v in image[key]] for key in ("mean", "std") if key in image}
        size = {"size": [int(v) for v in image["size"]]} if "size" in image else {}
        scale = {"scale": float(image["scale"])} if "scale" in image else {}
    except (TypeError, ValueError) as error:
        raise ConversionError(f"image: mean, std and size are lists of numbers, scale is one: {error}") from error
    if size and len(size["size"]) != 2:
        raise ConversionError(f"image: size is [height, width], got {size['size']}")
    return {**image, "input": name, **numbers, **size, **scale}


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in value.type.tensor_type.shape.dim]
