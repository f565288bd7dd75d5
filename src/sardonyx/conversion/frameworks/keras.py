"""Keras 3: whole models (.keras, HDF5), weights with a factory, and Model objects, by way of TensorFlow's graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._keras.calls import call_of
from sardonyx.conversion.frameworks._keras.files import read_model
from sardonyx.conversion.frameworks._keras.layers import LayerNames, domains_of, sizes_of, tolerance_of
from sardonyx.conversion.frameworks._tensorflow.graphs import Function, to_onnx
from sardonyx.conversion.frameworks._tensorflow.packages import import_keras
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["Keras"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


class Keras(Framework):
    """A Keras 3 model; its answer is what calling it on arrays gives, with ``training=False``."""

    key = "keras"
    title = "Keras"
    extra = "tensorflow"
    packages: ClassVar[Mapping[str, str]] = {"tensorflow": "tensorflow", "keras": "keras", "tf2onnx": "tf2onnx"}

    def sees(self, source: Source) -> Form | None:
        if source.is_a("keras.Model"):
            return Form(self.key, "a Keras model", "tf2onnx")
        if source.is_file and source.head.startswith(_HDF5):
            weights = source.path is not None and source.path.name.endswith(".weights.h5")
            return Form(self.key, "Keras weights (HDF5)" if weights else "a Keras model (HDF5)", "tf2onnx")
        if {"config.json", "metadata.json", "model.weights.h5"} <= source.members:
            return Form(self.key, "a Keras model (.keras)", "tf2onnx")
        return None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        import_keras()
        model = source.object if source.path is None else read_model(source.path, request)
        call = call_of(model, request)
        names = LayerNames(model)
        function = Function(call.flat, call.inputs, call.outputs, model)
        graph = to_onnx(function, request, names.describe)
        tolerance, notes = tolerance_of(model)
        sizes, other_sizes = sizes_of(call)
        return Exported(
            graph.model,
            function.reference,
            domains=domains_of(model, call),
            sizes=sizes,
            other_sizes=other_sizes,
            float64={spec.dtype.name for spec in call.inputs if spec.dtype.is_floating} == {"float64"},
            tolerance=max(filter(None, (tolerance, graph.tolerance)), default=None),
            notes=[*graph.notes, *notes],
            trace=graph.trace,
        )
