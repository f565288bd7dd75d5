"""ONNX itself: a model is checked, and brought to the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.source import Form, Request, Source
from sardonyx.errors import ConversionError

__all__ = ["OnnxFiles"]


class OnnxFiles(Framework):
    """An ONNX file or a ModelProto."""

    key = "onnx"
    title = "ONNX"

    def sees(self, source: Source) -> Form | None:
        if source.is_a("onnx.ModelProto") or (source.is_file and source.suffix == ".onnx"):
            return Form(self.key, "an ONNX model", "onnx")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        model = source.object if source.path is None else onnx.load(source.path)
        if request.opset is not None:
            raise ConversionError("changing the opset is not there yet")
        evaluator = ReferenceEvaluator(model)
        names = [value.name for value in model.graph.output]

        def reference(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
            results: Any = evaluator.run(names, dict(feeds))
            return dict(zip(names, results, strict=True))

        return Exported(model, reference)
