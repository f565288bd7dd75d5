"""The names of ``onnxruntime.capi.onnxruntime_inference_collection``."""

from sardonyx.session.binding import IOBinding
from sardonyx.session.devices import OrtDevice
from sardonyx.session.inference import InferenceSession
from sardonyx.session.providers import check_and_normalize_provider_args
from sardonyx.session.sparse import SparseTensor
from sardonyx.session.values import OrtValue, copy_tensors

__all__ = [
    "IOBinding",
    "InferenceSession",
    "OrtDevice",
    "OrtValue",
    "Session",
    "SparseTensor",
    "check_and_normalize_provider_args",
    "copy_tensors",
]

Session = InferenceSession
