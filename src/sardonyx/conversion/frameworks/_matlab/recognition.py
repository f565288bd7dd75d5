"""Whether an ONNX model comes from MATLAB."""

from __future__ import annotations

import re

from sardonyx.conversion.source import Source

__all__ = ["is_from_matlab"]

_PRODUCER = rb"MATLAB [\w ]{0,40}Toolbox Converter for ONNX Model Format"
"""Neural Network Toolbox until R2018a, Deep Learning Toolbox since."""
_BEGINNING = rb"\x08.\x12." + _PRODUCER
"""The IR version (field 1) and the producer's name (field 2) with its length."""


def is_from_matlab(source: Source) -> bool:
    """By the producer's name, with which a file begins."""
    if source.path is not None:
        return source.is_file and re.match(_BEGINNING, source.head, re.DOTALL) is not None
    if not source.is_a("onnx.ModelProto"):
        return False
    name = source.object.producer_name
    return re.fullmatch(_PRODUCER, name if isinstance(name, bytes) else name.encode()) is not None
