"""ONNX Runtime's inner modules, as far as programs import names from them."""

from sardonyx.capi import onnxruntime_inference_collection, onnxruntime_pybind11_state

__all__ = ["onnxruntime_inference_collection", "onnxruntime_pybind11_state"]
