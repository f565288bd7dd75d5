"""Places in the user's source: where an error arose, and where the size of an axis was settled."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

import sardonyx

__all__ = ["line_of", "place_of", "settled_sizes"]

_FOREIGN = tuple(str(Path(home).parent) for home in (torch.__file__, sardonyx.__file__, logging.__file__))
_SETTLED = re.compile(r"set_replacement (\w+) = \d+ ")
_LOGGER = "torch.fx.experimental.symbolic_shapes"


def place_of(error: BaseException) -> str:
    """What an error says and where it arose: ``at FILE:LINE (CODE): MESSAGE``."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    line = line_of(error)
    return f"{f'at {line}: ' if line else ''}{type(error).__name__}: {lines[0].strip() if lines else ''}"


def line_of(error: BaseException) -> str:
    """``FILE:LINE (CODE)`` of the last line of the user's own code that an error passed through, or nothing."""
    return _last_own(traceback.extract_tb(error.__traceback__))


@contextlib.contextmanager
def settled_sizes() -> Iterator[dict[str, str]]:
    """The lines that make a symbolic size a number while torch exports, by the symbol's name."""
    found: dict[str, str] = {}
    logger = logging.getLogger(_LOGGER)
    before = logger.level, logging.root.manager.disable
    handler = _Listener(found)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.disable(logging.NOTSET)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logging.disable(before[1])


class _Listener(logging.Handler):
    """torch logs a settled size while the line that settles it is on the stack."""

    def __init__(self, found: dict[str, str]) -> None:
        super().__init__(logging.INFO)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        settled = _SETTLED.match(record.getMessage())
        if settled:
            line = _last_own(traceback.extract_stack(sys._getframe()))
            self._found.setdefault(settled[1], line)


def _last_own(stack: traceback.StackSummary) -> str:
    own = [frame for frame in stack if not frame.filename.startswith((*_FOREIGN, "<"))]
    return f"{own[-1].filename}:{own[-1].lineno} ({own[-1].line})" if own else ""
