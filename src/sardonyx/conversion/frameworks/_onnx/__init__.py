"""ONNX models as sources: read with their data, checked, and brought to another form."""
