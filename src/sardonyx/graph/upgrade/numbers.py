"""Operators whose numbers mean something else in a newer version: softmax, pooling norms, regions, quantities."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from sardonyx.graph.emit import Emitter, replace_inputs, set_attributes
from sardonyx.graph.upgrade.helpers import input_at, known_rank, take
from sardonyx.graph.upgrade.registry import CannotUpgrade, upgrade
from sardonyx.graph.value_types import DECLARED_SHAPE


@upgrade("Softmax", "LogSoftmax", "Hardmax", before=13)
def softmax_over_flattened(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """The input was coerced to a matrix at ``axis`` and each row of it normalised."""
    axis = take(node, "axis", 1)
    data = input_at(node, 0)
    rank = known_rank(data)
    if rank is None:
        rank = _declared_rank(node.outputs[0])
    if axis == -1 or (rank is not None and axis == rank - 1):
        set_attributes(node, {"axis": -1})
        return None
    rows = emit.op(node.op_type, emit.op("Flatten", data, axis=axis), axis=-1)
    return [emit.op("Reshape", rows, emit.op("Shape", data), allowzero=1)]


def _declared_rank(value: ir.Value) -> int | None:
    declared = value.meta.get(DECLARED_SHAPE)
    return len(declared) if isinstance(declared, ir.Shape) else None


@upgrade("GlobalLpPool", before=2)
@upgrade("LpPool", before=2)
def norm_as_integer(node: ir.Node, emit: Emitter) -> None:
    power = take(node, "p", 2.0)
    if power != int(power):
        raise CannotUpgrade(f"p = {power} is no integer")
    if node.op_type == "LpPool" and "kernel_shape" not in node.attributes:
        raise CannotUpgrade("LpPool has no kernel_shape")
    set_attributes(node, {"p": int(power)})


@upgrade("GridSample", before=20)
def grid_sample_modes(node: ir.Node, emit: Emitter) -> None:
    names = {"bilinear": "linear", "bicubic": "cubic"}
    mode = take(node, "mode", "bilinear")
    set_attributes(node, {"mode": names.get(mode, mode)})


@upgrade("RoiAlign", before=16)
def roi_align_shift(node: ir.Node, emit: Emitter) -> None:
    """Coordinates had no half-pixel shift."""
    set_attributes(node, {"coordinate_transformation_mode": "output_half_pixel"})


@upgrade("GroupNormalization", before=21)
def scale_per_channel(node: ir.Node, emit: Emitter) -> None:
    """Scale and bias of a group become those of each of its channels."""
    data, scale, bias = (input_at(node, index) for index in range(3))
    groups = node.attributes.get_int("num_groups", 1)
    channels = emit.op("Shape", data, start=1, end=2)
    repeated = emit.op("Concat", emit.ints([1]), emit.op("Div", channels, emit.ints([groups])), axis=0)

    def spread(value: ir.Value) -> ir.Value:
        column = emit.op("Unsqueeze", value, emit.ints([1]))
        return emit.op("Reshape", emit.op("Expand", column, repeated), emit.ints([-1]))

    replace_inputs(node, [data, spread(scale), spread(bias)])
