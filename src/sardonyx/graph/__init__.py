"""Models as graphs: files read and checked, functions inlined, opsets upgraded.

Names are loaded when they are first used: ``open_source`` serves a warm start, which must not import onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx.graph.emit import detach
    from sardonyx.graph.inline import expand_function_op
    from sardonyx.graph.model import Metadata, Model
    from sardonyx.graph.reader import read_model
    from sardonyx.graph.source import ModelSource, Source, open_source
    from sardonyx.graph.upgrade import is_current
    from sardonyx.graph.value_types import ValueInfo
    from sardonyx.graph.verifier import verify

_HOMES = {
    "Metadata": "model",
    "Model": "model",
    "ModelSource": "source",
    "Source": "source",
    "ValueInfo": "value_types",
    "detach": "emit",
    "expand_function_op": "inline",
    "is_current": "upgrade",
    "open_source": "source",
    "read_model": "reader",
    "verify": "verifier",
}

__all__ = [
    "Metadata",
    "Model",
    "ModelSource",
    "Source",
    "ValueInfo",
    "detach",
    "expand_function_op",
    "is_current",
    "open_source",
    "read_model",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
