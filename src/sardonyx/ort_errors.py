"""ONNX Runtime's exception classes, one per status code; what sardonyx raises derives from them (see ``errors``).

Programs import them from ``sardonyx.capi.onnxruntime_pybind11_state``, as from ONNX Runtime.
"""

from __future__ import annotations

__all__ = [
    "DeviceReset",
    "EPFail",
    "EngineError",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoadCanceled",
    "ModelLoaded",
    "ModelRequiresCompilation",
    "NoModel",
    "NoSuchFile",
    "NotFound",
    "NotImplemented",
    "RuntimeException",
]


class Fail(Exception):
    """ONNX Runtime's FAIL: anything that has no code of its own."""


class InvalidArgument(Exception):
    """ONNX Runtime's INVALID_ARGUMENT."""


class NoSuchFile(Exception):
    """ONNX Runtime's NO_SUCHFILE."""


class NoModel(Exception):
    """ONNX Runtime's NO_MODEL."""


class EngineError(Exception):
    """ONNX Runtime's ENGINE_ERROR."""


class RuntimeException(Exception):
    """ONNX Runtime's RUNTIME_EXCEPTION."""


class InvalidProtobuf(Exception):
    """ONNX Runtime's INVALID_PROTOBUF."""


class ModelLoaded(Exception):
    """ONNX Runtime's MODEL_LOADED."""


class NotImplemented(Exception):
    """ONNX Runtime's NOT_IMPLEMENTED."""


class InvalidGraph(Exception):
    """ONNX Runtime's INVALID_GRAPH."""


class EPFail(Exception):
    """ONNX Runtime's EP_FAIL."""


class ModelLoadCanceled(Exception):
    """ONNX Runtime's MODEL_LOAD_CANCELED."""


class ModelRequiresCompilation(Exception):
    """ONNX Runtime's MODEL_REQUIRES_COMPILATION."""


class NotFound(Exception):
    """ONNX Runtime's NOT_FOUND."""


class DeviceReset(Exception):
    """ONNX Runtime's DEVICE_RESET."""
