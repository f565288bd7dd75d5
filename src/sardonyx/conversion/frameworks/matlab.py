"""MATLAB: the ONNX files of ``exportONNXNetwork``, opset 6 to 17, repaired where other engines stumble over them."""

from __future__ import annotations

import json
import re

import onnx

from sardonyx import metadata
from sardonyx.conversion.framework import Exported, Framework
from sardonyx.conversion.frameworks._matlab.recognition import is_from_matlab
from sardonyx.conversion.frameworks._matlab.repairs import repair_attributes, repair_ranks, sequences
from sardonyx.conversion.frameworks._onnx.changes import changed
from sardonyx.conversion.frameworks._onnx.loading import checked, load, without_constant_inputs
from sardonyx.conversion.frameworks._onnx.opsets import opset_of
from sardonyx.conversion.source import Form, Request, Source

__all__ = ["Matlab"]

_RUN_BY_OTHERS = 13
_WRITTEN = 17
_CLASS_KEYS = re.compile(r"class(es|_?names|_?labels)?|labels|categories", re.IGNORECASE)


class Matlab(Framework):
    """A file of MATLAB's exporter, or its ModelProto. It takes the options of ONNX models; a fixed BatchSize becomes
    symbolic unless ``dynamic`` is off."""

    key = "matlab"
    title = "MATLAB"

    def sees(self, source: Source) -> Form | None:
        return Form(self.key, "an ONNX model of MATLAB's exporter", "onnx") if is_from_matlab(source) else None

    def export(self, source: Source, form: Form, request: Request) -> Exported:
        original = load(source, request.option("base_dir"))
        model = onnx.ModelProto()
        model.CopyFrom(original)
        notes = repair_attributes(model)
        if without_constant_inputs(model):
            notes.append("the weights are constants, no inputs any more")
        notes += repair_ranks(model)
        checked(model, source)
        if request.opset is None and opset_of(model) < _RUN_BY_OTHERS:
            request.opset = _WRITTEN
            notes.append(f"opset {opset_of(model)} became {_WRITTEN}")
        batch = sequences(model) if request.dynamic else {}
        exported = changed(model, request, original=original, batch=batch)
        exported.notes[:0] = notes
        exported.metadata = _classes(model) | _image(model)
        return exported


def _classes(model: onnx.ModelProto) -> dict[str, str]:
    """Class names, where the file's properties hold as many as the only output has scores."""
    dims = model.graph.output[0].type.tensor_type.shape.dim
    for entry in model.metadata_props:
        names = _names(entry.value) if _CLASS_KEYS.fullmatch(entry.key) else []
        if len(model.graph.output) == 1 and dims and len(names) == dims[-1].dim_value:
            return {metadata.CLASSES: json.dumps(names)}
    return {}


def _image(model: onnx.ModelProto) -> dict[str, str]:
    """An image input takes pixels from 0 to 255: what normalises them is in the graph, right behind the input."""
    normalised = {node.input[0] for node in model.graph.node if node.op_type == "Sub"}
    for value in model.graph.input:
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if len(sizes) == 4 and sizes[1] in (1, 3) and value.name in normalised:
            scaling = {"input": value.name, "size": sizes[2:], "mean": [0], "std": [1], "scale": 1}
            return {metadata.IMAGE: json.dumps(scaling)}
    return {}


def _names(text: str) -> list[str]:
    try:
        read = json.loads(text)
    except ValueError:
        read = re.split(r"[,;\n]", text)
    return [str(name).strip() for name in read] if isinstance(read, list) else []
