"""What skl2onnx gets wrong, or writes so that others cannot read it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from sardonyx.conversion.frameworks._sklearn.kernels import has_probabilities
from sardonyx.conversion.frameworks._sklearn.steps import everything, final, kind_of

__all__ = ["exportable", "repair"]

_IR_VERSION = 10


def exportable(model: Any) -> Any:
    """The estimator as skl2onnx can take it: in ONNX a missing string is the empty one; the form in which a vote's
    ``transform`` answers does not matter to ``predict``."""
    model = copy.deepcopy(model)
    for _, step in everything(model):
        if _fills_text(step):
            step.missing_values = ""
        if kind_of(step) in ("SVC", "NuSVC"):
            step.probability = has_probabilities(step)
        if hasattr(step, "flatten_transform"):
            step.flatten_transform = False
    last = final(model)
    if kind_of(last) == "LinearDiscriminantAnalysis" and len(last.classes_) == 2:
        return _replaced(model, last, _logistic(last))
    return model


def _logistic(model: Any) -> Any:
    """A logistic regression that answers as linear discriminants of two classes do (skl2onnx doubles their scores)."""
    from sklearn.linear_model import LogisticRegression

    same = LogisticRegression()
    same.classes_, same.coef_, same.intercept_ = model.classes_, model.coef_, model.intercept_
    same.n_features_in_ = model.n_features_in_
    return same


def _replaced(model: Any, step: Any, by: Any) -> Any:
    if model is step:
        return by
    name, last = model.steps[-1]
    model.steps[-1] = (name, _replaced(last, step, by))
    return model


def _fills_text(step: Any) -> bool:
    return (
        kind_of(step) == "SimpleImputer"
        and any(isinstance(value, str) for value in step.statistics_)
        and not isinstance(step.missing_values, str)
    )


def repair(model: onnx.ModelProto, source: Any, notes: list[str]) -> None:
    """Changes the model of an estimator in place and says what for in ``notes``."""
    _labels(model, source, notes)
    _locale(model, notes)
    _opsets(model)
    _batch(model)
    _distances(model, source, notes)
    _sublinear(model, notes)
    _types(model)
    model.ir_version = min(model.ir_version, _IR_VERSION)


def _labels(model: onnx.ModelProto, source: Any, notes: list[str]) -> None:
    """Labels of one dimension, and names in place of numbers."""
    last = final(source)
    if kind_of(last) == "QuadraticDiscriminantAnalysis":
        shape = numpy_helper.from_array(np.asarray([-1], np.int64), "label_shape")
        model.graph.initializer.append(shape)
        _behind(model.graph, "label", "Reshape", ["{}", shape.name])
    text = [value.type.tensor_type.elem_type == onnx.TensorProto.STRING for value in model.graph.output]
    if kind_of(last) == "OneVsOneClassifier" and any(text):
        names = numpy_helper.from_array(np.asarray(last.classes_, object), "label_names")
        model.graph.initializer.append(names)
        _behind(model.graph, "label", "Gather", [names.name, "{}"])
        notes.append("labels are names, not their numbers")


def _types(model: onnx.ModelProto) -> None:
    """Outputs of the type that their nodes give, where inference knows it."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for value in copied.graph.output:
        value.ClearField("type")
    with contextlib.suppress(onnx.shape_inference.InferenceError):
        copied = onnx.shape_inference.infer_shapes(copied)
    for value, found in zip(model.graph.output, copied.graph.output, strict=True):
        inferred = found.type.tensor_type.elem_type
        if inferred and inferred != value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = inferred


def _behind(graph: onnx.GraphProto, output: str, kind: str, inputs: list[str]) -> None:
    """A node between an output and what gives it; ``{}`` stands for that value."""
    inner = f"{output}_as_exported"
    for node in graph.node:
        node.output[:] = [inner if name == output else name for name in node.output]
        node.input[:] = [inner if name == output else name for name in node.input]
    given = [name.format(inner) for name in inputs]
    graph.node.append(onnx.helper.make_node(kind, given, [output], f"{output}_repaired"))


def _sublinear(model: onnx.ModelProto, notes: list[str]) -> None:
    """scikit-learn's 1 + log(count) of words that are there, for which skl2onnx writes log(1 + count)."""
    made = {name: node for node in model.graph.node for name in node.output}
    changed = []
    for node in model.graph.node:
        added = made.get(node.input[0]) if node.op_type == "Log" else None
        counts = made.get(added.input[0]) if added is not None and added.op_type == "Add" else None
        if added is None or counts is None or counts.op_type != "TfIdfVectorizer":
            continue
        one, given, output = added.input[1], counts.output[0], node.output[0]
        added.CopyFrom(onnx.helper.make_node("Max", [given, one], [added.output[0]], added.name))
        node.output[0] = f"{output}_logarithm"
        here = onnx.helper.make_node("Min", [given, one], [f"{output}_there"], f"{output}_there")
        whole = onnx.helper.make_node("Add", [node.output[0], here.output[0]], [output], f"{output}_whole")
        changed.append((node.output[0], [here, whole]))
    for logarithm, following in changed:
        place = next(i for i, node in enumerate(model.graph.node) if logarithm in node.output)
        for node in reversed(following):
            model.graph.node.insert(place + 1, node)
        notes.append("counts of words are 1 + log(count), as sublinear_tf means it, not log(1 + count)")


def _distances(model: onnx.ModelProto, source: Any, notes: list[str]) -> None:
    """skl2onnx hands on negative distances to weights of neighbours, which makes all weights equal."""
    if getattr(final(source), "weights", None) != "distance":
        return
    inverted = {node.input[0] for node in model.graph.node if node.op_type == "Reciprocal"}
    for place, node in enumerate(model.graph.node):
        if node.op_type == "Max" and node.output[0] in inverted:
            given = node.input[0]
            node.input[0] = f"{given}_absolute"
            model.graph.node.insert(place, onnx.helper.make_node("Abs", [given], [f"{given}_absolute"], f"{given}_abs"))
            notes.append("neighbours weigh by the distance itself, not by its negative")
            return


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
