"""Runs compiled programs. Needs neither onnx nor LLVM."""
