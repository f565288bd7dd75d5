"""Resize and its predecessor Upsample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sardonyx.graph.emit import Emitter, replace_inputs, set_attributes
from sardonyx.graph.upgrade.helpers import input_at, take
from sardonyx.graph.upgrade.registry import CannotUpgrade, upgrade


@upgrade("Upsample", before=7)
def upsample_scales(node: ir.Node, emit: Emitter) -> None:
    """Version 1 scaled height and width of NCHW."""
    height, width = take(node, "height_scale", 1.0), take(node, "width_scale", 1.0)
    mode = take(node, "mode", "nearest")
    set_attributes(node, {"scales": [1.0, 1.0, height, width], "mode": "linear" if mode == "bilinear" else mode})


@upgrade("Upsample", before=9)
def upsample_to_input(node: ir.Node, emit: Emitter) -> None:
    scales = emit.constant(np.array(take(node, "scales", ()), np.float32), "scales")
    replace_inputs(node, [input_at(node, 0), scales])


@upgrade("Upsample", before=10)
def upsample_to_resize(node: ir.Node, emit: Emitter) -> None:
    node.op_type = "Resize"


@upgrade("Resize", before=11)
def resize_coordinates(node: ir.Node, emit: Emitter) -> Sequence[ir.Value] | None:
    """Version 10 takes source = target / scale, and for nearest rounds down to enlarge and up to shrink.

    One Resize has one rounding, so axes that grow and axes that shrink take one each.
    """
    data, scales = input_at(node, 0), input_at(node, 1)
    mode = take(node, "mode", "nearest")
    common = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    numbers = None if scales.const_value is None else scales.const_value.numpy()
    if mode != "nearest" or (numbers is not None and (numbers >= 1).all()):
        set_attributes(node, {**common, "nearest_mode": "floor"})
    elif numbers is not None and (numbers <= 1).all():
        set_attributes(node, {**common, "nearest_mode": "ceil"})
    else:
        one = emit.constant(np.ones(1, np.float32), "one")
        grown = emit.op("Resize", data, None, emit.op("Max", scales, one), **common, nearest_mode="floor")
        return [emit.op("Resize", grown, None, emit.op("Min", scales, one), **common, nearest_mode="ceil")]
    replace_inputs(node, [data, None, scales])
    return None


@upgrade("Resize", before=13)
def resize_half_pixel_for_nn(node: ir.Node, emit: Emitter) -> None:
    """floor((x + 0.5) / scale) is round_prefer_ceil((x + 0.5) / scale - 0.5); empty inputs may now be left out."""
    inputs = [None if value is not None and _is_empty(value) else value for value in node.inputs]
    replace_inputs(node, inputs)
    if node.attributes.get_string("coordinate_transformation_mode", "half_pixel") != "tf_half_pixel_for_nn":
        return
    modes = node.attributes.get_string("mode", "nearest"), node.attributes.get_string("nearest_mode", "")
    if modes != ("nearest", "floor"):
        raise CannotUpgrade("tf_half_pixel_for_nn is only defined for the nearest pixel below")
    set_attributes(node, {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"})


def _is_empty(value: ir.Value) -> bool:
    return value.const_value is not None and value.const_value.size == 0
