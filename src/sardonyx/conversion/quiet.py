"""Exporters' chatter, kept off the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is printed, warned of or logged inside, by Python or by native code; all is as it was afterwards."""
    before = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        for descriptor in (1, 2):
            stack.enter_context(_nowhere(descriptor))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, before)
        yield


@contextlib.contextmanager
def _nowhere(descriptor: int) -> Iterator[None]:
    """What is written to a descriptor goes nowhere; where it is closed, it stays so."""
    try:
        kept = os.dup(descriptor)
    except OSError:
        yield
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, descriptor)
        os.close(sink)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
