"""TensorFlow: SavedModels, functions, frozen graphs, and TFLite files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._tensorflow import functions, lite
from sardonyx.conversion.frameworks._tensorflow.graphs import Function, to_onnx
from sardonyx.conversion.frameworks._tensorflow.packages import import_tensorflow
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["TensorFlow"]

_TFLITE = b"TFL3"
"""What a TFLite file holds at its bytes 4 to 8."""

_GRAPH_FIELD = b"\x0a"
"""What a serialised GraphDef begins with: its first node."""

_READERS: dict[str, Callable[[Source, Request], Function]] = {
    "a TensorFlow SavedModel": functions.of_saved_model,
    "a frozen TensorFlow graph": functions.of_frozen_graph,
    "a TensorFlow function": functions.of_function,
    "a TensorFlow concrete function": functions.of_concrete_function,
    "a TensorFlow module": functions.of_module,
}


class TensorFlow(Framework):
    """What holds a graph of TensorFlow's; its answer is what running the graph gives, or TFLite's interpreter."""

    key = "tensorflow"
    title = "TensorFlow"
    extra = "tensorflow"
    packages: ClassVar[Mapping[str, str]] = {"tensorflow": "tensorflow", "tf2onnx": "tf2onnx"}

    def sees(self, source: Source) -> Form | None:
        kind = self._kind(source)
        return None if kind is None else Form(self.key, kind, "tf2onnx")

    def _kind(self, source: Source) -> str | None:
        if source.is_folder:
            return "a TensorFlow SavedModel" if "saved_model.pb" in source.members else None
        if source.is_file:
            if source.head[4:8] == _TFLITE:
                return "a TFLite model"
            if source.path is not None and source.path.name == "saved_model.pb":
                return "a TensorFlow SavedModel"
            is_graph = source.suffix == ".pb" and source.head.startswith(_GRAPH_FIELD)
            return "a frozen TensorFlow graph" if is_graph else None
        if source.is_a("tensorflow.ConcreteFunction"):
            return "a TensorFlow concrete function"
        if source.is_a("tensorflow.Function"):
            return "a TensorFlow function"
        if source.is_a("tensorflow.GraphDef"):
            return "a frozen TensorFlow graph"
        return "a TensorFlow module" if source.is_a("tensorflow.Module", "tensorflow._UserObject") else None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        import_tensorflow()
        if form.kind == "a TFLite model":
            return lite.exported(source, request)
        function = _READERS[form.kind](source, request)
        graph = to_onnx(function, request, lambda node: f"node {node!r}")
        return Exported(
            graph.model, function.reference, tolerance=graph.tolerance, notes=graph.notes, trace=graph.trace
        )
