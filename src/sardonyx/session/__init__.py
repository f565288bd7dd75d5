"""What users hold: sessions with ONNX Runtime's interface, and models that are called like functions."""

from sardonyx.session.arguments import ModelMetadata, NodeArg
from sardonyx.session.inference import InferenceSession
from sardonyx.session.model import Model, load
from sardonyx.session.providers import get_available_providers
from sardonyx.session.values import OrtValue

__all__ = [
    "InferenceSession",
    "Model",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "get_available_providers",
    "load",
]
