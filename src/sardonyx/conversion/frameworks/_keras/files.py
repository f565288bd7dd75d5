"""Keras models from files."""

from __future__ import annotations

import importlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sardonyx.conversion.source import Request
from sardonyx.errors import ConversionError, UntrustedSourceError

__all__ = ["read_model"]

_MISSING = re.compile(r"(?:Could not locate (?:class|function)|Unknown (?:\w+:)?) ?'([^']+)'")


def read_model(path: Path, request: Request) -> Any:
    """The model of a .keras or HDF5 file, or the factory's model with the weights of one.

    Raises UntrustedSourceError for Lambda layers that hold Python code, and ConversionError where a class is missing.
    """
    import keras

    custom = _custom_objects(request)
    config = _config(path)
    if config is None:
        return _with_weights(path, request)
    lambdas = list(_lambdas(config))
    if lambdas and not request.trust:
        raise UntrustedSourceError(
            f"{path}: Python code is stored in it, and would run, in the Lambda layer{'s' if len(lambdas) > 1 else ''} "
            f"{', '.join(lambdas)}. It is not opened unless you say that you trust it: --trust, or trust=True. Safer: "
            "write a Layer class in place of the Lambda, or give the model as an object"
        )
    try:
        return keras.models.load_model(path, custom_objects=custom, compile=False, safe_mode=not lambdas)
    except (TypeError, ValueError) as error:
        found = _MISSING.search(str(error))
        if found is None:
            raise
        raise ConversionError(
            f"{path}: the code of its {found[1]!r} is not part of Keras. Name the Python module that defines it: "
            f"--option module=MODULE, or give convert custom_objects={{{found[1]!r}: {found[1]}}}"
        ) from error


def _with_weights(path: Path, request: Request) -> Any:
    if request.factory is None:
        raise ConversionError(
            f"{path} holds weights only. Say which function makes the model that they belong to: "
            "--factory MODULE:FUNCTION, or factory=FUNCTION"
        )
    model = request.factory()
    if not model.built and request.example_inputs is not None:
        given = request.example_inputs
        model(*given) if isinstance(given, tuple) else model(given)
    try:
        model.load_weights(path)
    except (ValueError, KeyError) as error:
        raise ConversionError(
            f"{path}: the weights do not fit the factory's {type(model).__name__}: {error}"
        ) from error
    return model


def _config(path: Path) -> Any:
    """A file's description of the model, or None of a file of weights."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise ConversionError(f"{path} is a damaged HDF5 file: {error}") from error
    return None if text is None else json.loads(text)


def _lambdas(config: Any) -> Iterator[str]:
    """Names of the layers that hold marshalled Python code."""
    if isinstance(config, dict):
        inner = config.get("config")
        if config.get("class_name") == "Lambda" and isinstance(inner, dict) and _holds_code(inner):
            yield str(inner.get("name"))
        for value in config.values():
            yield from _lambdas(value)
    elif isinstance(config, list):
        for value in config:
            yield from _lambdas(value)


def _holds_code(config: dict[str, Any]) -> bool:
    functions = [config.get("function"), config.get("output_shape"), config.get("mask")]
    marshalled = any(isinstance(f, dict) and f.get("class_name") == "__lambda__" for f in functions)
    return marshalled or any(config.get(f"{key}_type") == "lambda" for key in ("function", "output_shape"))


def _custom_objects(request: Request) -> dict[str, Any]:
    """Classes and functions of the module that was named, and those given by name."""
    found = dict(request.option("custom_objects") or {})
    module = request.option("module")
    if module is None:
        return found
    sys.path.insert(0, "")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        raise ConversionError(f"module={module} cannot be imported: {error}") from error
    finally:
        sys.path.remove("")
    return {name: value for name, value in vars(home).items() if callable(value)} | found
