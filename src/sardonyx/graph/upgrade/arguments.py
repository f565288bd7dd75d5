"""Attributes that became inputs, were renamed or dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx import dtypes
from sardonyx.graph.emit import Emitter, replace_inputs, set_attributes
from sardonyx.graph.upgrade.helpers import (
    add_inputs,
    constant_like,
    input_at,
    ones,
    optional_input,
    output_is_wanted,
    outputs_of,
    rank_of,
    take,
)
from sardonyx.graph.upgrade.registry import CannotUpgrade, upgrade

_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"),
)
_CONSUMED_INPUTS = (
    *("Abs", "Ceil", "Elu", "Exp", "Floor", "HardSigmoid", "InstanceNormalization", "LeakyRelu", "Log", "Max", "Mean"),
    *("Min", "Neg", "PRelu", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sum", "Tanh", "Dropout", "BatchNormalization"),
    *("Add", "Div", "Mul", "Sub"),
)


@upgrade(*_CONSUMED_INPUTS, before=6)
def drop_consumed_inputs(node: ir.Node, emit: Emitter) -> None:
    """``consumed_inputs`` allowed a framework to overwrite inputs; it never changed a result."""
    take(node, "consumed_inputs")


@upgrade("Selu", before=6)
def selu_constants(node: ir.Node, emit: Emitter) -> None:
    """The defaults of alpha and gamma gained digits."""
    take(node, "consumed_inputs")
    alpha, gamma = take(node, "alpha", 1.673200011253357), take(node, "gamma", 1.0506999492645264)
    set_attributes(node, {"alpha": alpha, "gamma": gamma})


@upgrade("ReduceSum", "Squeeze", "Unsqueeze", before=13)
@upgrade(*_REDUCTIONS, before=18)
def axes_to_input(node: ir.Node, emit: Emitter) -> None:
    axes = take(node, "axes")
    if axes is not None:
        add_inputs(node, emit.ints(axes, "axes"))


@upgrade("Clip", before=6)
def clip_bounds_optional(node: ir.Node, emit: Emitter) -> None:
    """An absent bound of version 1 is no bound; version 6 would clip at the largest float32."""
    take(node, "consumed_inputs")
    bounds = {"min": take(node, "min", -np.inf), "max": take(node, "max", np.inf)}
    set_attributes(node, bounds)


@upgrade("Clip", before=11)
def clip_bounds_to_inputs(node: ir.Node, emit: Emitter) -> None:
    largest = float(np.finfo(np.float32).max)
    low, high = take(node, "min", -largest), take(node, "max", largest)
    data = input_at(node, 0)
    add_inputs(
        node,
        None if low == -np.inf else constant_like(low, data, emit, "min"),
        None if high == np.inf else constant_like(high, data, emit, "max"),
    )


@upgrade("Slice", before=10)
def slice_to_inputs(node: ir.Node, emit: Emitter) -> None:
    starts, ends, axes = take(node, "starts", ()), take(node, "ends", ()), take(node, "axes")
    add_inputs(node, emit.ints(starts, "starts"), emit.ints(ends, "ends"))
    if axes is not None:
        add_inputs(node, emit.ints(axes, "axes"))


@upgrade("Pad", before=2)
def pad_rename(node: ir.Node, emit: Emitter) -> None:
    set_attributes(node, {"pads": list(take(node, "paddings", ()))})


@upgrade("Pad", before=11)
def pad_to_inputs(node: ir.Node, emit: Emitter) -> None:
    pads, value = take(node, "pads", ()), take(node, "value", 0.0)
    add_inputs(node, emit.ints(pads, "pads"), constant_like(value, input_at(node, 0), emit, "value"))


@upgrade("Split", before=2)
def split_sizes_of_input(node: ir.Node, emit: Emitter) -> None:
    """Version 1 took sizes as an attribute or as an input of the data's own type."""
    sizes = optional_input(node, 1)
    if sizes is None:
        return
    take(node, "split")
    axis = take(node, "axis", 0)
    replace_inputs(node, [input_at(node, 0), emit.op("Cast", sizes, to=ir.DataType.INT64.value)])
    set_attributes(node, {"axis": axis})


@upgrade("Split", before=13)
def split_to_input(node: ir.Node, emit: Emitter) -> None:
    sizes = take(node, "split")
    if sizes is not None:
        add_inputs(node, emit.ints(sizes, "split"))


@upgrade("Split", before=18)
def split_count(node: ir.Node, emit: Emitter) -> None:
    """Equal parts were implied by the number of outputs."""
    if optional_input(node, 1) is None:
        set_attributes(node, {"num_outputs": len(node.outputs)})


@upgrade("TopK", before=10)
def topk_to_input(node: ir.Node, emit: Emitter) -> None:
    add_inputs(node, emit.ints([take(node, "k", 0)], "k"))


@upgrade("Dropout", before=10)
def dropout_mask(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """The mask had the type of the data; without ``is_test``, version 6 dropped elements at random."""
    training = (node.version or 7) < 7 and not take(node, "is_test", 0)
    data = input_at(node, 0)
    inputs = [data, emit.constant(np.float32(take(node, "ratio", 0.5)), "ratio"), emit.constant(training, "training")]
    dropped = emit.op("Dropout", *inputs, outputs=len(node.outputs))
    if not output_is_wanted(node, 1):
        return [dropped]
    (mask,) = outputs_of(dropped)[1:]
    return [dropped, emit.op("CastLike", mask, data)]


@upgrade("Dropout", before=12)
def dropout_ratio(node: ir.Node, emit: Emitter) -> None:
    add_inputs(node, emit.constant(np.float32(take(node, "ratio", 0.5)), "ratio"))


@upgrade("Reshape", before=5)
def reshape_to_input(node: ir.Node, emit: Emitter) -> None:
    take(node, "consumed_inputs")
    add_inputs(node, emit.ints(take(node, "shape", ()), "shape"))


@upgrade("Tile", before=6)
def tile_to_repeats(node: ir.Node, emit: Emitter) -> None:
    """Version 1 repeated along one axis: repeats are ones with ``tiles`` at ``axis``."""
    data, tiles, axis = (input_at(node, index) for index in range(3))
    one, int64 = emit.ints([1]), ir.DataType.INT64.value
    where = emit.op("Reshape", emit.op("Cast", axis, to=int64), one)
    count = emit.op("Reshape", emit.op("Cast", tiles, to=int64), one)
    replace_inputs(node, [data, emit.op("ScatterElements", ones(rank_of(data, emit), emit), where, count, axis=0)])


@upgrade("DFT", before=20)
def dft_axis_to_input(node: ir.Node, emit: Emitter) -> None:
    axis = take(node, "axis", 1)
    length = optional_input(node, 1)
    replace_inputs(node, [input_at(node, 0), length, emit.constant(np.int64(axis), "axis")])


@upgrade("Cast", before=6)
def cast_type_name(node: ir.Node, emit: Emitter) -> None:
    """The type was written as its name."""
    set_attributes(node, {"to": ir.DataType[str(take(node, "to")).upper()].value})


@upgrade("Concat", before=4)
def concat_axis(node: ir.Node, emit: Emitter) -> None:
    set_attributes(node, {"axis": take(node, "axis", 1)})


@upgrade("Scatter", before=11)
def scatter_rename(node: ir.Node, emit: Emitter) -> None:
    node.op_type = "ScatterElements"


@upgrade("RNN", "LSTM", "GRU", before=7)
def drop_output_sequence(node: ir.Node, emit: Emitter) -> None:
    """Whether the whole sequence is wanted shows in the outputs that are named."""
    take(node, "output_sequence")


@upgrade("OneHot", before=11)
def onehot_negative(node: ir.Node, emit: Emitter) -> None:
    """Negative indices were out of range; since version 11 they count from the end."""
    indices, depth, values = (input_at(node, index) for index in range(3))
    if indices.dtype is None or not dtypes.from_onnx(indices.dtype.value).is_signed:
        return
    whole = emit.op("Cast", indices, to=ir.DataType.INT64.value)
    past = emit.op("Reshape", emit.op("Cast", depth, to=ir.DataType.INT64.value), emit.ints([1]))
    negative = emit.op("Less", whole, emit.constant(np.int64(0)))
    # A scalar of indices must stay a scalar, so depth is made one too.
    limit = emit.op("Squeeze", past, emit.ints([0]))
    replace_inputs(node, [emit.op("Where", negative, limit, whole), depth, values])


@upgrade("LabelEncoder", before=2, domain="ai.onnx.ml")
def label_encoder_tables(node: ir.Node, emit: Emitter) -> None:
    """``classes_strings`` was a table from position to string, or back for an input of strings."""
    classes = list(take(node, "classes_strings", ()))
    text, number = take(node, "default_string", "_Unused"), take(node, "default_int64", -1)
    positions = list(range(len(classes)))
    if input_at(node, 0).dtype == ir.DataType.STRING:
        set_attributes(node, {"keys_strings": classes, "values_int64s": positions, "default_int64": number})
    elif input_at(node, 0).dtype == ir.DataType.INT64:
        set_attributes(node, {"keys_int64s": positions, "values_strings": classes, "default_string": text})
    else:
        raise CannotUpgrade("the direction of LabelEncoder depends on the type of its input")
