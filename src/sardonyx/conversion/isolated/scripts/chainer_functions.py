"""ONNX forms of functions that Chainer's exporter lacks."""

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


CONVERTERS = {"LSTM": lstm, "LayerNormalization": layer_normalization}
