"""From a graph to native code: regions, kernels, memory, and the driver around them. ``compile_model`` is the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx.compiler.build import compile_model as compile_model

__all__ = ["compile_model"]


def __getattr__(name: str) -> Any:
    if name == "compile_model":  # importing it brings in onnx and onnx_ir, which a warm start does without
        from sardonyx.compiler.build import compile_model

        return compile_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
