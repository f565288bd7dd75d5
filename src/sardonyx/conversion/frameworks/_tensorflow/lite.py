"""TFLite files, beside TFLite's own interpreter."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sardonyx import metadata
from sardonyx.conversion.framework import Domain, Exported
from sardonyx.conversion.frameworks._tensorflow.graphs import NEWEST, notes_of, texts
from sardonyx.conversion.frameworks._tensorflow.handlers import counted
from sardonyx.conversion.frameworks._tensorflow.packages import complaints, import_tensorflow
from sardonyx.conversion.frameworks._tensorflow.repairs import (
    at_opset,
    check_operators,
    first_opset,
    name_sizes,
    valid_names,
)
from sardonyx.conversion.source import Request, Source
from sardonyx.errors import ConversionError

__all__ = ["exported"]

_ROUNDED = 0.05
"""The relative tolerance where TFLite rounds activations to 8 bits on the way."""


class _Interpreter:
    """TFLite's interpreter on arrays by the names that the model has them under."""

    def __init__(self, path: Path) -> None:
        tensorflow = import_tensorflow()
        self._interpreter = tensorflow.lite.Interpreter(str(path))
        self._interpreter.allocate_tensors()
        self._operators = self._interpreter._get_ops_details()
        self._tensors = {one["index"]: one for one in self._interpreter.get_tensor_details()}
        self.inputs = self._named(self._interpreter.get_input_details(), "inputs", [])
        self.outputs = self._named(self._interpreter.get_output_details(), "outputs", list(self.inputs))

    def _named(self, details: Any, side: str, taken: list[str]) -> dict[str, Any]:
        """Details by the names of the signature if there is one, else by those of the tensors."""
        signatures = list(self._interpreter._get_full_signature_list().values())
        by_index = {index: name for name, index in signatures[0][side].items()} if signatures else {}
        names = [by_index.get(one["index"], one["name"].removesuffix(":0")) for one in details]
        plain = ["input" if name.startswith("keras_tensor") else name for name in names]
        return dict(zip(valid_names(plain, taken), details, strict=True))

    def domains(self) -> dict[str, Domain]:
        """What the quantised inputs can hold: all of their type's values, or the range that those stand for."""
        quantised = {op["inputs"][0]: op["outputs"][0] for op in self._operators if op["op_name"] == "QUANTIZE"}
        found = {}
        for name, one in self.inputs.items():
            if one["quantization"][0]:
                limits = np.iinfo(one["dtype"])
                found[name] = Domain(low=limits.min, high=limits.max)
            elif one["index"] in quantised:
                held = self._tensors[quantised[one["index"]]]
                scale, zero = held["quantization"]
                limits = np.iinfo(held["dtype"])
                found[name] = Domain(low=(limits.min - zero) * scale, high=(limits.max - zero) * scale)
        return found

    def steps(self) -> dict[str, float]:
        """The distance of neighbouring values, of the outputs that are quantised or made from what is."""
        made = {op["outputs"][0]: op["inputs"][0] for op in self._operators if op["op_name"] == "DEQUANTIZE"}
        found = {}
        for name, one in self.outputs.items():
            if one["quantization"][0]:
                found[name] = 1.0
            elif one["index"] in made:
                found[name] = float(self._tensors[made[one["index"]]]["quantization"][0])
        return found

    def rounds_on_the_way(self) -> bool:
        """Whether products of floats with weights of 8 bits round the floats to 8 bits first."""
        eight, wide = np.dtype(np.int8), np.dtype(np.float32)
        kinds = [[self._tensors[i]["dtype"] for i in op["inputs"] if i in self._tensors] for op in self._operators]
        return any(len(dtypes) > 1 and dtypes[0] == wide and dtypes[1] == eight for dtypes in kinds)

    def reference(self, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the interpreter gives."""
        for name, one in self.inputs.items():
            self._interpreter.resize_tensor_input(one["index"], feeds[name].shape)
        self._interpreter.allocate_tensors()
        for name, one in self.inputs.items():
            self._interpreter.set_tensor(one["index"], np.asarray(feeds[name], one["dtype"]))
        self._interpreter.invoke()
        return {name: texts(self._interpreter.get_tensor(one["index"])) for name, one in self.outputs.items()}


def exported(source: Source, request: Request) -> Exported:
    """A TFLite model and its interpreter."""
    assert source.path is not None
    tensorflow = import_tensorflow()
    try:
        interpreter = _Interpreter(source.path)
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"{source}: TFLite's interpreter cannot load it: {error}") from error
    counts: Counter[str] = Counter()
    opset = first_opset(request.opset, NEWEST)
    names = {one["name"]: name for name, one in (*interpreter.inputs.items(), *interpreter.outputs.items())}
    with complaints() as failures:
        from tf2onnx import convert

        with tensorflow.device("/cpu:0"):
            model, _ = convert._convert_common(
                None,
                tflite_path=str(source.path),
                name="model",
                continue_on_error=True,
                opset=opset,
                input_names=[one["name"] for one in interpreter.inputs.values()],
                output_names=[one["name"] for one in interpreter.outputs.values()],
                tensors_to_rename=names,
                custom_op_handlers=counted(counts),
            )
    check_operators(model, failures, lambda node: f"node {node!r}")
    batch = None if request.dynamic else _batch(request)
    name_sizes(model, _shapes(interpreter.inputs, batch), _shapes(interpreter.outputs, batch))
    notes, steps = notes_of(counts), interpreter.steps()
    if steps:
        notes.append("TFLite's kernels round quantised values in more than one way: outputs may be one step apart")
    rounds = interpreter.rounds_on_the_way()
    if rounds:
        notes.append("TFLite rounds activations to 8 bits before they meet weights of 8 bits; the model does not")
    return Exported(
        at_opset(model, request.opset),
        interpreter.reference,
        domains=interpreter.domains(),
        steps=steps,
        tolerance=_ROUNDED if rounds else None,
        metadata=_labels(source.path),
        notes=notes,
    )


def _shapes(details: Mapping[str, Any], batch: int | None) -> dict[str, Any]:
    """Shapes with None for open axes."""
    import tensorflow

    found = {}
    for name, one in details.items():
        sizes = [None if size < 0 else int(size) for size in one["shape_signature"]]
        if sizes and sizes[0] is None:
            sizes[0] = batch
        found[name] = tensorflow.TensorShape(sizes)
    return found


def _batch(request: Request) -> int:
    example = request.example_inputs
    first = next(iter(example.values())) if isinstance(example, Mapping) else example
    first = first[0] if isinstance(first, tuple | list) and first else first
    shape = np.shape(first) if first is not None else ()
    return int(shape[0]) if shape else 1


def _labels(path: Path) -> dict[str, str]:
    """Class names: files of labels that TFLite's metadata tools append to a model as a zip archive."""
    import json

    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        lists = [name for name in archive.namelist() if name.endswith(".txt") and "label" in name.lower()]
        if len(lists) != 1:
            return {}
        lines = archive.read(lists[0]).decode("utf-8", "replace").splitlines()
    return {metadata.CLASSES: json.dumps([line.strip() for line in lines if line.strip()])}
