"""An ONNX compiler and runtime in Python that emits native code through LLVM.

    import sardonyx
    model = sardonyx.load("model.onnx")
    y = model(x)

``InferenceSession`` and ``SessionOptions`` have ONNX Runtime's interface.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx.errors import (
        CacheError,
        ExecutionError,
        InvalidInputError,
        InvalidModelError,
        MemoryLimitError,
        ModelTooLargeError,
        ProviderError,
        SardonyxError,
        UnsupportedOpError,
    )
    from sardonyx.options import ExecutionMode, GraphOptimizationLevel, RunOptions, SessionOptions
    from sardonyx.session import (
        InferenceSession,
        Model,
        ModelMetadata,
        NodeArg,
        OrtValue,
        get_available_providers,
        load,
    )

__version__ = "0.1.0"

__all__ = [
    "CacheError",
    "ExecutionError",
    "ExecutionMode",
    "GraphOptimizationLevel",
    "InferenceSession",
    "InvalidInputError",
    "InvalidModelError",
    "MemoryLimitError",
    "Model",
    "ModelMetadata",
    "ModelTooLargeError",
    "NodeArg",
    "OrtValue",
    "ProviderError",
    "RunOptions",
    "SardonyxError",
    "SessionOptions",
    "UnsupportedOpError",
    "__version__",
    "get_available_providers",
    "load",
]

_OPTIONS = {"ExecutionMode", "GraphOptimizationLevel", "RunOptions", "SessionOptions"}


def __getattr__(name: str) -> Any:
    """Names are loaded when they are first used, so that ``import sardonyx`` costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'sardonyx' has no attribute {name!r}")
    home = "errors" if name.endswith("Error") else "options" if name in _OPTIONS else "session"
    value = getattr(import_module(f"sardonyx.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
