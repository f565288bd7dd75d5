"""The names of ``onnxruntime.capi.onnxruntime_inference_collection``."""

from sardonyx.session.devices import OrtDevice
from sardonyx.session.inference import InferenceSession
from sardonyx.session.values import OrtValue

__all__ = ["InferenceSession", "OrtDevice", "OrtValue", "Session"]

Session = InferenceSession
