"""What skl2onnx gets wrong, or writes so that others cannot read it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import onnx

from sardonyx.conversion.frameworks._sklearn.steps import everything, kind_of

__all__ = ["exportable", "repair"]

_IR_VERSION = 10


def exportable(model: Any) -> Any:
    """The estimator as skl2onnx can take it: in ONNX a missing string is the empty one; the form in which a vote's
    ``transform`` answers does not matter to ``predict``."""
    if not any(_fills_text(step) or hasattr(step, "flatten_transform") for _, step in everything(model)):
        return model
    model = copy.deepcopy(model)
    for _, step in everything(model):
        if _fills_text(step):
            step.missing_values = ""
        if hasattr(step, "flatten_transform"):
            step.flatten_transform = False
    return model


def _fills_text(step: Any) -> bool:
    return (
        kind_of(step) == "SimpleImputer"
        and any(isinstance(value, str) for value in step.statistics_)
        and not isinstance(step.missing_values, str)
    )


def repair(model: onnx.ModelProto, notes: list[str]) -> None:
    """Changes the model in place and says what for in ``notes``."""
    _locale(model, notes)
    _opsets(model)
    _batch(model)
    model.ir_version = min(model.ir_version, _IR_VERSION)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _locale(model: onnx.ModelProto, notes: list[str]) -> None:
    """The exporter's en_US.UTF-8 is refused by ONNX Runtime where the system has no such locale."""
    changed = False
    for node in _nodes(model.graph):
        if node.op_type != "StringNormalizer":
            continue
        kept = [a for a in node.attribute if a.name != "locale"]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("locale", "C")])
        changed = True
    if changed:
        notes.append("text is made lower case in the locale C, which every system has, in place of en_US.UTF-8")


def _opsets(model: onnx.ModelProto) -> None:
    """One entry per domain, of those that are used."""
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        name = "" if entry.domain == "ai.onnx" else entry.domain
        versions[name] = max(entry.version, versions.get(name, 0))
    functions = [node for function in model.functions for node in function.node]
    used = {node.domain for node in [*_nodes(model.graph), *functions]} | {""}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in sorted(versions.items()) if d in used)


def _batch(model: onnx.ModelProto) -> None:
    """The batch has a name; sizes that shape inference guessed for outputs go."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_param = "batch"
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            dim.Clear()
            if axis == 0:
                dim.dim_param = "batch"
