"""What was asked for, done to a model in an order in which each change can build on the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

import sardonyx
from sardonyx.conversion.framework import Exported
from sardonyx.conversion.frameworks._onnx.opsets import opset_of, with_opset
from sardonyx.conversion.frameworks._onnx.reference import Reference
from sardonyx.conversion.frameworks._onnx.simplification import simplified
from sardonyx.conversion.frameworks._onnx.sizes import OpenBatch, fix_sizes, open_batch
from sardonyx.conversion.source import Request
from sardonyx.errors import ConversionError, SardonyxError

__all__ = ["changed"]

_OTHER_SIZES = 3
_QUIET = 3


def changed(
    model: onnx.ModelProto,
    request: Request,
    original: onnx.ModelProto | None = None,
    batch: Mapping[str, int] | None = None,
) -> Exported:
    """A model that the reader accepts, in the form that was asked for; its reference is the model as it is now, or the
    ``original`` that it was repaired from. ``batch`` says where the inputs have one that should become symbolic, if
    that is possible."""
    wanted = {name: request.option(name) for name in ("sizes", "dynamic_batch", "simplify", "external")}
    if wanted["sizes"] is not None and not isinstance(wanted["sizes"], Mapping):
        raise ConversionError(f"sizes={wanted['sizes']!r}: expected a map such as {{'batch': 1}}")
    reference: Any = Reference(model) if original is None else Reference(original, model)
    engine = reference.engine
    notes: list[str] = []
    made = onnx.ModelProto()
    made.CopyFrom(model)
    axes = wanted["dynamic_batch"]
    if axes is None and batch:
        made, opened = _opened_if_possible(made, batch, notes)
    else:
        opened = _opened(made, axes) if axes else None
    if axes or opened is not None:
        if opened is None:
            notes.append("no input fixes the batch; it was symbolic already")
        else:
            notes.append(f"the batch, fixed at {opened.size}, is symbolic now")
            reference = opened.in_parts(reference)
    if wanted["sizes"]:
        fix_sizes(made, wanted["sizes"])
    if request.opset is not None:
        made = with_opset(made, request.opset)
    if wanted["simplify"]:
        before, opset = len(made.graph.node), opset_of(made)
        made = simplified(made)
        notes.append(f"simplified: {before} nodes became {len(made.graph.node)}")
        if opset_of(made) != opset:
            notes.append(f"the simplified model needs opset {opset_of(made)}")
    return Exported(made, reference, notes=notes, compared_with=engine, external=wanted["external"])


def _opened(model: onnx.ModelProto, axes: bool | Mapping[str, int]) -> OpenBatch | None:
    opened = open_batch(model, axes if isinstance(axes, Mapping) else None)
    if opened is not None and not opened.certain:
        _try_other_sizes(model, opened)
    return opened


def _opened_if_possible(
    model: onnx.ModelProto, axes: Mapping[str, int], notes: list[str]
) -> tuple[onnx.ModelProto, OpenBatch | None]:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    try:
        return made, _opened(made, axes)
    except ConversionError as error:
        notes.append(f"the batch stays as the file fixes it: {error}")
        return model, None


def _try_other_sizes(model: onnx.ModelProto, opened: OpenBatch) -> None:
    """Runs the model with the batch that it had and with another one; a node that cannot names itself."""
    options = sardonyx.SessionOptions(use_cache=False, log_severity_level=_QUIET)
    session = sardonyx.InferenceSession(model.SerializeToString(), options)
    types = sardonyx.dtypes
    for batch in (opened.size, opened.size + _OTHER_SIZES):
        feeds = {}
        for value in session.get_inputs():
            shape = [size if isinstance(size, int) else _OTHER_SIZES for size in value.shape]
            if value.name in opened.inputs:
                shape[opened.inputs[value.name]] = batch
            kind = next(d for d in types.ALL if value.type == f"tensor({d.ort_name})")
            feeds[value.name] = np.zeros(shape, kind.numpy)
        try:
            results = session.run(None, feeds)
        except SardonyxError as error:
            raise ConversionError(f"the batch cannot be made symbolic, it fails for {batch} rows: {error}") from error
        for value, result in zip(session.get_outputs(), results, strict=True):
            axis = opened.outputs.get(value.name)
            if axis is not None and np.shape(result)[axis] != batch:
                shape = list(np.shape(result))
                raise ConversionError(
                    f"the batch cannot be made symbolic: {value.name} has shape {shape} for {batch} rows"
                )
