"""Importing TensorFlow and Keras, and listening to tf2onnx."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from sardonyx.conversion.quiet import quiet
from sardonyx.errors import ConversionError

__all__ = ["complaints", "import_keras", "import_tensorflow"]


def import_tensorflow() -> ModuleType:
    """TensorFlow, told to log nothing in case this is what loads it."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with _environment("TF_CPP_MIN_LOG_LEVEL", "3"), quiet():
        import tensorflow

        tensorflow.config.list_logical_devices()
    return tensorflow  # type: ignore[no-any-return]


def import_keras() -> ModuleType:
    """Keras on TensorFlow; raises ConversionError where it already runs on another backend."""
    import_tensorflow()
    with _environment("KERAS_BACKEND", "tensorflow"), quiet():
        import keras
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ConversionError(
            f"Keras runs on {backend} in this process; converting needs its TensorFlow backend: save the model "
            "(model.save('m.keras')) and convert the file, or start Python with KERAS_BACKEND=tensorflow"
        )
    return keras  # type: ignore[no-any-return]


@contextmanager
def complaints() -> Iterator[dict[str, str]]:
    """What tf2onnx logs as failed inside of the block, by node name: it goes on and leaves such nodes as they were."""
    found: dict[str, str] = {}

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            if error is not None and isinstance(record.args, tuple) and record.args:
                found[str(record.args[0])] = str(error)

    logger, handler = logging.getLogger("tf2onnx"), Collecting(logging.ERROR)
    level, propagates, disabled = logger.level, logger.propagate, logging.root.manager.disable
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logging.disable(logging.NOTSET)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
        logging.disable(disabled)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
