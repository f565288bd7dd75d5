"""ONNX itself: a model is checked, and brought to the form that was asked for."""

from __future__ import annotations

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._matlab.recognition import is_from_matlab
from sardonyx.conversion.frameworks._onnx.changes import changed
from sardonyx.conversion.frameworks._onnx.loading import checked, load
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["OnnxFiles"]


class OnnxFiles(Framework):
    """An ONNX file or a ModelProto.

    Options: ``simplify``; ``sizes`` ({"batch": 1} fixes a symbolic size, {"image": [1, 3, 224, 224]} those of an
    input); ``dynamic_batch`` (True, or {"input": axis}: a fixed batch becomes symbolic); ``external`` (weights beside
    the model, or all inside); ``base_dir`` (the folder of the source's external data, where it is not the file's own).
    """

    key = "onnx"
    title = "ONNX"

    def sees(self, source: Source) -> Form | None:
        if is_from_matlab(source):
            return None
        if source.is_a("onnx.ModelProto") or (source.is_file and source.suffix == ".onnx"):
            return Form(self.key, "an ONNX model", "onnx")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        model = load(source, request.option("base_dir"))
        checked(model, source)
        return changed(model, request)
