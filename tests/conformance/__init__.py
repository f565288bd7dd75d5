"""ONNX's own backend suite, run on sardonyx: ``python -m conformance`` with ``tests`` on the path."""
