"""Batch normalisation and the batched Scan of opset 8."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.graph.emit import Emitter, set_attributes
from sardonyx.graph.schema import current_opset
from sardonyx.graph.upgrade.helpers import constant_like, input_at, optional_input, output_is_wanted, take
from sardonyx.graph.upgrade.registry import CannotUpgrade, upgrade
from sardonyx.graph.value_types import set_type, type_text


@upgrade("BatchNormalization", before=7)
def batch_norm_mode(node: ir.Node, emit: Emitter) -> None:
    """Without ``is_test`` version 6 normalises by the statistics of the batch."""
    if not take(node, "is_test", 0):
        _train(node)


@upgrade("BatchNormalization", before=9)
def batch_norm_per_element(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """``spatial = 0`` has statistics for each element of a sample: plain arithmetic with broadcasting."""
    if take(node, "spatial", 1):
        return None
    if "training_mode" in node.attributes or any(output_is_wanted(node, index) for index in range(1, 5)):
        raise CannotUpgrade("training with statistics of each element")
    data, scale, bias, mean, variance = (input_at(node, index) for index in range(5))
    epsilon = constant_like(take(node, "epsilon", 1e-5), data, emit, "epsilon")
    deviation = emit.op("Sqrt", emit.op("Add", variance, epsilon))
    factor = emit.op("Div", scale, deviation)
    return [emit.op("Add", emit.op("Mul", emit.op("Sub", data, mean), factor), bias)]


@upgrade("BatchNormalization", before=14)
def batch_norm_training(node: ir.Node, emit: Emitter) -> None:
    """More than one output meant training; what training saved for its backward pass is no longer given."""
    if any(output_is_wanted(node, index) for index in range(1, len(node.outputs))):
        _train(node)
    if "training_mode" in node.attributes:
        if any(output_is_wanted(node, index) for index in range(3, len(node.outputs))):
            raise CannotUpgrade("saved_mean and saved_var are no longer outputs")
        node.resize_outputs(min(len(node.outputs), 3))
    else:
        node.resize_outputs(1)


def _train(node: ir.Node) -> None:
    set_attributes(node, {"training_mode": 1})


@upgrade("Scan", before=9)
def scan_without_batch(node: ir.Node, emit: Emitter) -> Sequence[ir.Value]:
    """Version 8 ran the loop for each sample of a batch: a Scan over the batch around a Scan over the sequence."""
    if optional_input(node, 0) is not None:
        raise CannotUpgrade("sequences of different lengths")
    body = node.attributes["body"].as_graph()
    scanned = node.attributes.get_int("num_scan_inputs", 0)
    directions = take(node, "directions")
    outside = [input_at(node, index) for index in range(1, len(node.inputs))]

    inside = Emitter(emit.names)
    samples = [_sample_of(value, emit) for value in outside]
    node.attributes.pop("body")
    inner = ir.Node(
        "",
        "Scan",
        samples,
        [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", scanned)],
        num_outputs=len(node.outputs),
        version=current_opset(""),
        name=node.name,
    )
    if directions is not None:
        set_attributes(inner, {"scan_input_directions": list(directions)})
    inside.append(inner)
    per_sample = ir.Graph(samples, inner.outputs, nodes=inside.nodes, name="per_sample")
    outer = ir.Node(
        "",
        "Scan",
        outside,
        [ir.AttrGraph("body", per_sample), ir.AttrInt64("num_scan_inputs", len(outside))],
        num_outputs=len(node.outputs),
        version=current_opset(""),
        name=emit.names.unique("Scan_batch"),
    )
    emit.append(outer)
    return list(outer.outputs)


def _sample_of(value: ir.Value, emit: Emitter) -> ir.Value:
    sample = ir.Value(name=emit.names.unique(f"{value.name}_sample"))
    text = type_text(value)
    if text is not None:
        set_type(sample, text)
    return sample
