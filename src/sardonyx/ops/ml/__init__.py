"""Records of ai.onnx.ml: classical machine learning. What is plain arithmetic is rewritten in ``graph/upgrade``."""
