"""Importing and running TensorFlow without its chatter on the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from types import ModuleType

from sardonyx.errors import ConversionError

__all__ = ["complaints", "import_keras", "import_tensorflow", "quiet"]

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_LOGGERS = ("tensorflow", "absl", "tf2onnx", "keras", "h5py")
_silent = False


def import_tensorflow() -> ModuleType:
    """TensorFlow, told to log nothing in case this is what loads it."""
    global _silent
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    before = os.environ.get(_LEVEL)
    os.environ[_LEVEL] = "3"
    try:
        with quiet():  # what is written before the log level is looked at
            import tensorflow

            tensorflow.config.list_logical_devices()
        _silent = True
    finally:
        if before is None:
            del os.environ[_LEVEL]
        else:
            os.environ[_LEVEL] = before
    return tensorflow  # type: ignore[no-any-return]


def import_keras() -> ModuleType:
    """Keras on TensorFlow; raises ConversionError where it already runs on another backend."""
    import_tensorflow()
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with quiet():
            import keras
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ConversionError(
            f"Keras runs on {backend} in this process; converting needs its TensorFlow backend: save the model "
            "(model.save('m.keras')) and convert the file, or start Python with KERAS_BACKEND=tensorflow"
        )
    return keras  # type: ignore[no-any-return]


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that Python or C++ code says inside of the block reaches the terminal."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            if not _silent:  # TensorFlow's C++ code writes to the file, whatever Python calls its stderr
                stack.enter_context(_discarded_file(2))
            stack.enter_context(redirect_stdout(StringIO()))
            stack.enter_context(redirect_stderr(StringIO()))
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


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
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


@contextmanager
def _discarded_file(descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:  # it is closed: nobody sees anything anyway
        yield
        return
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
