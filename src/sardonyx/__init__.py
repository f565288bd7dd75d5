"""An ONNX compiler and runtime in Python that emits native code through LLVM."""

__version__ = "0.1.0"
