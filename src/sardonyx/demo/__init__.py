"""The demo: two real models compiled, checked against the truth and timed beside ONNX Runtime."""
