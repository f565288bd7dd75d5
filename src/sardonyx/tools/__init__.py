"""Tools on model files, with the names and flags of ``onnxruntime.tools``; each also runs as ``python -m``."""
