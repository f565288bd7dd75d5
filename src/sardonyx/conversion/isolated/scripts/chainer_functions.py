"""ONNX forms of functions that Chainer's exporter lacks, or gets wrong: resized images (always as if the corners were
not aligned), permutations (whose indices it loses)."""

import numpy as np
from onnx import helper, numpy_helper


class Nodes:
    """Nodes of one function; names begin with its first output's."""

    def __init__(self, parameters):
        self.prefix = parameters.output_names[0]
        self.made = []

    def add(self, kind, inputs, outputs=None, **attributes):
        """Adds a node; gives its first output."""
        outputs = outputs or [f"{self.prefix}_part{len(self.made)}"]
        self.made.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, values, dtype=np.int64):
        name = f"{self.prefix}_part{len(self.made)}"
        return self.add("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, dtype)))


def lstm(parameters):
    """One step: gates of candidate, input, forget and output, interleaved."""
    nodes = Nodes(parameters)
    before, gates = parameters.input_names
    cell, hidden = parameters.output_names
    size = parameters.func.inputs[1].shape[1] // 4
    apart = nodes.add("Reshape", [gates, nodes.constant([0, size, 4])])
    parts = [nodes.add("Gather", [apart, nodes.constant(i)], axis=2) for i in range(4)]
    candidate = nodes.add("Tanh", parts[:1])
    enter, keep, show = (nodes.add("Sigmoid", [part]) for part in parts[1:])
    kept, entered = nodes.add("Mul", [keep, before]), nodes.add("Mul", [enter, candidate])
    nodes.add("Add", [kept, entered], [cell])
    nodes.add("Mul", [show, nodes.add("Tanh", [cell])], [hidden])
    return tuple(nodes.made)


def layer_normalization(parameters):
    """Over the second of two axes."""
    nodes = Nodes(parameters)
    x, gamma, beta = parameters.input_names
    dtype = parameters.func.inputs[0].dtype
    centred = nodes.add("Sub", [x, nodes.add("ReduceMean", [x], axes=[1])])
    variance = nodes.add("ReduceMean", [nodes.add("Mul", [centred, centred])], axes=[1])
    deviation = nodes.add("Sqrt", [nodes.add("Add", [variance, nodes.constant(parameters.func.eps, dtype)])])
    scaled = nodes.add("Mul", [nodes.add("Div", [centred, deviation]), gamma])
    nodes.add("Add", [scaled, beta], list(parameters.output_names[:1]))
    return tuple(nodes.made)


def permutate(parameters):
    """Parts of an axis in another order, or back."""
    nodes, function = Nodes(parameters), parameters.func
    order = np.argsort(function.indices) if function.inv else function.indices
    inputs = [parameters.input_names[0], nodes.constant(order)]
    nodes.add("Gather", inputs, list(parameters.output_names), axis=function.axis)
    return tuple(nodes.made)


def resize_images(parameters):
    """Bilinear, or the nearest pixel, with corners aligned or not."""
    nodes, function = Nodes(parameters), parameters.func
    x = parameters.input_names[0]
    if function.mode == "nearest":  # rounded down, whatever is said of corners
        height, width = function.inputs[0].shape[2:]
        rows, columns = (
            np.minimum(np.floor(np.arange(out) * (size / out)), size - 1).astype(np.int64)
            for size, out in ((height, function.out_H), (width, function.out_W))
        )
        taken = nodes.add("Gather", [x, nodes.constant(rows)], axis=2)
        nodes.add("Gather", [taken, nodes.constant(columns)], list(parameters.output_names), axis=3)
        return tuple(nodes.made)
    kept = nodes.add("Slice", [nodes.add("Shape", [x]), nodes.constant([0]), nodes.constant([2])])
    sizes = nodes.add("Concat", [kept, nodes.constant([function.out_H, function.out_W])], axis=0)
    nothing = nodes.constant([], np.float32)
    mode = "align_corners" if function.align_corners else "half_pixel"
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
    nodes.add("Resize", [x, nothing, nothing, sizes], list(parameters.output_names), **attributes)
    return tuple(nodes.made)


CONVERTERS = {
    "LSTM": lstm,
    "LayerNormalization": layer_normalization,
    "Permutate": permutate,
    "ResizeImages": resize_images,
}
