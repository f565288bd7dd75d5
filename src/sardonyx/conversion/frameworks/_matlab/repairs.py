"""Repairs of what ``exportONNXNetwork`` writes.

A fully connected layer is a Gemm on whatever rank its input has: on images of rank 4, of which it means the flattened
rows, and on sequences (SequenceLength, BatchSize, features), of which it means each step. A recurrent layer's Y of
rank 4 (SequenceLength, directions, BatchSize, features) is read as the sequence, its Y_h of rank 3 as rows of features.
Other engines refuse such models (microsoft/onnxruntime issue 1016). Old versions write attributes that their opset
dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from sardonyx.conversion.frameworks._onnx.loading import drop_unread, nodes_in
from sardonyx.conversion.frameworks._onnx.opsets import opset_of
from sardonyx.errors import ConversionError, SardonyxError
from sardonyx.graph.order import node_label, topological_order
from sardonyx.graph.schema import find_schema
from sardonyx.tools.symbolic_shape_infer import SymbolicShapeInference

__all__ = ["repair_attributes", "repair_ranks", "sequences"]

_DROPPED = frozenset({"consumed_inputs", "is_test", "spatial", "broadcast", "output_sequence"})
_RECURRENT = ("LSTM", "GRU", "RNN")
_RANK_AWARE = frozenset({"Squeeze", "Reshape", "Flatten", "Transpose", "Slice", "Gather", "Unsqueeze", "Split"})
_ELEMENTWISE = frozenset({"Relu", "LeakyRelu", "Elu", "Tanh", "Sigmoid", "HardSigmoid", "Clip", "Dropout", "Identity"})

Shape = list[int | str]


def repair_attributes(model: onnx.ModelProto) -> list[str]:
    """Removes attributes that the declared opset has no longer; they say nothing that it would not do anyway."""
    opset = opset_of(model)
    dropped: dict[str, set[str]] = {}
    for node in nodes_in(model):
        readable = isinstance(node.op_type, str)  # bytes where it is not UTF-8, which the reader refuses
        schema = find_schema("", node.op_type, opset) if readable and node.domain in ("", "ai.onnx") else None
        if schema is None:
            continue
        stale = {a.name for a in node.attribute if a.name in _DROPPED and a.name not in schema.attributes}
        if stale:
            kept = [attribute for attribute in node.attribute if attribute.name not in stale]
            del node.attribute[:]
            node.attribute.extend(kept)
            dropped.setdefault(node.op_type, set()).update(stale)
    return [f"{kind}: dropped {', '.join(sorted(names))}, unknown in opset {opset}" for kind, names in dropped.items()]


def repair_ranks(model: onnx.ModelProto) -> list[str]:
    """Gives every layer an input of the rank that it means, in place; what was done, in words.

    Raises ConversionError for a fully connected layer whose weights do not fit its input.
    """
    _in_order(model)
    del model.graph.value_info[:]
    declared = {v.name: len(v.type.tensor_type.shape.dim) for v in model.graph.output}
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    notes = [note for node in list(model.graph.node) if node.op_type in _RECURRENT for note in _squeeze(model, node)]
    for node in list(model.graph.node):
        if node.op_type == "Gemm":
            notes += _fully_connected(model, node)
        elif node.op_type in ("Softmax", "LogSoftmax") and opset_of(model) < 13:
            notes += _softmax(model, node)
    drop_unread(model)
    _declare(model)
    for output in model.graph.output:
        rank = len(output.type.tensor_type.shape.dim)
        if declared[output.name] not in (0, rank):
            notes.append(f"{output.name} was declared with rank {declared[output.name]}, it has {rank}")
    return notes


def _in_order(model: onnx.ModelProto) -> None:
    known = {""} | {value.name for value in model.graph.input} | {tensor.name for tensor in model.graph.initializer}
    try:
        order = topological_order(model.graph.node, known.__contains__)
    except SardonyxError as error:
        raise ConversionError(f"the model was recognised as MATLAB's, but it cannot be used: {error}") from error
    nodes = [model.graph.node[place] for place in order]
    ordered = onnx.GraphProto(node=nodes)
    model.graph.ClearField("node")
    model.graph.node.extend(ordered.node)


def sequences(model: onnx.ModelProto) -> dict[str, int]:
    """The axis of the batch in each input: 1 where a recurrent layer reads it in the order sequence, batch, features,
    else 0."""
    constants = {tensor.name for tensor in model.graph.initializer}
    axes = {}
    for value in model.graph.input:
        if value.name not in constants:
            rank = len(value.type.tensor_type.shape.dim)
            axes[value.name] = int(rank == 3 and any(n.op_type in _RECURRENT for n in _after(model, value.name)))
    return axes


def _after(model: onnx.ModelProto, name: str) -> Iterator[onnx.NodeProto]:
    """The nodes that read a value, or what elementwise layers and normalisations make of it."""
    for node in model.graph.node:
        if name in node.input[:1]:
            yield node
            if node.op_type in _ELEMENTWISE or node.op_type in ("Sub", "Div", "Mul", "Add"):
                yield from _after(model, node.output[0])


def _squeeze(model: onnx.ModelProto, node: onnx.NodeProto) -> Iterator[str]:
    both = any(a.name == "direction" and a.s == b"bidirectional" for a in node.attribute)
    for index, what in ((0, "Y"), (1, "Y_h")):
        name = node.output[index] if index < len(node.output) else ""
        if not name or not _needs_rank(model, name, index):
            continue
        inner = f"{name}_{what}"
        node.output[index] = inner
        made = _joined(model, inner, name, index) if both else [_axis_removed(model, inner, name, 1 - index)]
        _insert_after(model, node, made)
        yield f"{node_label(node)}: its {what} lost the axis of directions, which the layers behind it do not expect"


def _needs_rank(model: onnx.ModelProto, name: str, index: int) -> bool:
    """Whether somebody reads the value as if the axis of directions were not there."""
    readers = [node for node in model.graph.node if name in node.input]
    for node in readers:
        if node.op_type in _RANK_AWARE or (node.op_type in _RECURRENT and name not in node.input[:1]):
            continue
        if node.op_type in _ELEMENTWISE and not _needs_rank(model, node.output[0], index):
            continue
        return True
    return not readers and any(value.name == name for value in model.graph.output)


def _axis_removed(model: onnx.ModelProto, before: str, after: str, axis: int) -> onnx.NodeProto:
    if opset_of(model) < 13:
        return helper.make_node("Squeeze", [before], [after], f"{after}_squeeze", axes=[axis])
    return helper.make_node("Squeeze", [before, _constant(model, [axis], f"{after}_axes")], [after], f"{after}_squeeze")


def _joined(model: onnx.ModelProto, before: str, after: str, index: int) -> list[onnx.NodeProto]:
    """Both directions' features side by side."""
    order, shape = ([0, 2, 1, 3], [0, 0, -1]) if index == 0 else ([1, 0, 2], [0, -1])
    moved = f"{after}_moved"
    return [
        helper.make_node("Transpose", [before], [moved], moved, perm=order),
        helper.make_node("Reshape", [moved, _constant(model, shape, f"{after}_shape")], [after], f"{after}_joined"),
    ]


def _fully_connected(model: onnx.ModelProto, node: onnx.NodeProto) -> list[str]:
    shape = _shape_of(model, node.input[0], node)
    if shape is None or len(shape) == 2:
        return []
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    weights = next((numpy_helper.to_array(t) for t in model.graph.initializer if t.name == node.input[1]), None)
    if weights is None or weights.ndim != 2 or given.get("transA", 0):
        raise ConversionError(f"{node_label(node)} is no fully connected layer, but its input has rank {len(shape)}")
    by_input = weights.T if given.get("transB", 0) else weights
    if len(shape) == 3 and shape[-1] == by_input.shape[0]:
        _per_step(model, node, by_input * np.float32(given.get("alpha", 1.0)), given.get("beta", 1.0))
        return [f"{node_label(node)}: a product for each step of a sequence, which Gemm does not take"]
    rest = shape[1:]
    if all(isinstance(size, int) for size in rest) and int(np.prod([int(s) for s in rest])) == by_input.shape[0]:
        flat = f"{node.output[0]}_flat"
        _insert_before(model, node, helper.make_node("Flatten", [node.input[0]], [flat], flat, axis=1))
        node.input[0] = flat
        return [f"{node_label(node)}: its input of rank {len(shape)} is flattened, which it implied"]
    raise ConversionError(
        f"{node_label(node)} has weights for {by_input.shape[0]} features, but its input has shape {shape}"
    )


def _per_step(model: onnx.ModelProto, node: onnx.NodeProto, weights: npt.NDArray[Any], beta: float) -> None:
    output, addend = node.output[0], node.input[2] if len(node.input) > 2 else ""
    product = f"{output}_product" if addend else output
    made = [
        helper.make_node("MatMul", [node.input[0], _constant(model, weights, f"{output}_weights")], [product], product)
    ]
    if addend:
        bias = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == addend)
        scaled = _constant(model, (bias.reshape(-1) * np.float32(beta)).astype(weights.dtype), f"{output}_bias")
        made.append(helper.make_node("Add", [product, scaled], [output], output))
    place = _place(model, node)
    del model.graph.node[place]
    for offset, one in enumerate(made):
        model.graph.node.insert(place + offset, one)


def _softmax(model: onnx.ModelProto, node: onnx.NodeProto) -> list[str]:
    """Before opset 13 the default axis 1 joins batch and features of a sequence, which is right for one row only."""
    shape = _shape_of(model, node.input[0], node)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    if shape is None or len(shape) != 3 or axis != 1:
        return []
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("axis", 2))
    return [f"{node_label(node)}: over the features of each step alone, not over those of the whole batch"]


def _shape_of(model: onnx.ModelProto, name: str, node: onnx.NodeProto) -> Shape | None:
    """The shape of a value, inferred from the nodes in front of one, which are in order already."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[_place(model, node) :]
    del part.graph.output[:]
    part.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return _inferred(part).get(name)


def _inferred(model: onnx.ModelProto) -> dict[str, Shape]:
    try:
        graph = SymbolicShapeInference.infer_shapes(model).graph
    except SardonyxError as error:
        text = str(error).removeprefix("<model>: ")
        raise ConversionError(f"the model was recognised as MATLAB's, but it cannot be used: {text}") from error
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output, *graph.value_info)
        if value.type.tensor_type.HasField("shape")
    }


def _declare(model: onnx.ModelProto) -> None:
    shapes = _inferred(model)
    for value in model.graph.output:
        if value.name in shapes:
            element = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, element, shapes[value.name]))


def _constant(model: onnx.ModelProto, values: object, name: str) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def _place(model: onnx.ModelProto, node: onnx.NodeProto) -> int:
    return next(i for i, one in enumerate(model.graph.node) if one.output[:] == node.output[:])


def _insert_before(model: onnx.ModelProto, node: onnx.NodeProto, made: onnx.NodeProto) -> None:
    model.graph.node.insert(_place(model, node), made)


def _insert_after(model: onnx.ModelProto, node: onnx.NodeProto, made: Sequence[onnx.NodeProto]) -> None:
    place = _place(model, node) + 1
    for offset, one in enumerate(made):
        model.graph.node.insert(place + offset, one)
